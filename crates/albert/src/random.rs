//! Counter-based random numbers: what is drawn depends on the seed, the name and the index, on nothing else.

pub(crate) use albert_kernels::random::mix;

/// Uniform in (0, 1].
fn uniform(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Elements first, first + 1, … of a stream of N(0, std²), by Box and Muller's transform.
pub(crate) fn fill_normal(seed: u64, name: &str, first: usize, std: f64, out: &mut [f32]) {
    let stream = name
        .bytes()
        .fold(mix(seed), |hash, byte| mix(hash ^ u64::from(byte)));
    for (i, x) in out.iter_mut().enumerate() {
        let counter = 2 * (first + i) as u64;
        let (u, v) = (
            uniform(mix(stream ^ mix(counter))),
            uniform(mix(stream ^ mix(counter + 1))),
        );
        *x = (std * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32;
    }
}

/// Uniform in (0, 1], for place `index` of a list; the same for the same list.
pub(crate) fn chance(list: &[i64], index: usize) -> f64 {
    let stream = list
        .iter()
        .fold(mix(0), |hash, x| mix(hash ^ x.cast_unsigned()));
    uniform(mix(stream ^ mix(index as u64)))
}

#[cfg(test)]
mod tests {
    use super::fill_normal;

    #[test]
    fn moments_and_independence_of_where_it_starts() {
        let mut all = vec![0.0; 100_000];
        fill_normal(7, "classifier.weight", 0, 0.02, &mut all);
        let mean = all.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e5;
        let std = (all
            .iter()
            .map(|x| (f64::from(*x) - mean).powi(2))
            .sum::<f64>()
            / 1e5)
            .sqrt();
        // Standard errors: 0.02/√1e5 = 6e-5 and 0.02/√2e5 = 4.5e-5; five of them.
        assert!(
            mean.abs() < 3.2e-4 && (std - 0.02).abs() < 2.3e-4,
            "mean {mean}, standard deviation {std}"
        );
        let mut tail = vec![0.0; 10];
        fill_normal(7, "classifier.weight", 500, 0.02, &mut tail);
        assert_eq!(tail, all[500..510]);
        fill_normal(8, "classifier.weight", 500, 0.02, &mut tail);
        assert_ne!(tail, all[500..510]);
    }
}
