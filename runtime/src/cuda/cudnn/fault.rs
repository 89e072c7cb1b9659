//! What cuDNN answers where it does not do as asked.

use std::ffi::CStr;
use std::fmt;

use cudarc::cudnn::sys;

use crate::error::Error;

/// Bytes of cuDNN's longest message that are read.
const MESSAGE: usize = 4096;

/// A call that failed, or a work that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was being done: descriptor and attribute.
    doing: String,
    /// cuDNN's status; none where it was not asked.
    status: Option<Status>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Status {
    code: u32,
    /// `CUDNN_STATUS_BAD_PARAM`
    name: String,
    /// What cuDNN said last.
    message: String,
}

/// Result of cuDNN's calls.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    /// Something that is known to be impossible without asking cuDNN.
    pub(super) fn refused(reason: String) -> Self {
        Fault { doing: reason, status: None }
    }

    /// Whether the same call will fail the next time, too: nothing is supported, or its kernel does not compile.
    pub fn is_lasting(&self) -> bool {
        // CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED.
        self.is_unsupported() || self.status.as_ref().is_some_and(|status| status.code == 4001)
    }

    /// Whether it says that there is no such engine or plan, rather than that something is broken.
    pub fn is_unsupported(&self) -> bool {
        // All of CUDNN_STATUS_NOT_SUPPORTED's kinds.
        self.status.as_ref().is_none_or(|status| (3000..4000).contains(&status.code))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Status { code, name, message }) = &self.status else { return f.write_str(&self.doing) };
        write!(f, "{}: {name} ({code})", self.doing)?;
        if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Device(format!("cuDNN: {fault}"))
    }
}

/// A fault where the status is not success; `doing` says of what.
pub(super) fn check(status: sys::cudnnStatus_t, doing: impl FnOnce() -> String) -> Result<()> {
    // As a number: a newer library has codes that the bindings do not name.
    let code = status as u32;
    if code == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS as u32 {
        return Ok(());
    }
    // SAFETY: the function takes any status, and returns a text that lives as long as the library, or null.
    let name = unsafe {
        let text = sys::cudnnGetErrorString(status);
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    };
    Err(Fault { doing: doing(), status: Some(Status { code, name, message: last_message() }) })
}

/// What cuDNN said last in this thread.
fn last_message() -> String {
    let mut bytes = vec![0u8; MESSAGE];
    // SAFETY: it writes at most as many bytes as it is told, the ending zero included.
    unsafe { sys::cudnnGetLastErrorString(bytes.as_mut_ptr().cast(), bytes.len()) };
    let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
