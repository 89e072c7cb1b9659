//! A communicator of NCCL, and the thread that ends it where a rank has gone: its kernels on the GPU wait for ever otherwise, and
//! whoever waits for the GPU with them.
//!
//! It does not block (`blocking = 0` of `ncclConfig_t`): calls return at once, and are asked for until they are done. So the lock is
//! never held for long, and `ncclCommAbort` never meets a call of another thread's.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::library::{Comm, Library, Status, UniqueId};
use crate::cuda::communicator::{Communicator, Piece, Stream};
use crate::error::{Error, Result};
use crate::ranks::Collective;

/// How often the thread looks whether all is well.
const LOOK: Duration = Duration::from_millis(100);
/// How often a call that is under way is asked for.
const ASK: Duration = Duration::from_micros(200);
/// Longest wait for other ranks: none is waited for longer, whatever its pulse says.
const ANSWER: Duration = Duration::from_secs(600);
/// Longest wait for an orderly end.
const END: Duration = Duration::from_secs(5);

/// The ways between the GPUs of a training's ranks.
pub struct Nccl {
    shared: Arc<Shared>,
    watch: Option<JoinHandle<()>>,
}

struct Shared {
    library: Library,
    /// The ways between the processes, which know first that one has gone.
    ranks: Arc<Collective>,
    state: Mutex<State>,
    closing: Condvar,
}

#[derive(Default)]
struct State {
    /// None where it has ended.
    comm: Option<Comm>,
    failed: Option<String>,
    /// Since when the rank waits for its GPU.
    waits: Option<Instant>,
    closes: bool,
}

