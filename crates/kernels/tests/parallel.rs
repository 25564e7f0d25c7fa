//! The thread pool: every task once, panics passed on, threads that come back.

use std::sync::atomic::{AtomicUsize, Ordering};

use albert_kernels::parallel::{Cuts, Grid, MatMut, Pool};

#[test]
fn every_task_runs_exactly_once_however_many_there_are() {
    for threads in [1, 2, 3, 8] {
        let pool = Pool::new(threads).unwrap();
        for round in 0..3000 {
            let tasks = round % 37;
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, &|task, thread| {
                assert!(thread < threads);
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                counts.iter().all(|c| c.load(Ordering::Relaxed) == 1),
                "{threads} threads, round {round}"
            );
        }
    }
}

#[test]
fn sleeping_workers_wake_up() {
    let pool = Pool::new(4).unwrap();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(3));
        let sum = AtomicUsize::new(0);
        pool.run(100, &|task, _| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}

#[test]
fn a_panic_in_a_task_reaches_the_caller_and_the_pool_goes_on() {
    let pool = Pool::new(3).unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.run(10, &|task, _| assert_ne!(task, 5))
    }));
    assert!(outcome.is_err());
    let count = AtomicUsize::new(0);
    pool.run(10, &|_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.into_inner(), 10);
}

#[test]
fn several_callers_take_turns() {
    let pool = Pool::new(3).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let sum = AtomicUsize::new(0);
                    pool.run(9, &|task, _| {
                        sum.fetch_add(task, Ordering::Relaxed);
                    });
                    assert_eq!(sum.into_inner(), 36);
                }
            });
        }
    });
}

#[test]
fn tiles_cover_a_matrix_once() {
    let pool = Pool::new(4).unwrap();
    let mut data = vec![0.0; 23 * 17];
    let grid = Grid {
        rows: Cuts::At(&[0, 5, 5, 6, 23]),
        cols: Cuts::Even { len: 17, step: 4 },
    };
    pool.for_tiles(
        MatMut::new(&mut data, 23, 17),
        grid,
        &mut [(); 4],
        |(), mut tile| {
            for row in tile.rows() {
                for x in tile.row(row, tile.cols()) {
                    *x += 1.0;
                }
            }
        },
    );
    assert!(data.iter().all(|x| *x == 1.0));
}

#[test]
#[should_panic(expected = "cuts in order")]
fn overlapping_cuts_are_refused() {
    let pool = Pool::new(1).unwrap();
    let grid = Grid {
        rows: Cuts::At(&[0, 3, 2, 4]),
        cols: Cuts::Even { len: 1, step: 1 },
    };
    pool.for_tiles(
        MatMut::new(&mut [0.0; 4], 4, 1),
        grid,
        &mut [()],
        |(), _| {},
    );
}
