//! Work on several threads whose result depends on none of that: whole numbers are added, everything else keeps its place.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Items that a thread takes at once.
const CHUNK: usize = 1 << 10;

/// Calls `work` with ranges that make up 0..items, on `threads` threads with a state each, and returns the states.
pub(super) fn ranges<S: Send>(
    items: usize,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, Range<usize>) + Sync,
) -> Vec<S> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut own = state();
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= items {
                return own;
            }
            work(&mut own, start..items.min(start + CHUNK));
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut states = vec![run()];
        for other in others {
            match other.join() {
                Ok(own) => states.push(own),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states
    })
}

/// Adds lists of whole numbers.
pub(super) fn sums(lists: impl IntoIterator<Item = Vec<u64>>) -> Vec<u64> {
    let mut lists = lists.into_iter();
    let mut sums = lists.next().unwrap_or_default();
    for list in lists {
        for (sum, x) in sums.iter_mut().zip(list) {
            *sum += x;
        }
    }
    sums
}
