//! Whether all ranks of a training are alive: each tells rank 0 each second how far it is, beside the training and over connections
//! of their own. A rank whose connection ends, that is silent, or that does nothing and waits for nobody ends the training of all,
//! and all say which it was.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::control::{Control, Wish};
use super::fault::Fault;
use super::pulse::Pulse;
use super::watcher::Watcher;
use crate::error::{Error, Result};

/// The watch of a process over the ranks of its training. It has to be told how the training ended, by the thread that connected:
/// one that is dropped counts as a rank that died.
pub struct Watch {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
    /// Ends what the transport needs.
    finish: Option<Box<dyn FnOnce()>>,
}

impl Watch {
    /// Of one rank alone: there is nobody to watch.
    pub(super) fn alone(pulse: Arc<Pulse>) -> Self {
        Watch { control: Arc::new(Control::new(Arc::default(), pulse)), thread: None, finish: None }
    }

    /// Begins to watch.
    pub(super) fn start(watcher: Watcher, finish: Option<Box<dyn FnOnce()>>) -> Result<Self> {
        let control = watcher.control();
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || watcher.run());
        let thread =
            thread.map_err(|error| Error::Ranks(format!("no thread to watch the other ranks: {error}")))?;
        Ok(Watch { control, thread: Some(thread), finish })
    }

    /// What ended the training, once something did.
    pub fn fault(&self) -> &Arc<Fault> {
        &self.control.fault
    }

    /// The training is done: waits until it is on all ranks. The transport has to be dropped before.
    ///
    /// # Errors
    /// Where a rank was at fault at the last moment.
    pub fn end(mut self) -> Result<()> {
        self.control.pulse.waits(true);
        if let Some(finish) = self.finish.take().filter(|_| !self.control.fault.is_set()) {
            finish();
        }
        self.stop(Wish::End);
        self.control.fault.check()
    }

    /// The training failed on this rank: tells the others why, and waits a moment until they have heard.
    pub fn fail(mut self, error: &str) {
        self.stop(Wish::Fail(error.to_owned()));
    }

    fn stop(&mut self, wish: Wish) {
        self.control.set(wish);
        if let Some(thread) = self.thread.take() {
            // It panics for no reason of the training's; connections that end tell the others.
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop(Wish::Leave);
    }
}
