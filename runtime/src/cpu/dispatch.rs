//! From a step of the plan to the call of its kernel.

use resnetc_compiler::plan::{Kernel, Plan, Region, Step};

use crate::cpu::Ctx;
use crate::cpu::memory::{Dst, Src};
use crate::device::RunArgs;
use crate::error::{Error, Result};

/// Where the regions lie during a run.
pub(super) struct Bases {
    /// First byte and size of each region, in the order of [`region_index`].
    pub regions: [(*mut u8, usize); REGIONS],
}

/// Number of regions.
pub(super) const REGIONS: usize = 5;

/// Position of a region in the device's memory.
pub(super) fn region_index(region: Region) -> usize {
    match region {
        Region::Arena => 0,
        Region::Params => 1,
        Region::Grads => 2,
        Region::Velocity => 3,
        Region::State => 4,
    }
}

/// Operands of a step: views into the regions. All have been checked against the kernel's geometry at load.
pub(super) struct Operands<'a> {
    bases: &'a Bases,
    plan: &'a Plan,
    step: &'a Step,
}

impl<'a> Operands<'a> {
    pub fn new(bases: &'a Bases, plan: &'a Plan, step: &'a Step) -> Self {
        Operands { bases, plan, step }
    }

    fn place(&self, id: resnetc_compiler::plan::BufferId) -> (*mut u8, usize) {
        let buffer = self.plan.buffer(id);
        let (base, len) = self.bases.regions[region_index(buffer.region)];
        debug_assert!(buffer.offset + buffer.bytes <= len);
        // SAFETY: `check::plan` has found the buffer inside of its region.
        (unsafe { base.add(buffer.offset) }, buffer.bytes)
    }

    /// Operand `i`, to be read.
    pub fn input<T: bytemuck::Pod>(&self, i: usize) -> Src<'a, T> {
        let (ptr, bytes) = self.place(self.step.inputs[i]);
        // SAFETY: inside of its region and aligned to a cache line; the device is borrowed while it runs.
        unsafe { Src::new(ptr.cast(), bytes / size_of::<T>()) }
    }

    /// Operand `i`, to be updated in place.
    pub fn update(&self, i: usize) -> Dst<'a, f32> {
        let (ptr, bytes) = self.place(self.step.inputs[i]);
        // SAFETY: as in `input`.
        unsafe { Dst::new(ptr.cast(), bytes / size_of::<f32>()) }
    }

    /// The last operand, if the flag says that there is one.
    pub fn last_input(&self, present: bool) -> Option<Src<'a, f32>> {
        present.then(|| self.input(self.step.inputs.len() - 1))
    }

    /// Result `i`.
    pub fn output<T: bytemuck::Pod>(&self, i: usize) -> Dst<'a, T> {
        let (ptr, bytes) = self.place(self.step.outputs[i]);
        // SAFETY: as in `input`.
        unsafe { Dst::new(ptr.cast(), bytes / size_of::<T>()) }
    }
}

/// Floats of scratch memory that a kernel needs on this many threads.
pub(super) fn scratch_len(kernel: &Kernel, threads: usize) -> usize {
    let _ = (kernel, threads);
    0
}

/// Runs one step.
pub(super) fn run(ctx: &Ctx<'_>, operands: &Operands<'_>, args: &RunArgs) -> Result<()> {
    let _ = (ctx, args);
    match &operands.step.kernel {
        kernel => Err(Error::Device(format!("no kernel yet for {kernel:?}"))),
    }
}
