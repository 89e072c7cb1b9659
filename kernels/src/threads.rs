//! A persistent pool of threads.
//!
//! A kernel calls [`ThreadPool::run`] with a task that every thread runs once, with its own index; which part of the work is
//! whose follows from the index alone ([`chunk`]), so the same thread count gives the same sums in the same order, bit
//! for bit. Where no sum crosses the parts, who does which makes no difference to the bits: then [`ThreadPool::hand_out`] lets
//! a thread that is done take over what others have left, which evens out threads that the machine runs at different
//! speeds. A run costs one barrier: nothing is allocated, nothing is locked, and threads that wait spin for a hundred
//! microseconds before they park.
//!
//! An index is not a thread of the system. Where the system refuses some threads, those that it grants run the others' indices
//! too, one after the other: slower, and the same bits. So no task may wait for another index of its run.

use std::cell::UnsafeCell;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};

use crate::error::{Error, Result};

/// Blocks that each thread has at least, where there are pixels enough: so that those of a slow one can be handed out.
pub const BLOCKS: usize = 4;

/// Pauses before a waiting thread parks: about a hundred microseconds, more than what the shares of a step differ by.
/// Waking a parked thread costs tens of them, which with one wait a step was a fifth of ResNet-50's inference
/// (`benches/NOTES.md`).
const SPINS: usize = 8192;

/// Most threads that a pool is asked for: more than any machine has, and few enough for their stacks and shares of scratch memory.
pub const MOST_THREADS: usize = 1024;

/// What the threads run; the lifetime is erased while a run lasts.
type Task = *const (dyn Fn(usize) + Sync);

/// One run, published by the caller.
struct Run {
    task: Task,
    caller: Thread,
}

struct Shared {
    /// Counts runs; a change tells the workers that `run` holds a new one.
    epoch: AtomicUsize,
    /// Workers still busy with the current run.
    remaining: AtomicUsize,
    /// Written by the caller before it advances `epoch`, read by the workers after they see that, and not written again
    /// before `remaining` is zero.
    run: UnsafeCell<Option<Run>>,
    stop: AtomicBool,
    panicked: AtomicBool,
}

// SAFETY: `run` is the only field without its own synchronisation; its accesses are ordered by `epoch` and `remaining`,
// as documented there. The pointer in it is to a `Sync` closure that outlives the run.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// As many threads as the machine offers this process.
pub fn available_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Threads that live as long as the pool: the caller of [`ThreadPool::run`] and `threads - 1` workers, or as many as the
/// system grants.
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Indices of a run.
    count: usize,
    /// Guards against a second run while one lasts.
    busy: AtomicBool,
    /// Of each thread, when items are handed out.
    left: Vec<Left>,
}

/// Items that a thread has not begun, from the first to before the end: these in the upper and the lower half of a word,
/// so that both change at once. In a cache line of its own.
#[repr(align(64))]
struct Left(AtomicU64);

impl Left {
    fn pack(items: &Range<usize>) -> u64 {
        ((items.start as u64) << 32) | items.end as u64
    }

    fn unpack(word: u64) -> Range<usize> {
        (word >> 32) as usize..(word & u64::from(u32::MAX)) as usize
    }

    fn count(&self) -> usize {
        Self::unpack(self.0.load(Ordering::Relaxed)).len()
    }

    /// Takes the first item, or the last one.
    fn take(&self, last: bool) -> Option<usize> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let mut items = Self::unpack(word);
            let item = if last { items.next_back() } else { items.next() }?;
            // No other memory is published by it: the items' data is ordered by the run's beginning and end.
            match self.0.compare_exchange_weak(word, Self::pack(&items), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(item),
                Err(now) => word = now,
            }
        }
    }
}

/// The items of a run that a thread is handed: those of its own share in order, then, one by one from their ends, those that
/// slower threads have not begun.
pub struct Items<'a> {
    left: &'a [Left],
    thread: usize,
}

impl Iterator for Items<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if let Some(item) = self.left[self.thread].take(false) {
            return Some(item);
        }
        loop {
            let slowest = self.left.iter().max_by_key(|left| left.count())?;
            if slowest.count() == 0 {
                return None;
            }
            if let Some(item) = slowest.take(true) {
                return Some(item);
            }
        }
    }
}

/// The items that a thread works on.
pub enum Part<'a> {
    /// These.
    Own(Range<usize>),
    /// Those that it is handed.
    Handed(Items<'a>),
}

impl Part<'_> {
    /// How many there may be left.
    pub fn count_left(&self) -> usize {
        match self {
            Part::Own(range) => range.len(),
            Part::Handed(items) => items.left.iter().map(Left::count).sum(),
        }
    }

    /// The items once more where they are its own; what it is handed is there once.
    pub fn again(&mut self) -> Part<'_> {
        match self {
            Part::Own(range) => Part::Own(range.clone()),
            Part::Handed(items) => Part::Handed(Items { left: items.left, thread: items.thread }),
        }
    }
}

impl Iterator for Part<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Part::Own(range) => range.next(),
            Part::Handed(items) => items.next(),
        }
    }
}

