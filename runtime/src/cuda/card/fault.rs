//! What is said where the driver fails.

use candle_core::cuda_backend::cudarc::driver::result::DriverError;

use crate::error::Error;

/// A call to the driver that failed.
pub(super) fn fault(what: &str, error: &DriverError) -> Error {
    Error::Device(format!("cuda: {what}: {error:?}"))
}

/// A thread has ended in the midst of something.
pub(super) fn broken() -> Error {
    Error::Device("cuda: a thread has failed while it used the GPU".to_owned())
}
