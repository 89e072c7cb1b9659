//! What kernels return, and what they make of numbers that are not floats.

use candle_core::Tensor;

use crate::error::Error;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Error::Device(format!("reference: {error}"))
    }
}

/// What a kernel made: its outputs in order, and new values of inputs it updates in place.
pub(super) struct Effects {
    pub outputs: Vec<Tensor>,
    /// Index of the input, its new value.
    pub updates: Vec<(usize, Tensor)>,
}

impl From<Tensor> for Effects {
    fn from(output: Tensor) -> Self {
        vec![output].into()
    }
}

impl From<Vec<Tensor>> for Effects {
    fn from(outputs: Vec<Tensor>) -> Self {
        Effects { outputs, updates: Vec::new() }
    }
}

/// A counter or a seed.
pub(super) fn whole(tensor: &Tensor) -> candle_core::Result<u64> {
    Ok(tensor.flatten_all()?.get(0)?.to_scalar::<i64>()? as u64)
}
