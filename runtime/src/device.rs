//! The one trait between the executor and the kernels.
//!
//! A device is one memory space with its kernels. It owns the regions of memory that its plans describe; all plans
//! loaded into one device share the persistent regions, whose layout must agree (the full and the last, partial batch
//! of one training). An inference plan of the same network has other persistent tensors (folded ones), so it gets a
//! device of its own.

use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::{BufferId, Plan};

use crate::error::Result;

/// Index of a plan loaded into a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProgramId(pub usize);

/// What a device expects one way of computing a step to cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// Parts of the work, in cycles of a thread by the device's cost model; they count against each other, not against
    /// a clock.
    pub parts: Vec<(&'static str, f64)>,
}

impl Estimate {
    /// All parts together.
    pub fn cycles(&self) -> f64 {
        self.parts.iter().map(|(_, cycles)| cycles).sum()
    }
}

/// The way in which a device computes a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// Whether it was chosen because it was measured to be the fastest.
    pub measured: bool,
    /// Of every algorithm that applies; the one with the lowest was chosen if none was measured.
    pub estimates: Vec<Estimate>,
}

/// Memory and kernels.
pub trait Device: Send {
    /// What the device is, for reports: `cpu (avx512, 2 threads)`.
    fn describe(&self) -> String;

    /// What its kernels can do: plans for it are compiled with that.
    fn backend(&self) -> Backend;

    /// Takes a plan in: allocates and zeroes regions (the arena as large as the largest plan's), chooses kernels,
    /// prepares workspaces. Nothing allocates after it.
    fn load(&mut self, plan: Arc<Plan>) -> Result<ProgramId>;

    /// Writes a buffer whole, elements in the buffer's own layout and type.
    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()>;

    /// Reads a buffer whole.
    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()>;

    /// Writes a tensor of the optimizer's state of a parameter, by its number in `Plan::optimizer`; elements are in the
    /// parameter's own layout.
    fn write_optimizer(
        &mut self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &[u8],
    ) -> Result<()>;

    /// Reads one, likewise.
    fn read_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &mut [u8])
    -> Result<()>;

    /// Runs all steps. The arena reuses memory within a run, that of the inputs too: images and labels are written before
    /// every run. What changes from run to run lies in memory too: see `Plan::controls`. With `times`, adds each step's
    /// time to its element.
    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()>;

    /// How a step of a loaded plan is computed, where the device has several ways.
    fn choice(&self, _program: ProgramId, _step: usize) -> Option<Choice> {
        None
    }
}
