//! What ended a training of several ranks: found by one thread, seen by all that wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// How long a transport that lost a rank waits for whoever watches to say more: the rank's host and step.
const EXPLANATION: Duration = Duration::from_secs(3);

/// Set once, by the first who finds that a rank is at fault; nothing goes on from then.
#[derive(Debug, Default)]
pub struct Fault {
    set: AtomicBool,
    text: Mutex<Option<String>>,
    known: Condvar,
    /// Whether somebody will set it where a rank goes.
    watched: AtomicBool,
}

impl Fault {
    /// Says what is at fault; whether this is the first to say so.
    pub fn set(&self, text: &str) -> bool {
        let mut known = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let first = known.is_none();
        known.get_or_insert_with(|| text.to_owned());
        self.set.store(true, Ordering::Release);
        self.known.notify_all();
        first
    }

    /// Whether a rank is at fault: cheap, to be asked in loops.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    /// What is at fault.
    pub fn text(&self) -> Option<String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails where a rank is at fault.
    ///
    /// # Errors
    /// What is at fault.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::Ranks(self.text().unwrap_or_default())) } else { Ok(()) }
    }

    /// A [`super::Watch`] looks at the ranks from now on.
    pub(super) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// The error of a transport that found something by itself. Who watches knows more, and gets a moment to say it.
    pub(super) fn explain(&self, found: String) -> Error {
        let known = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = if self.watched.load(Ordering::Relaxed) { EXPLANATION } else { Duration::ZERO };
        let known = self.known.wait_timeout_while(known, wait, |text| text.is_none());
        let (text, _) = known.unwrap_or_else(PoisonError::into_inner);
        Error::Ranks(text.clone().unwrap_or(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        let fault = Fault::default();
        assert!(fault.check().is_ok() && !fault.is_set());
        assert!(fault.set("rank 1 has ended") && !fault.set("rank 2 has ended"));
        assert_eq!(fault.check().expect_err("set").to_string(), "rank 1 has ended");
        assert_eq!(fault.explain("a connection".into()).to_string(), "rank 1 has ended");
    }

    #[test]
    fn a_transport_that_nobody_watches_tells_its_own_finding_at_once() {
        assert_eq!(Fault::default().explain("rank 3 has gone".into()).to_string(), "rank 3 has gone");
    }

    #[test]
    fn who_watches_gets_a_moment() {
        let fault = Fault::default();
        fault.watch();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                fault.set("rank 1 on host a has ended in step 7")
            });
            let told = fault.explain("rank 1 has gone".into()).to_string();
            assert_eq!(told, "rank 1 on host a has ended in step 7");
        });
    }
}