impl Nccl {
    /// Meets the other ranks, on the GPU whose context is this thread's. All ranks do so at the same time, each on a GPU of its own.
    ///
    /// # Errors
    /// Where a rank does not come, or has the same GPU; the system's, where it refuses a thread.
    pub fn connect(library: Library, ranks: Arc<Collective>) -> Result<Self> {
        let [rank, size] = [ranks.rank(), ranks.size()].map(|number| {
            c_int::try_from(number)
                .map_err(|_| Error::Ranks(format!("NCCL: {number} is no number of a rank")))
        });
        let id = spread_id(&library, &ranks)?;
        let (status, comm) = library.begin(id, [rank?, size?]);
        if !status.is_well() {
            return Err(Error::Ranks(format!(
                "NCCL: meeting the other ranks: {}",
                library.text(status, None)
            )));
        }
        let state = Mutex::new(State { comm: Some(comm), ..State::default() });
        let shared = Arc::new(Shared { library, ranks, state, closing: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let watch = std::thread::Builder::new().name("nccl".to_owned()).spawn(move || theirs.watch());
        let watch = watch.map_err(|error| Error::Ranks(format!("no thread to watch NCCL: {error}")))?;
        let nccl = Nccl { shared, watch: Some(watch) };
        nccl.shared.settle("meeting the other ranks", Status::IN_PROGRESS)?;
        Ok(nccl)
    }
}

/// Rank 0's name for all of them. Where it has none, it tells them by empty bytes.
fn spread_id(library: &Library, ranks: &Collective) -> Result<UniqueId> {
    let (status, own) =
        if ranks.rank() == 0 { library.unique_id() } else { (Status::SUCCESS, UniqueId([0; 128])) };
    let own = if status == Status::SUCCESS { own.0.to_vec() } else { Vec::new() };
    let bytes = ranks.broadcast(own)?;
    let text = || format!("NCCL: rank 0 has no name for the ranks: {}", library.text(status, None));
    bytes.try_into().map(UniqueId).map_err(|_| Error::Ranks(text()))
}

impl Communicator for Nccl {
    fn rank(&self) -> usize {
        self.shared.ranks.rank()
    }

    fn size(&self) -> usize {
        self.shared.ranks.size()
    }

    fn describe(&self) -> String {
        format!("NCCL {}", self.shared.library.version())
    }

    fn exchange(&self, pieces: &[Piece], stream: Stream) -> Result<()> {
        let (library, state) = (&self.shared.library, self.shared.lock());
        let comm = state.comm.ok_or_else(|| state.error())?;
        let stream: *mut c_void = std::ptr::with_exposed_provenance_mut(stream.0 as usize);
        let status = library.group(|| {
            let calls = pieces.iter().flat_map(|&Piece { peer, sent, received }| {
                // The number of a rank has been one of C's.
                let peer = peer as c_int;
                let sends = (sent.bytes > 0).then(|| library.send(sent, peer, comm, stream));
                let receives = (received.bytes > 0).then(|| library.receive(received, peer, comm, stream));
                sends.into_iter().chain(receives)
            });
            calls.into_iter().find(|status| !status.is_well()).unwrap_or(Status::SUCCESS)
        });
        drop(state);
        self.shared.settle("what ranks send each other", status)
    }

    fn check(&self) -> Result<()> {
        let state = self.shared.lock();
        if state.failed.is_some() { Err(state.error()) } else { Ok(()) }
    }

    fn waits(&self, waits: bool) {
        self.shared.lock().waits = waits.then(Instant::now);
        self.shared.ranks.pulse().waits(waits);
    }
}

impl State {
    fn error(&self) -> Error {
        Error::Ranks(self.failed.clone().unwrap_or_else(|| "NCCL has ended".to_owned()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call is done.
    fn settle(&self, what: &str, status: Status) -> Result<()> {
        let (start, mut status) = (Instant::now(), status);
        let under_way = status == Status::IN_PROGRESS;
        if under_way {
            self.ranks.pulse().waits(true);
        }
        while status == Status::IN_PROGRESS && start.elapsed() < ANSWER {
            std::thread::sleep(ASK);
            let state = self.lock();
            status = self.library.state(state.comm.ok_or_else(|| state.error())?);
        }
        if under_way {
            self.ranks.pulse().waits(false);
        }
        if status == Status::SUCCESS {
            return Ok(());
        }
        let state = self.lock();
        let text = self.library.text(status, state.comm);
        Err(self.fail(state, format!("NCCL: {what}: {text}")))
    }

    /// Ends the communicator: nothing is waited for any more. The first reason is the one that is told.
    fn fail(&self, mut state: MutexGuard<'_, State>, text: String) -> Error {
        state.failed.get_or_insert(text);
        let (comm, error) = (state.comm.take(), state.error());
        // It may take its time, in which others hear of the failure.
        drop(state);
        if let Some(comm) = comm {
            self.library.abort(comm);
        }
        error
    }

    /// What is wrong, if anything is.
    fn trouble(&self, state: &State) -> Option<String> {
        let comm = state.comm?;
        if let Err(error) = self.ranks.check() {
            return Some(error.to_string());
        }
        let status = self.library.state(comm);
        if !status.is_well() {
            return Some(format!("NCCL: {}", self.library.text(status, Some(comm))));
        }
        let long = state.waits.is_some_and(|since| since.elapsed() > ANSWER);
        long.then(|| format!("NCCL: the GPU has waited {} s for the other ranks", ANSWER.as_secs()))
    }

    /// Looks at all until the end.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.closes {
            state = self.closing.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            if let Some(text) = self.trouble(&state) {
                self.fail(state, text);
                return;
            }
        }
    }

    /// Ends a communicator in order, or at once where the others do not do the same.
    fn end(&self, comm: Comm) {
        let (start, mut status) = (Instant::now(), self.library.finalize(comm));
        while status == Status::IN_PROGRESS && start.elapsed() < END {
            std::thread::sleep(ASK);
            status = self.library.state(comm);
        }
        match status {
            Status::SUCCESS => self.library.destroy(comm),
            _ => self.library.abort(comm),
        }
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        self.shared.lock().closes = true;
        self.shared.closing.notify_all();
        if let Some(watch) = self.watch.take() {
            // It panics for no reason of the training's.
            let _ = watch.join();
        }
        let comm = self.shared.lock().comm.take();
        if let Some(comm) = comm {
            self.shared.end(comm);
        }
    }
}
