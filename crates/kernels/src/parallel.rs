//! Threads: a pool whose idle workers watch one word, and disjoint tiles of a matrix for them to write.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Rounds a worker watches for the next job before it sleeps: about 100 µs, more than the gap between
/// two operations of a model and far less than a scheduler's time slice.
const SPIN_ROUNDS: u32 = 4_000;

/// A fixed set of threads that run the tasks of one job at a time; the caller is one of them.
///
/// Which thread runs a task, and in which order tasks start, is not fixed: tasks must not depend on it.
pub struct Pool {
    shared: Arc<Shared>,
    /// One job at a time.
    turn: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

/// A job as workers see it: task number, thread number.
type Job<'a> = dyn Fn(usize, usize) + Sync + 'a;

struct Shared {
    /// Epoch (24 bits), number of tasks (20 bits), next task (20 bits). Taking a task is one addition.
    state: AtomicU64,
    /// Tasks of this job that have ended.
    ended: AtomicUsize,
    /// The job of the current epoch; valid while a taken task has not ended.
    job: UnsafeCell<Option<&'static Job<'static>>>,
    panicked: AtomicBool,
    stop: AtomicBool,
    sleepers: Mutex<usize>,
    wake: Condvar,
}

// SAFETY: `job` is written only by the thread that holds `Pool::turn`, while no task is taken, and read only
// by a thread that has taken a task of that epoch; the atomic `state` orders the two.
unsafe impl Sync for Shared {}
// SAFETY: as above; every other field is Send.
unsafe impl Send for Shared {}

const TASK_BITS: u32 = 20;
const TASK_MASK: u64 = (1 << TASK_BITS) - 1;

/// The largest number of tasks of one job.
pub const MAX_TASKS: usize = (1 << (TASK_BITS - 1)) as usize;

fn next_task(state: u64) -> usize {
    (state & TASK_MASK) as usize
}

fn task_count(state: u64) -> usize {
    (state >> TASK_BITS & TASK_MASK) as usize
}

impl Shared {
    /// Takes and runs tasks until none is left.
    fn work(&self, thread: usize) {
        loop {
            let seen = self.state.load(Ordering::Acquire);
            if next_task(seen) >= task_count(seen) {
                return;
            }
            let taken = self.state.fetch_add(1, Ordering::AcqRel);
            if next_task(taken) >= task_count(taken) {
                return;
            }
            // SAFETY: this thread holds a task of the current epoch that has not ended, so the caller
            // of `Pool::run` still waits: the job is in place and what it borrows is alive.
            let job = unsafe { (*self.job.get()).expect("a taken task has a job") };
            if catch_unwind(AssertUnwindSafe(|| job(next_task(taken), thread))).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.ended.fetch_add(1, Ordering::Release);
        }
    }

    fn has_work(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        next_task(state) < task_count(state)
    }

