//! Convolutions of the emulated GPU, by the reference.

use resnetc_compiler::ir::attrs::Epilogue;
use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::kernel::{Conv, ConvBackwardData, ConvBackwardFilter};
use resnetc_compiler::plan::{Buffer, ConvGeometry, Kernel, Operand};

use super::behind::{add_sums, mask};
use super::memory::{bytes, bytes_mut};
use super::operand;
use crate::cuda::launch::{Convolve, Direction, Task};
use crate::error::{Error, Result};
use crate::reference::once::compute;

/// Computes a prepared convolution.
pub(super) fn convolve(task: &Task, conv: &Convolve<u64>) -> Result<()> {
    let kernel = kernel(task);
    let table = kernel.operands().ok_or_else(|| fault("its sizes do not fit together"))?;
    let mut inputs = Vec::new();
    for operand in &table.inputs {
        let buffer = buffer(task, operand)?;
        let address = address(conv, operand.name)?;
        let len = buffer.bytes;
        inputs.push((buffer, bytes(address, len)));
    }
    let result = table.outputs.first().ok_or_else(|| fault("it has no result"))?;
    let buffer = buffer(task, result)?;
    // The result may lie on an operand, which is read to its end before.
    let mut made = vec![0; buffer.bytes];
    compute(&kernel, &inputs, &mut [(buffer, &mut made)])?;
    if let Some(address) = conv.mask {
        let by = bytes(address, made.len());
        mask(&mut made, by, task.element)?;
    }
    bytes_mut(address(conv, result.name)?, made.len()).copy_from_slice(&made);
    match conv.sums {
        Some(sums) => add_sums(&made, task.element, task.geometry.cout, sums),
        None => Ok(()),
    }
}

/// `conv 3x3 p1 64x56x56 -> 64x56x56, n 256`, with what comes behind it.
pub(super) fn describe(task: &Task) -> String {
    let kernel = kernel(task);
    let more = match (task.stats, task.mask) {
        (true, _) => " + stats",
        (false, true) => " + drelu",
        (false, false) => "",
    };
    format!("{}{more} {}, n {}", kernel.name(), kernel.geometry(), task.geometry.n)
}

fn kernel(task: &Task) -> Kernel {
    let geometry = ConvGeometry { precision: task.element, ..task.geometry };
    let epilogue = Epilogue { residual: task.residual, act: task.act };
    match task.direction {
        Direction::Forward => Conv { geometry, bias: task.bias, epilogue }.into(),
        Direction::BackwardData => ConvBackwardData { geometry, residual: task.residual }.into(),
        Direction::BackwardFilter => ConvBackwardFilter { geometry }.into(),
    }
}

fn address(conv: &Convolve<u64>, name: &str) -> Result<u64> {
    match name {
        "x" | "dx" => Ok(conv.x),
        "weight" | "dweight" => Ok(conv.weight),
        "y" | "dy" => Ok(conv.y),
        "bias" => conv.bias.ok_or_else(|| fault("it has no bias")),
        "residual" => conv.residual.ok_or_else(|| fault("it has no residual")),
        _ => Err(fault(&format!("an operand `{name}` is not known"))),
    }
}

/// An operand as the driver has it: see [`Task`].
fn buffer(task: &Task, operand: &Operand) -> Result<Buffer> {
    let dtype = if matches!(operand.name, "bias" | "dweight") { DType::F32 } else { task.element };
    let layout = match operand.name {
        "weight" | "dweight" => Layout::Ohwi,
        "bias" => Layout::Plain,
        _ => Layout::Nhwc,
    };
    operand::buffer(operand, dtype, layout).ok_or_else(|| fault("it has too many elements"))
}

fn fault(why: &str) -> Error {
    Error::Device(format!("cuda emulated: a convolution: {why}"))
}
