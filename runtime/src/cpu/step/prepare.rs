//! Steps with something to decide when their plan is loaded: convolutions, with their tiles, partitions and packed weights.

use resnetc_compiler::plan::{ALIGN, Kernel};

use super::dispatch;
use super::dispatch::Operands;
use crate::cpu::conv::{Algorithm, Epilogue, FilterAlgorithm};
use crate::cpu::ctx::Ctx;
use crate::cpu::machine::Machine;
use crate::cpu::memory::Memory;
use crate::cpu::tune::Tuning;
use crate::device::{Choice, RunArgs};
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
            Kernel::Conv { geometry, .. } => Algorithm::forward(*geometry, machine, measured)?,
            Kernel::ConvBackwardData { geometry, .. } => {
                Algorithm::backward_data(*geometry, machine, measured)?
            }
            Kernel::ConvBackwardFilter { geometry } => {
                let gradient = FilterAlgorithm::new(*geometry, machine, measured)?;
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
            (Prepared::Convolution { convolution, .. }, Kernel::Conv { geometry, .. }) => {
                (convolution.name(), Algorithm::estimates_forward(geometry, machine))
            }
            (Prepared::Convolution { convolution, .. }, Kernel::ConvBackwardData { geometry, .. }) => {
                (convolution.name(), Algorithm::estimates_backward_data(geometry, machine))
            }
            (Prepared::FilterGradient(gradient), Kernel::ConvBackwardFilter { geometry }) => {
                (gradient.name(), FilterAlgorithm::estimates(geometry, machine))
            }
            _ => return None,
        };
        let measured = tuning.fastest(kernel) == Some(algorithm);
        Some(Choice { algorithm, measured, estimates: estimates.ok()? })
    }

    /// Packs the weights that are kept from run to run, after they have been written.
    pub fn pack(&mut self, ctx: &Ctx<'_>, operands: &Operands<'_>) {
        if let Prepared::Convolution { convolution, packed: Some(packed) } = self {
            convolution.pack(ctx, operands.input(1), packed.view());
        }
    }
}

/// Floats of the packed weights in scratch memory, rounded up so that what follows is aligned.
fn packed_room(convolution: &Algorithm) -> usize {
    convolution.packed_len().next_multiple_of(ALIGN / size_of::<f32>())
}

/// Runs one step.
pub(in crate::cpu) fn run(ctx: &Ctx<'_>, prepared: &Prepared, operands: &Operands<'_>, args: &RunArgs) {
    match prepared {
        Prepared::Convolution { convolution, packed } => {
            run_convolution(ctx, convolution, packed.as_ref(), operands);
        }
        Prepared::FilterGradient(gradient) => {
            let (x, dy, dw) = (operands.map(0), operands.map(1), operands.output(0));
            gradient.run(ctx, x, dy, ctx.scratch, dw);
        }
        Prepared::Nothing => dispatch::run(ctx, operands, args),
    }
}

fn run_convolution(ctx: &Ctx<'_>, convolution: &Algorithm, kept: Option<&Memory>, operands: &Operands<'_>) {
    let epilogue = match *operands.kernel() {
        Kernel::Conv { bias, epilogue, .. } => Epilogue {
            bias: bias.then(|| operands.input(2)),
            residual: operands.last_map(epilogue.residual),
            act: epilogue.act,
            gap: operands.output_gap(0),
        },
        Kernel::ConvBackwardData { residual, .. } => {
            Epilogue { residual: operands.last_map(residual), ..Epilogue::default() }
        }
        ref kernel => unreachable!("{kernel:?} is no convolution"),
    };
    let (x, y) = (operands.map(0), operands.output_map(0));
    match kept {
        Some(packed) => convolution.run(ctx, x, packed.floats_view(), &epilogue, ctx.scratch, y),
        None => {
            let (packed, scratch) = ctx.scratch.split_at(packed_room(convolution));
            convolution.pack(ctx, operands.input(1), packed);
            convolution.run(ctx, x, packed.src(), &epilogue, scratch, y);
        }
    }
}
