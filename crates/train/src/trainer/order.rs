//! The order of samples: a permutation that depends on the seed, the epoch and the number of samples alone.

use super::options::Micro;

/// Samples of a pass, in the order of training: Fisher and Yates' shuffle, place i drawing the random number of
/// (seed, epoch, i).
pub fn permutation(seed: u64, epoch: u64, samples: usize) -> Vec<usize> {
    let stream = mix(mix(seed) ^ epoch);
    let mut order: Vec<usize> = (0..samples).collect();
    for i in (1..samples).rev() {
        let random = u128::from(mix(stream ^ mix(i as u64)));
        // The high half of a product with the limit: biased by less than samples/2⁶⁴.
        let j = (random * (i as u128 + 1)) >> 64;
        order.swap(i, usize::try_from(j).unwrap_or(i));
    }
    order
}

/// Cuts a batch into the parts that are computed at one time, in order.
pub fn cut(batch: &[usize], micro: Micro, tokens: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let budget = match micro {
        Micro::Samples(count) => return batch.chunks(count.max(1)).collect(),
        Micro::Tokens(budget) => budget,
    };
    let (mut parts, mut start, mut sum) = (Vec::new(), 0, 0usize);
    for (i, &sample) in batch.iter().enumerate() {
        let more = tokens(sample);
        if i > start && sum.saturating_add(more) > budget {
            parts.push(&batch[start..i]);
            (start, sum) = (i, 0);
        }
        sum = sum.saturating_add(more);
    }
    if start < batch.len() {
        parts.push(&batch[start..]);
    }
    parts
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::{Micro, cut, permutation};

    #[test]
    fn every_sample_once_and_another_order_each_epoch() {
        let orders = [(1, 0), (1, 1), (2, 0)].map(|(seed, epoch)| permutation(seed, epoch, 1000));
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        }
        assert!(orders[0] != orders[1] && orders[0] != orders[2] && orders[1] != orders[2]);
        assert_eq!(permutation(1, 0, 1000), orders[0]);
        // Frozen: a checkpoint of an older version goes on with the same order.
        assert_eq!(permutation(42, 3, 8), FROZEN);
        assert_eq!(permutation(1, 0, 1), [0]);
        assert!(permutation(1, 0, 0).is_empty());
    }

    const FROZEN: [usize; 8] = [2, 4, 0, 6, 5, 3, 7, 1];

    #[test]
    fn all_places_are_equally_likely() {
        let mut counts = [[0u32; 5]; 5];
        for epoch in 0..5000 {
            for (place, sample) in permutation(9, epoch, 5).into_iter().enumerate() {
                counts[place][sample] += 1;
            }
        }
        // 1000 each; standard deviation √(5000·0.2·0.8) = 28; five of them.
        assert!(
            counts.as_flattened().iter().all(|n| n.abs_diff(1000) < 142),
            "{counts:?}"
        );
    }

    #[test]
    fn budgets_of_tokens() {
        let tokens = |sample| [3, 4, 9, 1, 1, 1][sample];
        let batch = [0, 1, 2, 3, 4, 5];
        let parts = cut(&batch, Micro::Tokens(7), tokens);
        assert_eq!(parts, [&[0, 1][..], &[2], &[3, 4, 5]]);
        assert_eq!(
            cut(&batch, Micro::Samples(4), tokens),
            [&[0, 1, 2, 3][..], &[4, 5]]
        );
        assert!(cut(&[], Micro::Tokens(7), tokens).is_empty());
    }
}
