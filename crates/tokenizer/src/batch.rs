//! Work on many inputs with several threads: order kept, results independent of the threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Inputs that a thread takes at once: enough that taking costs nothing, few enough that no thread
/// waits long for the last.
const CHUNK: usize = 32;

/// Applies `work` to every item and returns the results in order. Each thread has a state of its own.
pub(crate) fn map<'a, T, R, S>(
    items: &'a [T],
    threads: NonZeroUsize,
    state: impl Fn() -> S + Sync,
    finish: impl Fn(S) + Sync,
    work: impl Fn(&mut S, &'a T) -> R + Sync,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    let threads = threads.get().min(items.len().div_ceil(CHUNK));
    if threads <= 1 {
        let mut own = state();
        let results = items.iter().map(|item| work(&mut own, item)).collect();
        finish(own);
        return results;
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let (mut own, mut done) = (state(), Vec::new());
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            let Some(start) = chunk
                .checked_mul(CHUNK)
                .filter(|start| *start < items.len())
            else {
                finish(own);
                return done;
            };
            let items = &items[start..items.len().min(start + CHUNK)];
            let results: Vec<R> = items.iter().map(|item| work(&mut own, item)).collect();
            done.push((chunk, results));
        }
    };
    let mut chunks: Vec<(usize, Vec<R>)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut chunks = run();
        for other in others {
            match other.join() {
                Ok(done) => chunks.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        chunks
    });
    chunks.sort_unstable_by_key(|(chunk, _)| *chunk);
    chunks
        .into_iter()
        .flat_map(|(_, results)| results)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_on_any_number_of_threads() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [1, 2, 3, 64] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let seen = AtomicUsize::new(0);
            let finish = |count: usize| {
                seen.fetch_add(count, Ordering::Relaxed);
            };
            let results = map(
                &items,
                threads,
                || 0,
                finish,
                |count, item| {
                    *count += 1;
                    item * 2
                },
            );
            assert_eq!(results, items.iter().map(|i| i * 2).collect::<Vec<_>>());
            assert_eq!(seen.into_inner(), items.len());
        }
        let one = NonZeroUsize::MIN;
        assert_eq!(map(&[0; 0], one, || (), |()| (), |(), i: &i32| *i), [0; 0]);
    }
}