impl ThreadPool {
    /// Starts `threads - 1` workers, and waits for them; `threads` counts the caller.
    ///
    /// # Errors
    /// Where there are no threads at all to be, or more than [`MOST_THREADS`]. One that the system refuses is no error.
    pub fn new(threads: usize) -> Result<Self> {
        Self::start(threads, |index, work| {
            thread::Builder::new().name(format!("resnetc-{index}")).spawn(work)
        })
    }

    /// As [`ThreadPool::new`] does, with workers that `spawn` starts. The first that it refuses is the last that is asked for.
    fn start(
        threads: usize,
        mut spawn: impl FnMut(usize, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>,
    ) -> Result<Self> {
        check_count(threads)?;
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            remaining: AtomicUsize::new(0),
            run: UnsafeCell::new(None),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        });
        let mut pool = ThreadPool {
            shared,
            workers: Vec::with_capacity(threads - 1),
            count: threads,
            busy: AtomicBool::new(false),
            left: (0..threads).map(|_| Left(AtomicU64::new(0))).collect(),
        };
        for index in 1..threads {
            let shared = Arc::clone(&pool.shared);
            match spawn(index, Box::new(move || work(&shared, index))) {
                Ok(worker) => pool.workers.push(worker),
                Err(_) => break,
            }
        }
        // A thread that begins allocates what the standard library keeps for it: not in the first step.
        pool.run(&|_| ());
        Ok(pool)
    }

    /// Indices that a task is run with.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Threads of the system that run them, the caller included: fewer where the system refused some.
    pub fn granted(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `task(index)` once for each index in `0..count`, index 0 on the calling thread; returns when all are done.
    ///
    /// # Panics
    /// When the task panics on any thread, or when it is called from within a task.
    pub fn run(&self, task: &(dyn Fn(usize) + Sync)) {
        let granted = self.granted();
        if granted == 1 {
            return (0..self.count).for_each(task);
        }
        let share = |thread: usize| (thread..self.count).step_by(granted).for_each(task);
        let task: &(dyn Fn(usize) + Sync) = if granted == self.count { task } else { &share };
        assert!(!self.busy.swap(true, Ordering::Acquire), "a task must not start another run of its threads");
        let erased: *const (dyn Fn(usize) + Sync + '_) = task;
        // SAFETY: only the lifetime changes; this function returns after all threads are done with the task.
        let erased: Task = unsafe { std::mem::transmute(erased) };
        // SAFETY: no run is under way (`busy`), so no worker reads `run` before `epoch` advances.
        unsafe { *self.shared.run.get() = Some(Run { task: erased, caller: thread::current() }) };
        self.shared.remaining.store(self.workers.len(), Ordering::Relaxed);
        self.shared.epoch.fetch_add(1, Ordering::Release);
        for worker in &self.workers {
            worker.thread().unpark();
        }
        // The workers borrow the task: wait for them before anything else, even a panic of our own share.
        let own = catch_unwind(AssertUnwindSafe(|| task(0)));
        wait_until(|| self.shared.remaining.load(Ordering::Acquire) == 0);
        self.busy.store(false, Ordering::Release);
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!self.shared.panicked.load(Ordering::Relaxed), "a kernel panicked on a worker thread");
    }

    /// Runs `task(index, items)` once on each thread, with parts that yield each of `0..count` once between them. Which
    /// thread gets an item depends on timing: results must not.
    ///
    /// # Panics
    /// As [`ThreadPool::run`] does.
    pub fn hand_out(&self, count: usize, task: &(dyn Fn(usize, Part<'_>) + Sync)) {
        assert!(u32::try_from(count).is_ok(), "{count} items");
        for (thread, left) in self.left.iter().enumerate() {
            // The threads see it, as they see the task, once `epoch` has advanced.
            left.0.store(Left::pack(&chunk(count, 1, thread, self.count())), Ordering::Relaxed);
        }
        self.run(&|thread| task(thread, Part::Handed(Items { left: &self.left, thread })));
    }
}

/// Refuses a number of threads that no pool can have.
pub fn check_count(threads: usize) -> Result<()> {
    match threads {
        0 => Err(Error("the number of threads must be at least 1".to_owned())),
        1..=MOST_THREADS => Ok(()),
        _ => Err(Error(format!("{threads} threads are too many: at most {MOST_THREADS}"))),
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.epoch.fetch_add(1, Ordering::Release);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker cannot end by a panic: it catches the task's.
            let _ = worker.join();
        }
    }
}

/// A worker's life: wait for the next epoch, run its task, report.
fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        wait_until(|| shared.epoch.load(Ordering::Acquire) != seen);
        seen = seen.wrapping_add(1);
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: `epoch` has advanced, so the caller has written `run`, and it writes again only after `remaining`
        // reached zero, to which this worker contributes below.
        let run = unsafe { (*shared.run.get()).as_ref().expect("an epoch has a run") };
        let caller = run.caller.clone();
        // SAFETY: the caller keeps the closure alive until `remaining` is zero.
        let task = unsafe { &*run.task };
        if catch_unwind(AssertUnwindSafe(|| task(index))).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        if shared.remaining.fetch_sub(1, Ordering::Release) == 1 {
            caller.unpark();
        }
    }
}

