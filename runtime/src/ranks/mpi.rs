//! Ranks that an MPI connects: non-blocking collectives, asked from time to time whether they are done.
//!
//! MPI's own errors come back as errors, and a call that is not done when a rank is at fault is given up. MPI may then still write to its
//! buffers, so these are of this module: bytes go through them in pieces, and those of an unfinished call are never freed.

use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, forget};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mpi::ffi;

use super::fault::Fault;
use super::transport::Transport;
use crate::error::{Error, Result};

/// Bytes of a buffer: a call with more is cut into pieces. MPI counts in `int`, so no piece may have 2 GiB.
const PIECE: usize = 8 << 20;
/// How long a call is asked for without a pause: most small messages are done then, where each rank has a core.
const SPIN: Duration = Duration::from_micros(20);
/// How long the core is only offered to others between.
const YIELD: Duration = Duration::from_micros(200);
/// Longest pause. MPI moves bytes while it is asked, so a long one would slow large messages.
const PAUSE: Duration = Duration::from_micros(200);
/// How often the time limit is looked at, in questions.
const ROUND: u32 = 64;

/// MPI, from its begin to its end. It is ended by the thread that began it, as the standard asks.
pub(super) struct Session {
    /// No other thread can have it.
    _here: std::marker::PhantomData<*const ()>,
}

/// A communicator of our own over all ranks.
pub(super) struct Mpi {
    comm: ffi::MPI_Comm,
    rank: usize,
    size: usize,
    library: String,
    buffers: [Vec<u8>; 2],
    fault: Arc<Fault>,
    /// Longest call.
    limit: Duration,
    /// What failed; nothing goes on behind it.
    failed: Option<String>,
}

// SAFETY: a communicator's handle is of the process, not of a thread; MPI was begun so that any thread may call it, one at a time.
unsafe impl Send for Mpi {}

/// Begins MPI.
///
/// # Errors
/// Where MPI does not know of as many ranks as the launcher, or cannot serve several threads.
pub(super) fn start(
    size: usize,
    launcher: &str,
    fault: Arc<Fault>,
    limit: Duration,
) -> Result<(Mpi, Session)> {
    let mut provided: c_int = 0;
    // SAFETY: MPI is begun here alone, and once: a process has one training of several ranks. Null pointers stand for no arguments.
    let begun = unsafe {
        ffi::MPI_Init_thread(
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            ffi::RSMPI_THREAD_SERIALIZED,
            &mut provided,
        )
    };
    check(begun, "MPI_Init_thread")?;
    // SAFETY: a constant of the library.
    if provided < unsafe { ffi::RSMPI_THREAD_SERIALIZED } {
        return Err(Error::Ranks(format!(
            "{} was built without support for threads (MPI_THREAD_SERIALIZED): use another, as the system's packages have it",
            library()
        )));
    }
    let comm = duplicate()?;
    let (mut rank, mut found): (c_int, c_int) = (0, 0);
    // SAFETY: the communicator is valid, and the pointers are to integers.
    let told = unsafe { [ffi::MPI_Comm_rank(comm, &mut rank), ffi::MPI_Comm_size(comm, &mut found)] };
    told.into_iter().try_for_each(|code| check(code, "MPI_Comm_rank"))?;
    let (rank, found) = (rank.unsigned_abs() as usize, found.unsigned_abs() as usize);
    if found != size {
        return Err(Error::Ranks(format!(
            "{launcher} started {size} ranks, and MPI ({}) knows of {found}: start by the mpirun of that MPI, or by `srun --mpi=pmix`",
            library()
        )));
    }
    let mpi = Mpi {
        comm,
        rank,
        size,
        library: library(),
        buffers: [Vec::new(), Vec::new()],
        fault,
        limit,
        failed: None,
    };
    Ok((mpi, Session { _here: std::marker::PhantomData }))
}

