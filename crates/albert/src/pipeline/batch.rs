//! Rows of tokens through a model: sorted by length, in batches of bounded size, results in order.

use crate::error::{Error, Result};
use crate::inputs::Inputs;

/// One sequence for the model.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) ids: Vec<i64>,
    pub(crate) types: Vec<i64>,
}

/// Rows as one padded batch. Padding is masked, so its token does not matter: 0 is in every vocabulary.
pub(crate) fn padded(rows: &[&Row]) -> Inputs {
    let ids: Vec<Vec<i64>> = rows.iter().map(|row| row.ids.clone()).collect();
    let inputs = Inputs::from_sequences(&ids, 0);
    let mut types = vec![0; inputs.batch * inputs.length];
    for (row, out) in rows.iter().zip(types.chunks_exact_mut(inputs.length)) {
        out[..row.types.len()].copy_from_slice(&row.types);
    }
    Inputs {
        token_type_ids: Some(types),
        ..inputs
    }
}

/// Places of the rows, batch by batch: neighbours in length, at most `budget` tokens, at least one row.
fn plan(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for i in order {
        match batches.last_mut() {
            Some(batch) if tokens + lengths[i] <= budget => batch.push(i),
            _ => {
                batches.push(vec![i]);
                tokens = 0;
            }
        }
        tokens += lengths[i];
    }
    batches
}

/// What the model computed, in f64; refused where it is no number, of which no answer can be made: weights may be
/// damaged.
pub(crate) fn numbers<T: Copy + Into<f64>>(row: &[T]) -> Result<Vec<f64>> {
    let number = |&x: &T| match x.into() {
        x if x.is_finite() => Ok(x),
        x => Err(Error::input(
            "the model's output",
            "finite numbers; its weights may be damaged, take another copy of the checkpoint",
            x,
        )),
    };
    row.iter().map(number).collect()
}

/// Runs `model` on batches of the rows; it returns one value for each row that it is given. Should a batch fail,
/// its rows run alone, so that only those fail that must.
pub(crate) fn run<T>(
    rows: &[Row],
    budget: usize,
    model: impl Fn(&[&Row]) -> Result<Vec<T>>,
) -> Vec<Result<T>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
    let mut results: Vec<Option<Result<T>>> = rows.iter().map(|_| None).collect();
    for batch in plan(&lengths, budget) {
        let members: Vec<&Row> = batch.iter().map(|&i| &rows[i]).collect();
        match model(&members) {
            Ok(values) => {
                assert_eq!(values.len(), batch.len(), "one value for each row");
                for (i, value) in batch.into_iter().zip(values) {
                    results[i] = Some(Ok(value));
                }
            }
            Err(error) if batch.len() == 1 => results[batch[0]] = Some(Err(error)),
            Err(_) => {
                for (i, row) in batch.into_iter().zip(members) {
                    results[i] = Some(model(&[row]).map(super::only));
                }
            }
        }
    }
    results
        .into_iter()
        .map(|result| result.expect("every row is in a batch"))
        .collect()
}

/// The results of rows that belong together: of each list of `counts` that many, in order. One error is enough.
pub(crate) fn regroup<T>(results: Vec<Result<T>>, counts: &[usize]) -> Vec<Result<Vec<T>>> {
    let mut results = results.into_iter();
    let lists = counts
        .iter()
        .map(|&count| results.by_ref().take(count).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    lists
        .into_iter()
        .map(|list| list.into_iter().collect())
        .collect()
}

/// Runs the rows of many inputs at once: `prepared` holds for each input its rows and what `finish` needs to make
/// its answer of their values, or its error.
pub(crate) fn answer<P, T, R>(
    prepared: Vec<Result<(Vec<Row>, P)>>,
    budget: usize,
    model: impl Fn(&[&Row]) -> Result<Vec<T>>,
    finish: impl Fn(P, Vec<T>) -> Result<R>,
) -> Vec<Result<R>> {
    let mut rows = Vec::new();
    let mut counts = Vec::new();
    let rests: Vec<Result<P>> = prepared
        .into_iter()
        .map(|one| {
            let (own, rest) = one?;
            counts.push(own.len());
            rows.extend(own);
            Ok::<P, Error>(rest)
        })
        .collect();
    let mut values = regroup(run(&rows, budget, model), &counts).into_iter();
    rests
        .into_iter()
        .map(|rest| {
            let rest = rest?;
            finish(rest, values.next().expect("a list for each input")?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(length: usize) -> Row {
        Row {
            ids: (0..length as i64).collect(),
            types: vec![1; length],
        }
    }

    #[test]
    fn batches_hold_at_most_the_budget_and_every_row_once() {
        let lengths = [3, 100, 1, 7, 7, 0, 50, 2];
        let batches = plan(&lengths, 12);
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        for batch in &batches {
            let tokens: usize = batch.iter().map(|&i| lengths[i]).sum();
            assert!(tokens <= 12 || batch.len() == 1, "{batch:?}");
        }
        assert_eq!(plan(&[], 12), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn results_come_in_order_and_a_failing_row_fails_alone() {
        let rows: Vec<Row> = [5, 2, 9, 1, 4].map(row).into();
        let results = run(&rows, 12, |rows| {
            if rows.iter().any(|row| row.ids.len() == 4) {
                return Err(Error::input("row", "another length", 4));
            }
            Ok(rows.iter().map(|row| row.ids.len()).collect())
        });
        let lengths: Vec<Option<usize>> = results.into_iter().map(Result::ok).collect();
        assert_eq!(lengths, [Some(5), Some(2), Some(9), Some(1), None]);
    }

    #[test]
    fn answers_belong_to_their_inputs() {
        let prepared = vec![
            Ok((vec![row(1), row(2)], 'a')),
            Err(Error::input("text", "something", "nothing")),
            Ok((vec![], 'b')),
            Ok((vec![row(3)], 'c')),
        ];
        let model = |rows: &[&Row]| Ok(rows.iter().map(|row| row.ids.len()).collect());
        let answers = answer(prepared, 2, model, |name, values| Ok((name, values)));
        let answers: Vec<_> = answers.into_iter().map(Result::ok).collect();
        let expected = [
            Some(('a', vec![1, 2])),
            None,
            Some(('b', vec![])),
            Some(('c', vec![3])),
        ];
        assert_eq!(answers, expected);
    }

    #[test]
    fn padding_is_masked() {
        let (a, b) = (row(1), row(3));
        let inputs = padded(&[&a, &b]);
        assert_eq!((inputs.batch, inputs.length), (2, 3));
        assert_eq!(inputs.input_ids.unwrap(), [0, 0, 0, 0, 1, 2]);
        assert_eq!(inputs.token_type_ids.unwrap(), [1, 0, 0, 1, 1, 1]);
        assert_eq!(
            inputs.attention_mask.unwrap(),
            [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]
        );
    }
}
