//! Normalisations of the emulated GPU at once, by the reference: statistics, and what applies them to the map; or their gradient.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::Epilogue;
use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::kernel::{BnApply, BnBackwardApply, BnBackwardReduce, BnStats};
use resnetc_compiler::plan::{Buffer, Kernel, Operand};

use super::memory::{bytes, bytes_mut};
use super::operand;
use crate::cuda::normalise::{NormPattern, NormTask, Normalise};
use crate::error::{Error, Result};
use crate::reference::once::compute_and_update;

/// Computes a prepared normalisation.
pub(super) fn normalise(task: &NormTask, norm: &Normalise<u64>) -> Result<()> {
    let &NormTask { rows, channels, .. } = task;
    let kernels: [Kernel; 2] = match task.pattern {
        NormPattern::NormForward { residual, act } => {
            let [eps, momentum] = [number(norm, "eps")?, number(norm, "momentum")?];
            let epilogue = Epilogue { residual, act };
            [BnStats { rows, channels, eps, momentum }.into(), BnApply { rows, channels, epilogue }.into()]
        }
        NormPattern::NormBackward { relu } => {
            let epilogue = Epilogue { residual: false, act: relu.then_some(Activation::Relu) };
            [
                BnBackwardReduce { rows, channels, epilogue }.into(),
                BnBackwardApply { rows, channels, epilogue }.into(),
            ]
        }
    };
    kernels.iter().try_for_each(|kernel| compute(task, norm, kernel))
}

/// Computes one of its kernels, and writes what that makes and what it updates.
fn compute(task: &NormTask, norm: &Normalise<u64>, kernel: &Kernel) -> Result<()> {
    let table = kernel.operands().ok_or_else(|| fault("its sizes do not fit together"))?;
    let mut inputs = Vec::new();
    for operand in &table.inputs {
        let buffer = buffer(task, operand)?;
        let len = buffer.bytes;
        inputs.push((buffer, bytes(address(norm, operand.name)?, len)));
    }
    let updated = table.inputs.iter().filter(|operand| operand.updated);
    let (mut made, mut updated) = (rooms(task, &table.outputs)?, rooms(task, updated)?);
    compute_and_update(kernel, &inputs, &mut lent(&mut made), &mut lent(&mut updated))?;
    for (buffer, room) in made.iter().chain(&updated) {
        bytes_mut(address(norm, &buffer.name)?, room.len()).copy_from_slice(room);
    }
    Ok(())
}

/// Operands with memory of their own.
fn rooms<'o>(
    task: &NormTask,
    operands: impl IntoIterator<Item = &'o Operand>,
) -> Result<Vec<(Buffer, Vec<u8>)>> {
    let room = |operand| buffer(task, operand).map(|buffer| (vec![0; buffer.bytes], buffer));
    operands.into_iter().map(|operand| room(operand).map(|(room, buffer)| (buffer, room))).collect()
}

fn lent(rooms: &mut [(Buffer, Vec<u8>)]) -> Vec<(Buffer, &mut [u8])> {
    rooms.iter_mut().map(|(buffer, room)| (buffer.clone(), room.as_mut_slice())).collect()
}

fn number(norm: &Normalise<u64>, name: &str) -> Result<f32> {
    let found = norm.numbers.iter().find(|(number, _)| *number == name);
    found.map(|&(_, number)| number).ok_or_else(|| fault(&format!("it has no number `{name}`")))
}

fn address(norm: &Normalise<u64>, name: &str) -> Result<u64> {
    let found = norm.operands.iter().find(|(operand, _)| *operand == name);
    found.map(|&(_, address)| address).ok_or_else(|| fault(&format!("it has no operand `{name}`")))
}

/// An operand as the driver has it: see [`NormTask`].
fn buffer(task: &NormTask, operand: &Operand) -> Result<Buffer> {
    let is_map = matches!(operand.name, "x" | "y" | "residual" | "dx" | "dy");
    let (dtype, layout) = if is_map { (task.element, Layout::Nhwc) } else { (DType::F32, Layout::Plain) };
    operand::buffer(operand, dtype, layout).ok_or_else(|| fault("it has too many elements"))
}

fn fault(why: &str) -> Error {
    Error::Device(format!("cuda emulated: a normalisation: {why}"))
}
