//! Sums over the rows of a matrix, column by column: the gradient of a bias.

use crate::Isa;
use crate::gemm::CHAIN;
use crate::parallel::Pool;
use crate::simd::{Kernel, LANES, Simd};

/// Columns of one task: whole cache lines, so that rows are read in long runs.
pub(super) const COLUMNS: usize = 4 * LANES;

/// sums `[N]` ← sums + Σ over the rows of x [T, N]: chains of [`CHAIN`] rows from zero, added in order.
///
/// # Panics
/// When sizes do not match.
pub fn add_column_sums(isa: Isa, pool: &Pool, x: &[f32], sums: &mut [f32]) {
    let cols = sums.len();
    assert!(
        cols > 0 && x.len().is_multiple_of(cols),
        "{} elements in rows of {cols}",
        x.len()
    );
    struct Sums<'a>(&'a [f32], usize, usize, &'a mut [f32]);
    impl Kernel for Sums<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) {
            let Sums(x, cols, first, sums) = self;
            for (i, sums) in sums.chunks_mut(LANES).enumerate() {
                let part = first + i * LANES..first + i * LANES + sums.len();
                let mut total = s.load_partial(sums);
                for rows in x.chunks(CHAIN * cols) {
                    let mut chain = s.splat(0.0);
                    for row in rows.chunks_exact(cols) {
                        chain = s.add(chain, s.load_partial(&row[part.clone()]));
                    }
                    total = s.add(total, chain);
                }
                s.store_partial(total, sums);
            }
        }
    }
    pool.for_chunks(
        sums,
        COLUMNS,
        &mut vec![(); pool.threads()],
        |(), i, sums| {
            isa.run(Sums(x, cols, i * COLUMNS, sums));
        },
    );
}
