//! The functions of NCCL that are called, by their signatures in `nccl.h`.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;

use libloading::Library as Loaded;

use crate::cuda::communicator::Span;
use crate::error::{Error, Result};

/// NCCL's own name of a training's ranks, spread by rank 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct UniqueId(pub [u8; 128]);

/// A communicator, which belongs to the process, not to a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comm(*mut c_void);

// SAFETY: NCCL's functions may be called from any thread, one at a time for a communicator, which its owner's lock sees to.
unsafe impl Send for Comm {}

/// A result: 0 is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(pub c_int);

impl Status {
    pub const SUCCESS: Status = Status(0);
    /// What was asked for is under way in a thread of NCCL's.
    pub const IN_PROGRESS: Status = Status(7);

    /// Whether nothing is wrong so far.
    pub fn is_well(self) -> bool {
        [Status::SUCCESS, Status::IN_PROGRESS].contains(&self)
    }
}

/// The beginning of `ncclConfig_t`, as NCCL 2.14 had it: later versions take what is not there for its default.
#[repr(C)]
struct Config {
    size: usize,
    magic: c_uint,
    version: c_int,
    blocking: c_int,
}

const MAGIC: c_uint = 0xcafe_beef;
/// The version that [`Config`] is of, as `ncclGetVersion` counts.
const VERSION: c_int = 21_400;
/// `ncclUint8`
const BYTES: c_int = 1;

macro_rules! functions {
    ($($name:ident = $symbol:literal: fn($($arg:ty),*) -> $result:ty;)*) => {
        /// Pointers to the functions, which the library keeps valid.
        struct Functions {
            $($name: unsafe extern "C" fn($($arg),*) -> $result,)*
        }

        impl Functions {
            /// # Safety
            /// The library is NCCL: its functions have these signatures.
            unsafe fn of(loaded: &Loaded) -> std::result::Result<Self, libloading::Error> {
                // SAFETY: as this function's own.
                Ok(unsafe { Functions { $($name: *loaded.get($symbol)?,)* } })
            }
        }
    };
}

functions! {
    version = b"ncclGetVersion": fn(*mut c_int) -> c_int;
    unique_id = b"ncclGetUniqueId": fn(*mut UniqueId) -> c_int;
    init = b"ncclCommInitRankConfig": fn(*mut *mut c_void, c_int, UniqueId, c_int, *mut Config) -> c_int;
    async_error = b"ncclCommGetAsyncError": fn(*mut c_void, *mut c_int) -> c_int;
    abort = b"ncclCommAbort": fn(*mut c_void) -> c_int;
    finalize = b"ncclCommFinalize": fn(*mut c_void) -> c_int;
    destroy = b"ncclCommDestroy": fn(*mut c_void) -> c_int;
    group_start = b"ncclGroupStart": fn() -> c_int;
    group_end = b"ncclGroupEnd": fn() -> c_int;
    send = b"ncclSend": fn(*const c_void, usize, c_int, c_int, *mut c_void, *mut c_void) -> c_int;
    receive = b"ncclRecv": fn(*mut c_void, usize, c_int, c_int, *mut c_void, *mut c_void) -> c_int;
    error_string = b"ncclGetErrorString": fn(c_int) -> *const c_char;
    last_error = b"ncclGetLastError": fn(*mut c_void) -> *const c_char;
}

/// NCCL.
pub struct Library {
    functions: Functions,
    /// Holds the functions.
    _loaded: Loaded,
}

