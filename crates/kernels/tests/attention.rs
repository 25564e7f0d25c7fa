//! Attention against f64 and against itself on every instruction set and thread count.

mod common;

use albert_kernels::Isa;
use albert_kernels::attention::{Attention, Relative, Sequence, attention};
use common::{Numbers, bits, pools, scratch};

struct Case {
    heads: usize,
    d: usize,
    sequences: Vec<Sequence>,
    key_rows: Vec<u32>,
    positions: Vec<u32>,
    longest: usize,
}

/// Sequences of these lengths; `hole`: every third position hidden; the last sequence has no key of its own.
fn case(heads: usize, d: usize, lengths: &[usize], hole: bool) -> Case {
    let mut case = Case {
        heads,
        d,
        sequences: vec![],
        key_rows: vec![],
        positions: vec![],
        longest: *lengths.iter().max().unwrap(),
    };
    for (i, &len) in lengths.iter().enumerate() {
        let (first, key_start) = (case.positions.len(), case.key_rows.len());
        let uniform = hole && i + 1 == lengths.len();
        case.positions.extend(0..len as u32);
        case.key_rows.extend(
            (0..len)
                .filter(|p| uniform || !hole || p % 3 != 1)
                .map(|p| (first + p) as u32),
        );
        case.sequences.push(Sequence {
            rows: first..first + len,
            keys: key_start..case.key_rows.len(),
            uniform,
        });
    }
    case
}

/// Context and probabilities in f64.
fn exact(
    case: &Case,
    qkv: &[f32],
    scale: f32,
    relative: Option<Relative<'_>>,
    head_scale: Option<&[f32]>,
) -> (Vec<f64>, Vec<f64>) {
    let (heads, d, t) = (case.heads, case.d, case.positions.len());
    let part = |which: usize, row: usize, head: usize| {
        qkv[(row * 3 + which) * heads * d + head * d..][..d]
            .iter()
            .map(|x| f64::from(*x))
            .collect::<Vec<_>>()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut context = vec![0.0; t * heads * d];
    let mut probabilities = vec![0.0; t * heads * case.longest];
    for sequence in &case.sequences {
        for row in sequence.rows.clone() {
            for head in 0..heads {
                let q = part(0, row, head);
                let keys: Vec<usize> = case.key_rows[sequence.keys.clone()]
                    .iter()
                    .map(|&k| k as usize)
                    .collect();
                let scores: Vec<f64> = keys
                    .iter()
                    .map(|&key| {
                        if sequence.uniform {
                            return 0.0;
                        }
                        let k = part(1, key, head);
                        let mut score = dot(&q, &k) * f64::from(scale);
                        if let Some(Relative {
                            table,
                            positions,
                            with_key,
                        }) = relative
                        {
                            let at = case.positions[row] as usize + positions
                                - 1
                                - case.positions[key] as usize;
                            let entry: Vec<f64> =
                                table[at * d..][..d].iter().map(|x| f64::from(*x)).collect();
                            score += dot(&q, &entry) + if with_key { dot(&k, &entry) } else { 0.0 };
                        }
                        score
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
                for (&key, score) in keys.iter().zip(&scores) {
                    let p =
                        (score - top).exp() / sum * f64::from(head_scale.map_or(1.0, |h| h[head]));
                    probabilities
                        [(row * heads + head) * case.longest + case.positions[key] as usize] = p;
                    for (out, v) in context[row * heads * d + head * d..][..d]
                        .iter_mut()
                        .zip(part(2, key, head))
                    {
                        *out += p * v;
                    }
                }
            }
        }
    }
    (context, probabilities)
}

fn check(case: &Case, seed: u64, relative: Option<(bool, usize)>, head_scale: Option<&[f32]>) {
    let (heads, d, t) = (case.heads, case.d, case.positions.len());
    let mut numbers = Numbers(seed);
    let qkv: Vec<f32> = numbers
        .take(t * 3 * heads * d)
        .iter()
        .map(|x| x * 2.0)
        .collect();
    let table = relative.map(|(_, p)| numbers.take((2 * p - 1) * d));
    let relative = relative
        .zip(table.as_ref())
        .map(|((with_key, positions), table)| Relative {
            table,
            positions,
            with_key,
        });
    let scale = 1.0 / (d as f32).sqrt();
    let (context, probabilities) = exact(case, &qkv, scale, relative, head_scale);
    let mut first: Option<(Vec<u32>, Vec<u32>)> = None;
    for isa in Isa::available() {
        for pool in &pools() {
            let mut found = vec![f32::NAN; t * heads * d];
            let mut weights = vec![f32::NAN; t * heads * case.longest];
            let input = Attention {
                qkv: &qkv,
                heads,
                head_size: d,
                scale,
                sequences: &case.sequences,
                key_rows: &case.key_rows,
                positions: &case.positions,
                relative,
                head_scale,
                dropout: None,
            };
            attention(
                isa,
                pool,
                input,
                &mut found,
                Some((&mut weights, case.longest)),
                &mut scratch(pool),
            );
            let mut without = vec![f32::NAN; t * heads * d];
            attention(isa, pool, input, &mut without, None, &mut scratch(pool));
            assert_eq!(
                bits(&found),
                bits(&without),
                "asking for probabilities changes the context"
            );
            match &first {
                None => first = Some((bits(&found), bits(&weights))),
                Some(first) => assert!(
                    (bits(&found), bits(&weights)) == *first,
                    "{isa:?}, {} threads: other bits",
                    pool.threads()
                ),
            }
            // Scores up to about 4·√d with errors of a few roundings; weights and their mean of v follow.
            let tolerance = 64.0 * 2f64.powi(-24) * (d as f64).sqrt();
            for (what, found, exact) in [
                ("context", &found, &context),
                ("weights", &weights, &probabilities),
            ] {
                for (i, (f, e)) in found.iter().zip(exact).enumerate() {
                    let error = (f64::from(*f) - e).abs();
                    assert!(error <= tolerance, "{isa:?} {what} {i}: {f} against {e}");
                }
            }
        }
    }
}

#[test]
fn sequences_of_awkward_lengths_and_head_sizes() {
    for (heads, d) in [(1, 1), (3, 16), (2, 26), (1, 64), (2, 100)] {
        check(
            &case(heads, d, &[1, 2, 15, 16, 17, 33, 70], false),
            10 + d as u64,
            None,
            None,
        );
        check(
            &case(heads, d, &[3, 40, 1, 7], true),
            20 + d as u64,
            None,
            None,
        );
    }
}

#[test]
fn long_sequences_split_over_threads() {
    check(&case(1, 32, &[300], false), 30, None, None);
    check(&case(1, 20, &[129, 200], true), 31, None, None);
}

#[test]
fn relative_positions_and_head_factors() {
    check(
        &case(2, 12, &[5, 33, 18], true),
        40,
        Some((false, 40)),
        None,
    );
    check(&case(2, 12, &[5, 33, 18], true), 41, Some((true, 40)), None);
    check(
        &case(3, 10, &[20, 4], false),
        42,
        None,
        Some(&[1.0, 0.0, 0.25]),
    );
}
