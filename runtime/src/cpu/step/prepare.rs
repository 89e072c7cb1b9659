//! Steps with something to decide when their plan is loaded: convolutions, with their tiles, partitions and packed weights.

use resnetc_compiler::plan::{ALIGN, Kernel};

use super::dispatch;
use super::operands::Operands;
use crate::cpu::Ctx;
use crate::cpu::conv::{self, ConvKernel, Epilogue, FilterKernel, Operation, Problem};
use crate::cpu::machine::Machine;
use crate::cpu::memory::Memory;
use crate::cpu::tune::Tuning;
use crate::device::Choice;
use crate::error::Result;
use crate::ranks::Collective;

/// What is decided about a step when its plan is loaded.
pub(in crate::cpu) enum Prepared {
    /// A convolution, forward or backward-data.
    Convolution {
        kernel: Box<dyn ConvKernel>,
        /// How it was chosen.
        choice: Choice,
        /// In inference the packed weights, kept from run to run; in training they change with every step, and are packed
        /// into scratch memory.
        packed: Option<Memory>,
    },
    /// The gradient of a convolution's weights.
    FilterGradient {
        kernel: Box<dyn FilterKernel>,
        /// How it was chosen.
        choice: Choice,
    },
    /// Nothing: the kernel's sizes are all there is.
    Nothing,
}

impl Prepared {
    /// Decides; `keep_packed` in inference.
    pub fn new(kernel: &Kernel, machine: Machine, tuning: &Tuning, keep_packed: bool) -> Result<Self> {
        let measured = tuning.fastest(kernel);
        let (geometry, operation) = match kernel {
            Kernel::Conv(k) => (k.geometry, Operation::Forward),
            Kernel::ConvBackwardData(k) => (k.geometry, Operation::BackwardData),
            Kernel::ConvBackwardFilter(k) => {
                let problem = Problem { geometry: k.geometry, machine };
                let (kernel, choice) = conv::filter_gradient(&problem, measured)?;
                return Ok(Prepared::FilterGradient { kernel, choice });
            }
            _ => return Ok(Prepared::Nothing),
        };
        let (kernel, choice) = conv::convolution(&Problem { geometry, machine }, operation, measured)?;
        let packed = keep_packed.then(|| Memory::floats(kernel.packed_len())).transpose()?;
        Ok(Prepared::Convolution { kernel, choice, packed })
    }

    /// Floats of scratch memory that the step needs on this many threads.
    pub fn scratch_len(&self, kernel: &Kernel, threads: usize) -> usize {
        match self {
            Prepared::Convolution { kernel, packed, .. } => {
                let own = if packed.is_some() { 0 } else { packed_room(&**kernel) };
                own + kernel.scratch_len(threads)
            }
            Prepared::FilterGradient { kernel, .. } => kernel.scratch_len(threads),
            Prepared::Nothing => dispatch::scratch_len(kernel, threads),
        }
    }

    /// How the step is computed; `None` where there is one way only.
    pub fn choice(&self) -> Option<&Choice> {
        match self {
            Prepared::Convolution { choice, .. } | Prepared::FilterGradient { choice, .. } => Some(choice),
            Prepared::Nothing => None,
        }
    }

    /// Packs the weights that are kept from run to run, after they have been written.
    pub fn pack(&mut self, ctx: &Ctx<'_>, operands: &Operands<'_>) {
        if let Prepared::Convolution { kernel, packed: Some(packed), .. } = self {
            kernel.pack(ctx, operands.input("weight"), packed.view());
        }
    }
}

/// Floats of the packed weights in scratch memory, rounded up so that what follows is aligned.
fn packed_room(convolution: &dyn ConvKernel) -> usize {
    convolution.packed_len().next_multiple_of(ALIGN / size_of::<f32>())
}

/// Runs one step, with the other ranks of a training where there are some.
pub(in crate::cpu) fn run(
    ctx: &Ctx<'_>,
    ranks: Option<&Collective>,
    prepared: &Prepared,
    operands: &Operands<'_>,
) {
    match prepared {
        Prepared::Convolution { kernel, packed, .. } => {
            run_convolution(ctx, &**kernel, packed.as_ref(), operands);
        }
        Prepared::FilterGradient { kernel, .. } => {
            let (x, dy, dw) = (operands.map("x"), operands.map("dy"), operands.output("dweight"));
            kernel.run(ctx, x, dy, ctx.scratch, dw);
        }
        Prepared::Nothing => dispatch::run(ctx, ranks, operands),
    }
}

fn run_convolution(
    ctx: &Ctx<'_>,
    convolution: &dyn ConvKernel,
    kept: Option<&Memory>,
    operands: &Operands<'_>,
) {
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