/// Ranks that share memory with this one, itself among them.
///
/// # Errors
/// MPI's own.
pub(super) fn neighbours(mpi: &Mpi) -> Result<usize> {
    let (mut comm, mut size) = (MaybeUninit::uninit(), 0);
    // SAFETY: the communicator is valid, and the pointer is to memory for a handle; all ranks are here.
    let made = unsafe {
        let (kind, info) = (ffi::RSMPI_COMM_TYPE_SHARED, ffi::RSMPI_INFO_NULL);
        ffi::MPI_Comm_split_type(mpi.comm, kind, 0, info, comm.as_mut_ptr())
    };
    check(made, "MPI_Comm_split_type")?;
    // SAFETY: the call above succeeded, so the handle is written, and it is freed once.
    let asked = unsafe {
        let mut comm = comm.assume_init();
        [ffi::MPI_Comm_size(comm, &mut size), ffi::MPI_Comm_free(&mut comm)]
    };
    asked.into_iter().try_for_each(|code| check(code, "MPI_Comm_size"))?;
    Ok(size.unsigned_abs() as usize)
}

/// A copy of the communicator of all, whose errors are returned.
fn duplicate() -> Result<ffi::MPI_Comm> {
    let mut comm = MaybeUninit::uninit();
    // SAFETY: MPI has begun, and the pointer is to memory for a handle.
    let made = unsafe { ffi::MPI_Comm_dup(ffi::RSMPI_COMM_WORLD, comm.as_mut_ptr()) };
    check(made, "MPI_Comm_dup")?;
    // SAFETY: the call above succeeded, so the handle is written.
    let comm = unsafe { comm.assume_init() };
    // SAFETY: the communicator is valid, the handler one of the library's constants.
    let set = unsafe { ffi::MPI_Comm_set_errhandler(comm, ffi::RSMPI_ERRORS_RETURN) };
    check(set, "MPI_Comm_set_errhandler")?;
    Ok(comm)
}

impl Session {
    /// Ends MPI; waits until all ranks do. Without it, the launcher stops the other ranks as this process ends.
    pub(super) fn finish(self) {
        // SAFETY: MPI has begun in this thread, and its transport is done: no call is on its way. An error is not told: all is done.
        unsafe { ffi::MPI_Finalize() };
    }
}

