//! A kernel computed once, on bytes as they lie in memory.

use candle_core::{DType, Device, Tensor};
use resnetc_compiler::plan::{Buffer, Kernel};

use super::effects::{Given, made};
use super::evaluate::evaluate;
use super::memory::{decode, encode};
use crate::error::{Error, Result};

/// Computes a kernel in `f32`. Inputs and outputs are in the order of its operand table, each with the buffer that says how its
/// bytes are to be read; what the kernel updates in place is not written.
///
/// # Errors
/// Where operands do not fit the kernel.
pub fn compute(
    kernel: &Kernel,
    inputs: &[(Buffer, &[u8])],
    outputs: &mut [(Buffer, &mut [u8])],
) -> Result<()> {
    compute_and_update(kernel, inputs, outputs, &mut [])
}

/// The same, with new values of what the kernel updates in place, by the names that its operand table has for it.
///
/// # Errors
/// As above.
pub fn compute_and_update(
    kernel: &Kernel,
    inputs: &[(Buffer, &[u8])],
    outputs: &mut [(Buffer, &mut [u8])],
    updates: &mut [(Buffer, &mut [u8])],
) -> Result<()> {
    let table = kernel.operands();
    let table = table.ok_or_else(|| Error::Device("sizes that do not fit together".to_owned()))?;
    let decoded = inputs.iter().map(|(buffer, bytes)| decode(buffer, bytes, DType::F32, &Device::Cpu));
    let values = decoded.collect::<Result<Vec<Tensor>>>()?;
    let effects = evaluate(kernel, &Given::new(&table, &values)?)?;
    for (operand, (buffer, bytes)) in table.outputs.iter().zip(outputs) {
        encode(buffer, made(&effects, operand.name)?, bytes)?;
    }
    for (buffer, bytes) in updates {
        encode(buffer, made(&effects, &buffer.name)?, bytes)?;
    }
    Ok(())
}
