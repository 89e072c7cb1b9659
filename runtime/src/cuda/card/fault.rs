//! What is said where the driver fails.

use candle_core::cuda_backend::cudarc::driver::result::DriverError;
use candle_core::cuda_backend::cudarc::driver::sys::CUresult;

use crate::cuda::driver::NAMES_THE_STEP;
use crate::error::Error;

/// A call to the driver that failed, or that told of a kernel which failed before it.
pub(super) fn fault(what: &str, error: &DriverError) -> Error {
    if is_late(error.0) {
        return Error::Device(format!(
            "cuda: {what}: work that was under way has failed: {error:?}; {NAMES_THE_STEP}"
        ));
    }
    Error::Device(format!("cuda: {what}: {error:?}"))
}

/// Whether an error is a kernel's that ran before, as every call tells it from then on (cuda.h).
fn is_late(error: CUresult) -> bool {
    use CUresult as E;
    [
        E::CUDA_ERROR_ECC_UNCORRECTABLE,
        E::CUDA_ERROR_NVLINK_UNCORRECTABLE,
        E::CUDA_ERROR_ILLEGAL_ADDRESS,
        E::CUDA_ERROR_LAUNCH_TIMEOUT,
        E::CUDA_ERROR_ASSERT,
        E::CUDA_ERROR_HARDWARE_STACK_ERROR,
        E::CUDA_ERROR_ILLEGAL_INSTRUCTION,
        E::CUDA_ERROR_MISALIGNED_ADDRESS,
        E::CUDA_ERROR_INVALID_ADDRESS_SPACE,
        E::CUDA_ERROR_INVALID_PC,
        E::CUDA_ERROR_LAUNCH_FAILED,
    ]
    .contains(&error)
}

/// A thread has ended in the midst of something.
pub(super) fn broken() -> Error {
    Error::Device("cuda: a thread has failed while it used the GPU".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of errors are the driver's, which need not be here.
    #[test]
    fn a_kernels_failure_is_told_from_a_calls_own() {
        assert!(is_late(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS) && is_late(CUresult::CUDA_ERROR_LAUNCH_FAILED));
        assert!(!is_late(CUresult::CUDA_ERROR_OUT_OF_MEMORY) && !is_late(CUresult::CUDA_ERROR_INVALID_VALUE));
    }
}
