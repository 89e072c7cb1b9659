//! Work on threads, its results in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, scope};

/// How many threads there are, and how far they may be ahead.
#[derive(Debug, Clone, Copy)]
pub struct Crew {
    /// Threads, beside the one that takes the results.
    pub threads: usize,
    /// Most results that wait or are under way: what bounds the memory.
    pub ahead: usize,
}

/// Works on `0..count` on threads, each with a state of its own, and gives the results to `take` on this thread, in order; until it
/// breaks. Where the system grants no thread, the work is done here.
///
/// # Panics
/// Where the work does.
pub fn ordered<S, T: Send>(
    count: usize,
    crew: Crew,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> ControlFlow<()>,
) {
    let desk = Desk { ahead: crew.ahead.max(1), ..Desk::new(count) };
    scope(|scope| {
        let wanted = crew.threads.min(count);
        let hired = (0..wanted).take_while(|_| hire(scope, &desk, &start, &work)).count();
        if hired == 0 {
            let mut state = start();
            let _ = (0..count).try_for_each(|index| take(index, work(&mut state, index)));
            return;
        }
        // Leaves no thread waiting, however this ends.
        let _closing = Closing(&desk);
        let mut index = 0;
        while let Some(result) = desk.result(index) {
            index += 1;
            if take(index - 1, result).is_break() {
                return;
            }
        }
    });
}

/// Starts a thread, unless the system refuses it.
fn hire<'scope, S, T: Send>(
    scope: &'scope Scope<'scope, '_>,
    desk: &'scope Desk<T>,
    start: &'scope (impl Fn() -> S + Sync),
    work: &'scope (impl Fn(&mut S, usize) -> T + Sync),
) -> bool {
    let body = move || {
        let mut leaving = Leaving { desk, done: false };
        let mut state = start();
        while let Some(index) = desk.next() {
            desk.put(index, work(&mut state, index));
        }
        leaving.done = true;
    };
    Builder::new().name("pictures".into()).spawn_scoped(scope, body).is_ok()
}

/// Where work is fetched and results are left.
struct Desk<T> {
    count: usize,
    ahead: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The next piece of work.
    next: usize,
    /// Results that were taken.
    taken: usize,
    results: BTreeMap<usize, T>,
    closed: bool,
}

impl<T> Desk<T> {
    fn new(count: usize) -> Self {
        let state = State { next: 0, taken: 0, results: BTreeMap::new(), closed: false };
        Desk { count, ahead: 1, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`, or until all is over.
    fn wait(&self, ready: impl Fn(&State<T>) -> bool) -> MutexGuard<'_, State<T>> {
        let waits = |state: &mut State<T>| !state.closed && !ready(state);
        self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece of work, as soon as it is not too far ahead; `None` where there is none left.
    fn next(&self) -> Option<usize> {
        let mut state = self.wait(|state| state.next >= self.count || state.next < state.taken + self.ahead);
        let index = state.next;
        (!state.closed && index < self.count).then(|| state.next += 1).map(|()| index)
    }

    fn put(&self, index: usize, result: T) {
        self.lock().results.insert(index, result);
        self.changed.notify_all();
    }

    /// The result of that piece of work, which is the next to be taken; `None` behind the last one.
    fn result(&self, index: usize) -> Option<T> {
        if index == self.count {
            return None;
        }
        let mut state = self.wait(|state| state.results.contains_key(&index));
        let result = state.results.remove(&index)?;
        state.taken = index + 1;
        drop(state);
        self.changed.notify_all();
        Some(result)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// A thread at work. Where it panics nobody must wait for its result: the panic is passed on when the threads are joined.
struct Leaving<'d, T> {
    desk: &'d Desk<T>,
    done: bool,
}

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        if !self.done {
            self.desk.close();
        }
    }
}

struct Closing<'d, T>(&'d Desk<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::{Crew, ordered};

    #[test]
    fn results_come_in_order_and_not_too_far_ahead() {
        for threads in [0, 1, 2, 7] {
            let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut found = Vec::new();
            let work = |state: &mut usize, index: usize| {
                *state += 1;
                let ahead = begun.fetch_add(1, Ordering::SeqCst) + 1 - taken.load(Ordering::SeqCst);
                // The one that is being taken counts as well.
                assert!(ahead <= 5, "{ahead} at once");
                std::thread::sleep(Duration::from_micros((index as u64 * 37) % 200));
                index * index
            };
            ordered(
                100,
                Crew { threads, ahead: 4 },
                || 0,
                work,
                |index, result| {
                    taken.fetch_add(1, Ordering::SeqCst);
                    found.push((index, result));
                    ControlFlow::Continue(())
                },
            );
            let all: Vec<_> = (0..100).map(|index| (index, index * index)).collect();
            assert_eq!(found, all, "{threads} threads");
        }
    }

    #[test]
    fn it_ends_early_when_it_is_told_to() {
        let done = AtomicUsize::new(0);
        let mut found = Vec::new();
        let work = |_: &mut (), index| {
            done.fetch_add(1, Ordering::SeqCst);
            index
        };
        ordered(
            1_000_000,
            Crew { threads: 3, ahead: 8 },
            || (),
            work,
            |index, _| {
                found.push(index);
                if index == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        );
        assert_eq!(found, (0..=10).collect::<Vec<_>>());
        assert!(done.into_inner() <= 20);
    }

    #[test]
    fn a_panic_is_passed_on() {
        let work = |_: &mut (), index| assert!(index != 5, "the sixth");
        let crew = Crew { threads: 2, ahead: 3 };
        let run = || ordered(50, crew, || (), work, |_, ()| ControlFlow::Continue(()));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }

    #[test]
    fn nothing_is_no_work() {
        ordered(0, Crew { threads: 2, ahead: 2 }, || (), |(), _| (), |_, ()| panic!("nothing to take"));
    }
}