/// Spins for a moment, then parks until unparked with the condition true.
fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if condition() {
            return;
        }
        std::hint::spin_loop();
    }
    while !condition() {
        thread::park();
    }
}

/// The part of `0..len` that belongs to thread `index` of `threads`: contiguous, and a multiple of `grain` long but for
/// the last.
pub fn chunk(len: usize, grain: usize, index: usize, threads: usize) -> Range<usize> {
    let grains = len.div_ceil(grain);
    let cut = |i: usize| (grains * i / threads * grain).min(len);
    cut(index)..cut(index + 1)
}

/// Thread `index`'s part of work that is pixels times items: its share of the pixels with all items, if `by_pixels`, or else
/// all pixels with its share of the items.
pub fn chunk_either(
    by_pixels: bool,
    [pixels, items]: [usize; 2],
    index: usize,
    threads: usize,
) -> [Range<usize>; 2] {
    match by_pixels {
        true => [chunk(pixels, 1, index, threads), 0..items],
        false => [0..pixels, chunk(items, 1, index, threads)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_runs_once_in_every_run() {
        for threads in [1, 2, 5] {
            let pool = ThreadPool::new(threads).unwrap();
            let counts: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..200 {
                pool.run(&|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 200), "{threads} threads: {counts:?}");
        }
    }

    /// A pool of `threads` indices for which the system grants no more than `granted` threads.
    fn refused(threads: usize, granted: usize) -> ThreadPool {
        let pool = ThreadPool::start(threads, |index, work| match index < granted {
            true => thread::Builder::new().spawn(work),
            false => Err(io::ErrorKind::WouldBlock.into()),
        });
        pool.unwrap()
    }

    #[test]
    fn indices_of_refused_threads_are_run_by_the_others() {
        for (threads, granted) in [(5, 1), (5, 2), (5, 3), (4, 2)] {
            let pool = refused(threads, granted);
            assert_eq!((pool.count(), pool.granted()), (threads, granted));
            let counts: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
            let items: Vec<AtomicUsize> = (0..97).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..50 {
                pool.run(&|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                pool.hand_out(items.len(), &|_, part| {
                    part.for_each(|item| {
                        items[item].fetch_add(1, Ordering::Relaxed);
                    })
                });
            }
            let even = |counts: &[AtomicUsize]| counts.iter().all(|c| c.load(Ordering::Relaxed) == 50);
            assert!(even(&counts) && even(&items), "{granted} of {threads}: {counts:?} {items:?}");
        }
    }

    #[test]
    fn a_panic_among_refused_threads_reaches_the_caller() {
        let pool = refused(3, 2);
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(&|i| assert_ne!(i, 2))));
        assert!(result.is_err());
    }

    #[test]
    fn every_item_is_handed_out_once() {
        for threads in [1, 2, 5] {
            let pool = ThreadPool::new(threads).unwrap();
            for count in [0, 1, 4, 97] {
                let counts: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                pool.hand_out(count, &|_, items| {
                    for item in items {
                        counts[item].fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(
                    counts.iter().all(|c| c.load(Ordering::Relaxed) == 1),
                    "{threads} threads: {counts:?}"
                );
            }
        }
    }

    #[test]
    fn a_thread_that_is_done_takes_what_others_have_left() {
        let pool = ThreadPool::new(2).unwrap();
        let done = AtomicUsize::new(0);
        pool.hand_out(8, &|thread, items| {
            for _ in items {
                // The second thread keeps its first item until all others are done.
                while thread == 1 && done.load(Ordering::Acquire) < 7 {
                    thread::yield_now();
                }
                done.fetch_add(1, Ordering::Release);
            }
        });
        assert_eq!(done.into_inner(), 8);
    }

    #[test]
    fn a_parked_worker_wakes() {
        let pool = ThreadPool::new(2).unwrap();
        let count = AtomicUsize::new(0);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(5));
            pool.run(&|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(count.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn a_panic_on_a_worker_reaches_the_caller_and_ends_cleanly() {
        let pool = ThreadPool::new(2).unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(&|i| assert_eq!(i, 0))));
        assert!(result.is_err());
    }

    #[test]
    fn chunks_cover_everything_once() {
        for len in 0..40 {
            for threads in 1..6 {
                let shares: Vec<_> = (0..threads).map(|i| chunk(len, 4, i, threads)).collect();
                assert_eq!(shares[0].start, 0);
                assert_eq!(shares[threads - 1].end, len);
                assert!(
                    shares
                        .windows(2)
                        .all(|p| p[0].end == p[1].start && p[0].end.is_multiple_of(4) || p[0].end == len)
                );
            }
        }
    }

    #[test]
    fn no_threads_is_an_error() {
        assert!(ThreadPool::new(0).is_err());
        for many in [MOST_THREADS + 1, 1_000_000_000, usize::MAX] {
            let error = ThreadPool::new(many).err().expect("too many").to_string();
            assert!(error.contains("at most 1024"), "{error}");
        }
    }
}
