//! cuDNN's handle: what a stream's calls go through.

use std::sync::Arc;

use cudarc::cudnn::sys;
use cudarc::driver::CudaStream;

use super::fault::{Fault, Result, check};

/// A handle on a stream. One thread at a time may use it.
pub struct Handle {
    raw: sys::cudnnHandle_t,
    /// The stream has to live as long.
    stream: Arc<CudaStream>,
}

// SAFETY: a handle may move to another thread; it is not `Sync`, so no two threads use it at a time.
unsafe impl Send for Handle {}

impl Handle {
    /// A handle whose calls run on the stream. The libraries have to be loaded: cuDNN, and before it NVRTC and cuBLASLt.
    ///
    /// # Errors
    /// What CUDA and cuDNN answer.
    pub fn new(stream: &Arc<CudaStream>) -> Result<Self> {
        let context = stream.context();
        context.bind_to_thread().map_err(|error| {
            Fault::refused(format!("GPU {} cannot be used by this thread: {error:?}", context.ordinal()))
        })?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: the stream's context is this thread's; `raw` is written where the status is success.
        let status = unsafe { sys::cudnnCreate(&mut raw) };
        check(status, || format!("cannot make a handle on GPU {}", context.ordinal()))?;
        let handle = Handle { raw, stream: Arc::clone(stream) };
        // SAFETY: the stream is of the context that the handle was made in, and lives as long as the handle.
        let status = unsafe { sys::cudnnSetStream(raw, stream.cu_stream().cast()) };
        check(status, || "cannot give the handle its stream".into())?;
        Ok(handle)
    }

    /// What its calls run on.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// For cuDNN's calls.
    pub(super) fn raw(&self) -> sys::cudnnHandle_t {
        self.raw
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was made by `new` and is destroyed once. A status that says otherwise helps nobody here.
        let _ = unsafe { sys::cudnnDestroy(self.raw) };
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cuDNN's handle on GPU {}", self.stream.context().ordinal())
    }
}