    fn worker(&self, thread: usize) {
        loop {
            let mut rounds = 0;
            while !self.has_work() {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                rounds += 1;
                if rounds < SPIN_ROUNDS {
                    std::hint::spin_loop();
                    continue;
                }
                let mut sleepers = self.sleepers.lock().expect("no panic while locked");
                *sleepers += 1;
                while !self.has_work() && !self.stop.load(Ordering::Relaxed) {
                    sleepers = self.wake.wait(sleepers).expect("no panic while locked");
                }
                *sleepers -= 1;
                rounds = 0;
            }
            self.work(thread);
        }
    }
}

impl Pool {
    /// A pool of `threads` threads (at least one: the caller).
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            ended: AtomicUsize::new(0),
            job: UnsafeCell::new(None),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            sleepers: Mutex::new(0),
            wake: Condvar::new(),
        });
        let mut pool = Self {
            shared,
            turn: Mutex::new(()),
            workers: Vec::new(),
        };
        for thread in 1..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            pool.workers.push(
                std::thread::Builder::new()
                    .name(format!("albert-{thread}"))
                    .spawn(move || shared.worker(thread))?,
            );
        }
        Ok(pool)
    }

    /// Number of threads, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `job(task, thread)` for every task in `0..tasks` and returns when all have ended.
    ///
    /// # Panics
    /// When a task panics, when there are more than [`MAX_TASKS`]. Must not be called from inside a task.
    pub fn run(&self, tasks: usize, job: &Job<'_>) {
        assert!(tasks <= MAX_TASKS, "{tasks} tasks, at most {MAX_TASKS}");
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(|task| job(task, 0));
            return;
        }
        let turn = self
            .turn
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let shared = &*self.shared;
        shared.ended.store(0, Ordering::Relaxed);
        // SAFETY: only the lifetime changes. The reference is used only for tasks of this epoch, and this
        // function returns only after all of them have ended.
        let job = unsafe { std::mem::transmute::<&Job<'_>, &'static Job<'static>>(job) };
        // SAFETY: this thread holds `turn`, and all tasks of the epoch before have ended.
        unsafe { *shared.job.get() = Some(job) };
        let epoch = (shared.state.load(Ordering::Relaxed) >> (2 * TASK_BITS)).wrapping_add(1);
        let state = epoch << (2 * TASK_BITS) | (tasks as u64) << TASK_BITS;
        {
            // A worker goes to sleep under this lock after it found no work: it is either counted
            // here, or it sees the new state.
            let sleepers = shared.sleepers.lock().expect("no panic while locked");
            shared.state.store(state, Ordering::Release);
            if *sleepers > 0 {
                shared.wake.notify_all();
            }
        }
        shared.work(0);
        while shared.ended.load(Ordering::Acquire) < tasks {
            std::hint::spin_loop();
        }
        // SAFETY: all tasks have ended.
        unsafe { *shared.job.get() = None };
        let panicked = shared.panicked.swap(false, Ordering::Relaxed);
        drop(turn);
        if panicked {
            resume_unwind(Box::new("a task of the thread pool panicked"));
        }
    }

    /// Runs `job(scratch, i, chunk)` for every run of `size` elements of `data` (the last one may be shorter), on all
    /// threads, each with a scratch of its own.
    ///
    /// # Panics
    /// When there are fewer scratches than threads, or as [`Pool::run`].
    pub fn for_chunks<T: Send, U: Send>(
        &self,
        data: &mut [T],
        size: usize,
        scratch: &mut [U],
        job: impl Fn(&mut U, usize, &mut [T]) + Sync,
    ) {
        assert!(
            scratch.len() >= self.threads(),
            "{} scratches for {} threads",
            scratch.len(),
            self.threads()
        );
        let scratch = SharedSlice(scratch.as_mut_ptr(), PhantomData);
        let (len, data) = (data.len(), SharedSlice(data.as_mut_ptr(), PhantomData));
        // More chunks than tasks may be: several chunks for each task.
        let (chunks, per_task) = (
            len.div_ceil(size),
            len.div_ceil(size).div_ceil(MAX_TASKS).max(1),
        );
        self.run(chunks.div_ceil(per_task), &|task, thread| {
            // SAFETY: a thread runs one task at a time, and `thread` < `threads()` ≤ `scratch.len()`.
            let scratch = unsafe { &mut *scratch.get().add(thread) };
            for i in task * per_task..chunks.min((task + 1) * per_task) {
                let count = size.min(len - i * size);
                // SAFETY: chunk i lies inside the slice, and each i belongs to one task: chunks are disjoint.
                let chunk =
                    unsafe { std::slice::from_raw_parts_mut(data.get().add(i * size), count) };
                job(scratch, i, chunk);
            }
        });
    }

    /// Runs `job` once for every tile of `grid`, on all threads, each with a scratch of its own.
    ///
    /// # Panics
    /// When there are fewer scratches than threads, or as [`Pool::run`].
    pub fn for_tiles<T: Send>(
        &self,
        mut out: MatMut<'_>,
        grid: Grid<'_>,
        scratch: &mut [T],
        job: impl Fn(&mut T, TileMut<'_>) + Sync,
    ) {
        let mut nothing = [];
        let none = MatMut::new(&mut nothing, 0, 0);
        let no_columns = Cuts::Even { len: 0, step: 1 };
        self.for_tile_pairs(
            [(out.reborrow(), grid.cols), (none, no_columns)],
            grid,
            scratch,
            |s, [a, _]| job(s, a),
        );
    }

    /// As [`Pool::for_tiles`], for two matrices at once: task (i, j) gets row part i of both, and of each its
    /// own column part j. A matrix without rows or columns gives empty tiles.
    ///
    /// # Panics
    /// As [`Pool::for_tiles`].
    pub fn for_tile_pairs<T: Send>(
        &self,
        out: [(MatMut<'_>, Cuts<'_>); 2],
        grid: Grid<'_>,
        scratch: &mut [T],
        job: impl Fn(&mut T, [TileMut<'_>; 2]) + Sync,
    ) {
        assert!(
            scratch.len() >= self.threads(),
            "{} scratches for {} threads",
            scratch.len(),
            self.threads()
        );
        let scratch = SharedSlice(scratch.as_mut_ptr(), PhantomData);
        grid.rows.check();
        let views = out.map(|(mat, cols)| {
            cols.check();
            (
                SharedSlice(mat.data.as_mut_ptr(), PhantomData),
                mat.data.len(),
                mat.rows,
                mat.cols,
                cols,
            )
        });
        let (row_parts, col_parts) = (grid.rows.parts(), grid.cols.parts());
        self.run(row_parts * col_parts, &|task, thread| {
            let (i, j) = (task / col_parts, task % col_parts);
            let tiles = [&views[0], &views[1]].map(|(data, len, rows, cols, cuts)| {
                let row_range = clamp(grid.rows.part(i), *rows);
                let col_range = if row_range.is_empty() {
                    0..0
                } else {
                    clamp(cuts.part(j), *cols)
                };
                assert!(row_range.end * cols <= *len, "tile outside its matrix");
                TileMut {
                    data: data.get(),
                    stride: *cols,
                    rows: row_range,
                    cols: col_range,
                    life: PhantomData,
                }
            });
            // SAFETY: a thread runs one task at a time, and `thread` < `threads()` ≤ `scratch.len()`.
            let scratch = unsafe { &mut *scratch.get().add(thread) };
            job(scratch, tiles);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let _sleepers = self.shared.sleepers.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
            self.shared.wake.notify_all();
        }
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn clamp(range: Range<usize>, end: usize) -> Range<usize> {
    range.start.min(end)..range.end.min(end)
}

/// A pointer that threads share; each use says why its accesses are disjoint.
struct SharedSlice<'a, T>(*mut T, PhantomData<&'a mut [T]>);
// SAFETY: only a pointer; every dereference carries its own argument.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<T> SharedSlice<'_, T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

/// Where a length is cut: disjoint ranges, in order, that cover it.
#[derive(Clone, Copy)]
pub enum Cuts<'a> {
    /// Parts of `step`, the last one shorter.
    Even {
        /// The length.
        len: usize,
        /// The length of a part.
        step: usize,
    },
    /// Part i runs from element i to element i + 1.
    At(&'a [usize]),
}

impl Cuts<'_> {
    /// Number of parts.
    pub fn parts(&self) -> usize {
        match self {
            Cuts::Even { len, step } => len.div_ceil(*step),
            Cuts::At(at) => at.len().saturating_sub(1),
        }
    }

    fn part(&self, i: usize) -> Range<usize> {
        match self {
            Cuts::Even { step, .. } => i * step..(i + 1) * step,
            Cuts::At(at) => at[i]..at[i + 1],
        }
    }

    /// Parts overlap unless the cuts are in order.
    fn check(&self) {
        if let Cuts::At(at) = self {
            assert!(at.is_sorted(), "cuts in order");
        }
    }
}

/// Row and column cuts of a matrix: each task owns one tile.
#[derive(Clone, Copy)]
pub struct Grid<'a> {
    /// Cuts of the rows.
    pub rows: Cuts<'a>,
    /// Cuts of the columns.
    pub cols: Cuts<'a>,
}

/// A row-major matrix to be written, [rows, cols].
pub struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
}

impl<'a> MatMut<'a> {
    /// # Panics
    /// When the slice holds another number of elements.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix of {rows} x {cols}");
        Self { data, rows, cols }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    fn reborrow(&mut self) -> MatMut<'_> {
        MatMut {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
        }
    }
}

