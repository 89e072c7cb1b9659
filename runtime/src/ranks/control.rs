//! What a training and the thread that watches its ranks tell each other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::fault::Fault;
use super::pulse::Pulse;

/// What moves bytes between ranks that an MPI started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Carrier {
    /// MPI within a host and where a network moves bytes by itself (InfiniBand, Slingshot); else TCP.
    #[default]
    Auto,
    /// MPI.
    Mpi,
    /// Connections of our own: the kernel moves their bytes while a rank computes, where MPI does while it is asked.
    Tcp,
}

/// How ranks are waited for, and who says what became of them.
pub struct Options {
    /// What moves bytes between them.
    pub carrier: Carrier,
    /// Longest wait for all ranks to meet at the beginning.
    pub meet: Duration,
    /// A rank that is silent for so long, or does nothing and waits for no other, is at fault. It has to be longer than the
    /// longest work between two beats of its [`Pulse`].
    pub silence: Duration,
    /// Time in which a process may end by itself when a rank is at fault.
    pub grace: Duration,
    /// Longest call of a transport in which nothing comes: none is waited for longer, whatever its pulse says.
    pub answer: Duration,
    /// Says which rank is at fault, at once: a launcher may kill this process in a second. Called from another thread, once.
    pub tell: Box<dyn FnOnce(&str) + Send>,
    /// Ends the process that did not end within `grace`.
    pub exit: Box<dyn FnOnce() + Send>,
}

impl Options {
    /// Two minutes to meet, 20 s of silence, 5 s to end, ten minutes for an answer.
    pub fn new(tell: impl FnOnce(&str) + Send + 'static, exit: impl FnOnce() + Send + 'static) -> Self {
        Options {
            carrier: Carrier::Auto,
            meet: Duration::from_secs(120),
            silence: Duration::from_secs(20),
            grace: Duration::from_secs(5),
            answer: Duration::from_secs(600),
            tell: Box::new(tell),
            exit: Box::new(exit),
        }
    }
}

/// What the training wants of the thread that watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// It goes on.
    Watch,
    /// It failed by itself, with this error.
    Fail(String),
    /// It is done.
    End,
    /// It is gone without a word, as in a panic.
    Leave,
}

/// What the training's threads and the one that watches share.
pub(super) struct Control {
    pub fault: Arc<Fault>,
    pub pulse: Arc<Pulse>,
    wish: Mutex<Wish>,
}

impl Control {
    pub(super) fn new(fault: Arc<Fault>, pulse: Arc<Pulse>) -> Self {
        Control { fault, pulse, wish: Mutex::new(Wish::Watch) }
    }

    pub(super) fn wish(&self) -> Wish {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, wish: Wish) {
        *self.wish.lock().unwrap_or_else(PoisonError::into_inner) = wish;
    }
}
