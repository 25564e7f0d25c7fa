//! Sums against a scalar model of the tree, records, refusals.

use super::super::Threads;
use super::{PIECE, Ranks, tree};

/// Runs all ranks in threads.
fn together<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let ranks: Vec<_> = Threads::new(size)
            .into_iter()
            .map(|exchange| {
                scope.spawn(move || work(Ranks::new(Box::new(exchange)).expect("a power of two")))
            })
            .collect();
        let results = ranks.into_iter().map(|rank| rank.join().expect("no panic"));
        results.collect()
    })
}

/// Values whose sums round: three digits of different sizes.
fn value(rank: usize, i: usize) -> f32 {
    let x = (rank * 7919 + i * 104_729) % 10_007;
    (x as f32 - 5003.0) * [1.0, 1e-4, 3e3][(rank + i) % 3]
}

/// The tree, for one element.
fn model(values: &[f32]) -> f32 {
    match values {
        [value] => *value,
        _ => {
            let (first, second) = values.split_at(values.len() / 2);
            model(first) + model(second)
        }
    }
}

#[test]
fn sums_are_those_of_the_tree_on_every_rank() {
    // Lengths that do not halve evenly, that are shorter than the number of ranks, and more than one message.
    for (size, len) in [
        (1, 10),
        (2, 7),
        (4, 1003),
        (8, 5),
        (8, 0),
        (16, 333),
        (2, 2 * PIECE + 5),
    ] {
        let found = together(size, |mut ranks| {
            let mut values: Vec<f32> = (0..len).map(|i| value(ranks.rank(), i)).collect();
            ranks.sum(&mut values).expect("all there");
            (values, ranks.traffic().bytes)
        });
        let column = |i| (0..size).map(|rank| value(rank, i)).collect::<Vec<f32>>();
        let expected: Vec<u32> = (0..len).map(|i| model(&column(i)).to_bits()).collect();
        let in_order = |i| column(i).into_iter().reduce(|sum, x| sum + x);
        let other = (0..len).filter(|&i| in_order(i) != Some(f32::from_bits(expected[i])));
        // Another order of additions gives other bits somewhere, so this comparison can fail.
        assert!(size < 4 || len < 100 || other.count() > 10, "{size} ranks");
        for (rank, (values, bytes)) in found.into_iter().enumerate() {
            let bits: Vec<u32> = values.iter().map(|x| x.to_bits()).collect();
            assert!(bits == expected, "rank {rank} of {size}, {len} elements");
            let due = 8.0 * len as f64 * (size - 1) as f64 / size as f64;
            let slack = 8.0 * f64::from(size.ilog2());
            assert!((bytes as f64 - due).abs() <= slack, "{bytes} of {due}");
        }
    }
}

#[test]
fn records_of_all_come_to_all() {
    for size in [1, 2, 8] {
        let found = together(size, |mut ranks| {
            let rank = ranks.rank() as u64;
            ranks.barrier().expect("all there");
            ranks.gather([rank, rank * rank + 1]).expect("all there")
        });
        let expected: Vec<[u64; 2]> = (0..size as u64).map(|r| [r, r * r + 1]).collect();
        assert_eq!(found, vec![expected; size]);
    }
}

#[test]
fn trees_of_numbers() {
    assert_eq!((tree(&[]), tree(&[3.0])), (0.0, 3.0));
    let values = [1.0, 1e-16, 1e-16, 1e-16];
    assert_eq!(tree(&values), 1.0 + 2e-16);
    assert_ne!(tree(&values), values.iter().sum::<f64>());
}

#[test]
fn a_rank_that_ended_is_an_error_of_the_others() {
    let found = together(4, |mut ranks| {
        if ranks.rank() == 2 {
            return Ok(Vec::new());
        }
        ranks.gather([1])
    });
    let errors: Vec<String> = found
        .iter()
        .filter_map(|result| result.as_ref().err().map(ToString::to_string))
        .collect();
    // Rank 3 waits for 2, 0 for 2 at the second level, 1 for 3, which gave up.
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(errors[2].contains("rank 3: rank 2 ended"), "{errors:?}");
}

#[test]
fn three_ranks_are_refused() {
    let exchange = Threads::new(3).remove(0);
    let error = Ranks::new(Box::new(exchange)).expect_err("refused");
    assert!(error.to_string().contains("found 3"), "{error}");
}