/// One task's part of a matrix: some rows, some columns.
pub struct TileMut<'a> {
    data: *mut f32,
    stride: usize,
    rows: Range<usize>,
    cols: Range<usize>,
    life: PhantomData<&'a mut [f32]>,
}

impl TileMut<'_> {
    /// The rows of the matrix that this tile covers.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The columns of the matrix that this tile covers.
    pub fn cols(&self) -> Range<usize> {
        self.cols.clone()
    }

    /// Elements of matrix row `row` in columns `cols` (matrix coordinates).
    ///
    /// # Panics
    /// When they lie outside the tile.
    #[inline(always)]
    pub fn row(&mut self, row: usize, cols: Range<usize>) -> &mut [f32] {
        assert!(
            self.rows.start <= row && row < self.rows.end,
            "row outside the tile"
        );
        assert!(
            self.cols.start <= cols.start && cols.start <= cols.end && cols.end <= self.cols.end,
            "columns outside the tile"
        );
        // SAFETY: `for_tile_pairs` made this tile inside its matrix, from one part of the row cuts and one of the
        // column cuts, and parts do not overlap: no other tile reaches these elements. `&mut self`
        // keeps two rows of this tile from being borrowed at once.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.data.add(row * self.stride + cols.start),
                cols.len(),
            )
        }
    }
}
