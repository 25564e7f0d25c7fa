//! Cross-entropy over rows of logits, and its gradient in their place.

use crate::Isa;
use crate::math::exp;
use crate::norm::sum_row;
use crate::parallel::Pool;
use crate::simd::{Kernel, LANES, Simd};

/// −ln of the target's softmax in each row of `logits` [n, C]; the logits become (softmax(row) − onehot(target))·scale.
///
/// # Panics
/// When sizes do not match or a target is outside 0..C.
pub fn cross_entropy(
    isa: Isa,
    pool: &Pool,
    logits: &mut [f32],
    targets: &[u32],
    scale: f32,
) -> Vec<f64> {
    let n = targets.len();
    assert!(
        n > 0 && logits.len().is_multiple_of(n),
        "{} logits for {n} targets",
        logits.len()
    );
    let cols = logits.len() / n;
    struct Row<'a>(&'a mut [f32], usize, f32);
    impl Kernel for Row<'_> {
        type Output = f64;
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) -> f64 {
            let Row(row, target, scale) = self;
            let mut top = s.splat(f32::NEG_INFINITY);
            for chunk in row.chunks(LANES) {
                // Lanes beyond the end repeat the first element.
                let mut lanes = [row[0]; LANES];
                lanes[..chunk.len()].copy_from_slice(chunk);
                top = s.max(s.load(&lanes), top);
            }
            let mut lanes = [0.0; LANES];
            s.store(top, &mut lanes);
            let top = lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
            let logit = row[target];
            let shift = s.splat(top);
            for chunk in row.chunks_mut(LANES) {
                s.store_partial(exp(s, s.sub(s.load_partial(chunk), shift)), chunk);
            }
            let sum = sum_row(s, row, |x| x);
            let factor = s.splat(scale / sum);
            for chunk in row.chunks_mut(LANES) {
                s.store_partial(s.mul(s.load_partial(chunk), factor), chunk);
            }
            row[target] -= scale;
            f64::from(sum).ln() + f64::from(top) - f64::from(logit)
        }
    }
    let losses = std::sync::Mutex::new(vec![0.0; n]);
    pool.for_chunks(logits, cols, &mut vec![(); pool.threads()], |(), i, row| {
        let target = targets[i] as usize;
        assert!(target < cols, "target {target} of {cols}");
        let loss = isa.run(Row(row, target, scale));
        losses.lock().expect("no panic while locked")[i] = loss;
    });
    losses.into_inner().expect("no panic while locked")
}
