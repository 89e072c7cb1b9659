//! Steps with something to decide when their plan is loaded: convolutions, with their tiles, partitions and packed weights.

use resnetc_compiler::plan::{ALIGN, Kernel};

use super::dispatch;
use super::dispatch::Operands;
use crate::cpu::conv::{Algorithm, Epilogue, FilterAlgorithm};
use crate::cpu::ctx::Ctx;
use crate::cpu::machine::Machine;
use crate::cpu::memory::Memory;
use crate::cpu::tune::Tuning;
use crate::device::Choice;
use crate::error::Result;

/// What is decided about a step when its plan is loaded.
pub(in crate::cpu) enum Prepared {
    /// A convolution, forward or backward-data.
    Convolution {
        convolution: Box<Algorithm>,
        /// In inference the packed weights, kept from run to run; in training they change with every step, and are packed
        /// into scratch memory.
        packed: Option<Memory>,
    },
    /// The gradient of a convolution's weights.
    FilterGradient(Box<FilterAlgorithm>),
    /// Nothing: the kernel's sizes are all there is.
    Nothing,
}

impl Prepared {
    /// Decides; `keep_packed` in inference.
    pub fn new(kernel: &Kernel, machine: Machine, tuning: &Tuning, keep_packed: bool) -> Result<Self> {
        let measured = tuning.fastest(kernel);
        let convolution = match kernel {
            Kernel::Conv(k) => Algorithm::forward(k.geometry, machine, measured)?,
            Kernel::ConvBackwardData(k) => Algorithm::backward_data(k.geometry, machine, measured)?,
            Kernel::ConvBackwardFilter(k) => {
                let gradient = FilterAlgorithm::new(k.geometry, machine, measured)?;
                return Ok(Prepared::FilterGradient(Box::new(gradient)));
            }
            _ => return Ok(Prepared::Nothing),
        };
        let packed = keep_packed.then(|| Memory::floats(convolution.packed_len())).transpose()?;
        Ok(Prepared::Convolution { convolution: Box::new(convolution), packed })
    }

    /// Floats of scratch memory that the step needs on this many threads.
    pub fn scratch_len(&self, kernel: &Kernel, threads: usize) -> usize {
        match self {
            Prepared::Convolution { convolution, packed } => {
                let own = if packed.is_some() { 0 } else { packed_room(convolution) };
                own + convolution.scratch_len(threads)
            }
            Prepared::FilterGradient(gradient) => gradient.scratch_len(threads),
            Prepared::Nothing => dispatch::scratch_len(kernel, threads),
        }
    }

    /// How the step is computed; `None` where there is one way only.
    pub fn choice(&self, kernel: &Kernel, machine: Machine, tuning: &Tuning) -> Option<Choice> {
        let (algorithm, estimates) = match (self, kernel) {
            (Prepared::Convolution { convolution, .. }, Kernel::Conv(k)) => {
                (convolution.name(), Algorithm::estimates_forward(&k.geometry, machine))
            }
            (Prepared::Convolution { convolution, .. }, Kernel::ConvBackwardData(k)) => {
                (convolution.name(), Algorithm::estimates_backward_data(&k.geometry, machine))
            }
            (Prepared::FilterGradient(gradient), Kernel::ConvBackwardFilter(k)) => {
                (gradient.name(), FilterAlgorithm::estimates(&k.geometry, machine))
            }
            _ => return None,
        };
        let measured = tuning.fastest(kernel) == Some(algorithm);
        Some(Choice { algorithm, measured, estimates: estimates.ok()? })
    }

    /// Packs the weights that are kept from run to run, after they have been written.
    pub fn pack(&mut self, ctx: &Ctx<'_>, operands: &Operands<'_>) {
        if let Prepared::Convolution { convolution, packed: Some(packed) } = self {
            convolution.pack(ctx, operands.input("weight"), packed.view());
        }
    }
}

/// Floats of the packed weights in scratch memory, rounded up so that what follows is aligned.
fn packed_room(convolution: &Algorithm) -> usize {
    convolution.packed_len().next_multiple_of(ALIGN / size_of::<f32>())
}

/// Runs one step.
pub(in crate::cpu) fn run(ctx: &Ctx<'_>, prepared: &Prepared, operands: &Operands<'_>) {
    match prepared {
        Prepared::Convolution { convolution, packed } => {
            run_convolution(ctx, convolution, packed.as_ref(), operands);
        }
        Prepared::FilterGradient(gradient) => {
            let (x, dy, dw) = (operands.map("x"), operands.map("dy"), operands.output("dweight"));
            gradient.run(ctx, x, dy, ctx.scratch, dw);
        }
        Prepared::Nothing => dispatch::run(ctx, operands),
    }
}

fn run_convolution(ctx: &Ctx<'_>, convolution: &Algorithm, kept: Option<&Memory>, operands: &Operands<'_>) {
    let residual = operands.optional_map("residual");
    let (epilogue, x, y) = match operands.kernel() {
        Kernel::Conv(k) => {
            let bias = operands.optional("bias");
            let epilogue = Epilogue { bias, residual, act: k.epilogue.act, gap: operands.output_gap("y") };
            (epilogue, operands.map("x"), operands.output_map("y"))
        }
        Kernel::ConvBackwardData(_) => {
            let epilogue = Epilogue { residual, ..Epilogue::default() };
            (epilogue, operands.map("dy"), operands.output_map("dx"))
        }
        kernel => unreachable!("{kernel:?} is no convolution"),
    };
    match kept {
        Some(packed) => convolution.run(ctx, x, packed.floats_view(), &epilogue, ctx.scratch, y),
        None => {
            let (packed, scratch) = ctx.scratch.split_at(packed_room(convolution));
            convolution.pack(ctx, operands.input("weight"), packed);
            convolution.run(ctx, x, packed.src(), &epilogue, scratch, y);
        }
    }
}