impl Library {
    /// Opens the library's file.
    ///
    /// # Errors
    /// Where it cannot be loaded, or a function is missing: NCCL has all of them from 2.14 on.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |error: libloading::Error| Error::Device(format!("NCCL: {}: {error}", path.display()));
        // SAFETY: the library is NCCL, whose initialisers may run in any thread.
        let loaded = unsafe { Loaded::new(path) }.map_err(fail)?;
        // SAFETY: likewise.
        let functions = unsafe { Functions::of(&loaded) }.map_err(fail)?;
        Ok(Library { functions, _loaded: loaded })
    }

    /// `2.27.3`
    pub(super) fn version(&self) -> String {
        let mut version = 0;
        // SAFETY: the function writes the one number.
        unsafe { (self.functions.version)(&mut version) };
        format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
    }

    /// A name for the ranks of one training.
    pub(super) fn unique_id(&self) -> (Status, UniqueId) {
        let mut id = UniqueId([0; 128]);
        // SAFETY: the function writes the 128 bytes.
        let status = unsafe { (self.functions.unique_id)(&mut id) };
        (Status(status), id)
    }

    /// Begins to meet the other ranks, on the GPU that is this thread's; does not wait.
    pub(super) fn begin(&self, id: UniqueId, [rank, size]: [c_int; 2]) -> (Status, Comm) {
        let mut comm = std::ptr::null_mut();
        let mut config = Config { size: size_of::<Config>(), magic: MAGIC, version: VERSION, blocking: 0 };
        // SAFETY: the function writes the one pointer, and reads as much of the configuration as its size says.
        let status = unsafe { (self.functions.init)(&mut comm, size, id, rank, &mut config) };
        (Status(status), Comm(comm))
    }

    /// Where a communicator stands: in progress, well, or why not.
    pub(super) fn state(&self, comm: Comm) -> Status {
        let mut state = 0;
        // SAFETY: the communicator is alive, as its owner's lock sees to; the function writes the one number.
        let asked = Status(unsafe { (self.functions.async_error)(comm.0, &mut state) });
        if asked == Status::SUCCESS { Status(state) } else { asked }
    }

    /// Ends all that is under way, on the GPU too, and frees the communicator.
    pub(super) fn abort(&self, comm: Comm) {
        // SAFETY: the owner has given the communicator up. What cannot be freed is lost.
        unsafe { (self.functions.abort)(comm.0) };
    }

    /// Begins to end a communicator that has nothing under way.
    pub(super) fn finalize(&self, comm: Comm) -> Status {
        // SAFETY: the communicator is alive.
        Status(unsafe { (self.functions.finalize)(comm.0) })
    }

    /// Frees a communicator that was finalized.
    pub(super) fn destroy(&self, comm: Comm) {
        // SAFETY: the owner has given the communicator up.
        unsafe { (self.functions.destroy)(comm.0) };
    }

    /// Makes one of all sends and receives in between: they go on at the same time.
    pub(super) fn group(&self, calls: impl FnOnce() -> Status) -> Status {
        // SAFETY: a start and its end, in one thread, stand around calls.
        let started = Status(unsafe { (self.functions.group_start)() });
        let called = if started.is_well() { calls() } else { started };
        // SAFETY: as above.
        let ended = Status(unsafe { (self.functions.group_end)() });
        if called.is_well() { ended } else { called }
    }

    /// Sends bytes of the GPU's, in order with a stream.
    pub(super) fn send(&self, span: Span, peer: c_int, comm: Comm, stream: *mut c_void) -> Status {
        let from = std::ptr::with_exposed_provenance(span.address as usize);
        // SAFETY: the communicator is alive, the address of memory with so many bytes, the stream of its GPU.
        Status(unsafe { (self.functions.send)(from, span.bytes, BYTES, peer, comm.0, stream) })
    }

    /// Receives bytes, likewise.
    pub(super) fn receive(&self, span: Span, peer: c_int, comm: Comm, stream: *mut c_void) -> Status {
        let to = std::ptr::with_exposed_provenance_mut(span.address as usize);
        // SAFETY: as in `send`; nobody else uses the bytes meanwhile.
        Status(unsafe { (self.functions.receive)(to, span.bytes, BYTES, peer, comm.0, stream) })
    }

    /// What NCCL says of a status: `unhandled system error: Connection refused`.
    pub(super) fn text(&self, status: Status, comm: Option<Comm>) -> String {
        let comm = comm.map_or(std::ptr::null_mut(), |comm| comm.0);
        // SAFETY: the functions give texts that end with a zero, or null; the communicator is alive, or none.
        let texts = unsafe { [(self.functions.error_string)(status.0), (self.functions.last_error)(comm)] };
        let texts = texts.into_iter().filter(|text| !text.is_null());
        // SAFETY: as above; the texts stay until the next call.
        let texts = texts.map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy().trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
    }
}