/// `Open MPI v4.1.4`: the library's name for itself, as far as it is short.
fn library() -> String {
    let full = mpi::environment::library_version().unwrap_or_default();
    let end = full.find([',', '\n', '\0']).unwrap_or(full.len());
    full[..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error of MPI in words.
fn check(code: c_int, call: &str) -> Result<()> {
    // `MPI_SUCCESS` is 0 by the standard.
    if code == 0 {
        return Ok(());
    }
    // No library's texts are longer: MPICH's `MPI_MAX_ERROR_STRING` is 512, Open MPI's 256.
    let (mut text, mut len): ([u8; 2048], c_int) = ([0; 2048], 0);
    // SAFETY: the memory is longer than any text, and the pointers are valid for the call.
    unsafe { ffi::MPI_Error_string(code, text.as_mut_ptr().cast(), &mut len) };
    let len = (len.unsigned_abs() as usize).min(text.len());
    Err(Error::Ranks(format!("{call}: {}", String::from_utf8_lossy(&text[..len]))))
}

impl Mpi {
    /// Does a call of MPI with the two buffers, from its begin until it is done.
    fn call(
        &mut self,
        name: &str,
        begin: impl FnOnce(*mut c_void, *mut c_void, ffi::MPI_Comm, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<()> {
        // SAFETY: a constant of the library.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        let [one, other] = &mut self.buffers;
        let (one, other) = (one.as_mut_ptr().cast(), other.as_mut_ptr().cast());
        let done = check(begin(one, other, self.comm, &mut request), name).map_err(|error| self.lost(error));
        done.and_then(|()| self.wait(name, request)).inspect_err(|error| {
            // MPI may still write to them.
            std::mem::take(&mut self.buffers).into_iter().for_each(forget);
            self.failed = Some(error.to_string());
        })
    }

    /// Asks until a request is done, less and less often.
    fn wait(&self, name: &str, mut request: ffi::MPI_Request) -> Result<()> {
        let begun = Instant::now();
        for round in 1_u32.. {
            let mut done: c_int = 0;
            // SAFETY: the request was begun by this rank and is not done, and its status is not wanted.
            let asked = unsafe { ffi::MPI_Test(&mut request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
            check(asked, name).map_err(|error| self.lost(error))?;
            if done != 0 {
                return Ok(());
            }
            self.fault.check()?;
            let waited = begun.elapsed();
            if round.is_multiple_of(ROUND) && waited > self.limit {
                return Err(self.fault.explain(format!(
                    "{name} of {} ranks is not done after {} s: a rank does not answer, MPI does not say which",
                    self.size,
                    self.limit.as_secs()
                )));
            }
            pause(waited);
        }
        unreachable!("a time limit is met long before so many rounds")
    }

    /// An error of MPI: a rank has gone, which who watches knows better.
    fn lost(&self, error: Error) -> Error {
        self.fault.explain(error.to_string())
    }

    /// Fails where a call failed before.
    fn check(&self) -> Result<()> {
        self.failed.as_ref().map_or(Ok(()), |failed| Err(Error::Ranks(failed.clone())))
    }

    /// Buffers of so many bytes.
    fn buffers(&mut self, lens: [usize; 2]) {
        for (buffer, len) in self.buffers.iter_mut().zip(lens) {
            buffer.resize(len.max(buffer.len()), 0);
        }
    }

    /// Lengths of the pieces that chunks of such a length are sent in, with their begins.
    fn pieces(&self, chunk: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let most = (PIECE / self.size).max(1);
        (0..chunk).step_by(most).map(move |begin| (begin, most.min(chunk - begin)))
    }
}

/// Leaves the core to others, the longer the more has been waited: ranks may share it.
fn pause(waited: Duration) {
    if waited < SPIN {
        std::hint::spin_loop();
    } else if waited < YIELD {
        std::thread::yield_now();
    } else {
        std::thread::sleep((waited / 16).min(PAUSE));
    }
}

/// A number of bytes as MPI counts: a piece never has more.
fn count(bytes: usize) -> c_int {
    c_int::try_from(bytes).expect("pieces are shorter than 2 GiB")
}

impl Transport for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn describe(&self) -> String {
        format!("MPI ({})", self.library)
    }

    fn all_to_all(&mut self, sent: &[u8], received: &mut [u8]) -> Result<()> {
        self.check()?;
        let (size, chunk) = (self.size, sent.len() / self.size);
        for (begin, len) in self.pieces(chunk) {
            self.buffers([size * len, size * len]);
            for rank in 0..size {
                let part = &sent[rank * chunk + begin..][..len];
                self.buffers[0][rank * len..][..len].copy_from_slice(part);
            }
            // SAFETY: both buffers have a piece for each rank, and are kept until the request is done, or for ever.
            self.call("MPI_Ialltoall", |from, to, comm, request| unsafe {
                let byte = ffi::RSMPI_UINT8_T;
                ffi::MPI_Ialltoall(from, count(len), byte, to, count(len), byte, comm, request)
            })?;
            for rank in 0..size {
                let part = &self.buffers[1][rank * len..][..len];
                received[rank * chunk + begin..][..len].copy_from_slice(part);
            }
        }
        Ok(())
    }

    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        self.check()?;
        let size = self.size;
        for (begin, len) in self.pieces(own.len()) {
            self.buffers([len, size * len]);
            self.buffers[0][..len].copy_from_slice(&own[begin..][..len]);
            // SAFETY: the first buffer has a piece, the other one for each rank; they are kept until the request is done, or for ever.
            self.call("MPI_Iallgather", |from, to, comm, request| unsafe {
                let byte = ffi::RSMPI_UINT8_T;
                ffi::MPI_Iallgather(from, count(len), byte, to, count(len), byte, comm, request)
            })?;
            for rank in 0..size {
                let part = &self.buffers[1][rank * len..][..len];
                all[rank * own.len() + begin..][..len].copy_from_slice(part);
            }
        }
        Ok(())
    }

    fn broadcast(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.check()?;
        for part in bytes.chunks_mut(PIECE) {
            self.buffers([part.len(), 0]);
            self.buffers[0][..part.len()].copy_from_slice(part);
            // SAFETY: the buffer has the piece, and is kept until the request is done, or for ever.
            self.call("MPI_Ibcast", |buffer, _, comm, request| unsafe {
                ffi::MPI_Ibcast(buffer, count(part.len()), ffi::RSMPI_UINT8_T, 0, comm, request)
            })?;
            part.copy_from_slice(&self.buffers[0][..part.len()]);
        }
        Ok(())
    }
}
