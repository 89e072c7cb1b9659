//! The memory that outlives a run, and the plans that are loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{BufferId, Plan, Region};

use super::driver::{Driver, Fill, Memory};
use super::launch::{Call, Place};
use super::lower::{lower, narrowing};
use super::room::Wanted;
use super::take_over::{self, Tensors};
use crate::device::ProgramId;
use crate::error::{Error, Result};
use crate::placement;

/// A plan, ready to run.
pub(super) struct Program {
    pub plan: Arc<Plan>,
    /// The calls of each step.
    pub steps: Vec<Vec<Call<Place>>>,
    /// Bytes of scratch memory that its steps need.
    pub scratch: usize,
    /// What makes the narrow parameters, where there are some.
    pub narrowing: Option<Call<Place>>,
    /// Whether a step writes memory that outlives the run: a training does.
    pub writes_persistent: bool,
}

/// What all sessions share; who hands work to the driver holds it.
pub(super) struct Shared {
    pub regions: BTreeMap<Region, Memory>,
    /// The parameters in the narrow type.
    pub narrow: Option<Memory>,
    pub programs: Vec<Program>,
    /// Counts changes of parameters.
    pub written: u64,
    /// Its value when the narrow parameters were made last.
    pub narrowed: u64,
}

/// A GPU, or what stands for one: weights and programs, for any number of sessions, whose work it does in one order.
pub struct CudaDevice {
    driver: Arc<dyn Driver>,
    shared: Mutex<Shared>,
    runs_of_a_launch: Option<usize>,
    checks_steps: bool,
}

impl CudaDevice {
    /// What plans for it may count on.
    pub const BACKEND: Backend = Backend::CUDA;

    /// A device without plans.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        let (regions, programs) = (BTreeMap::new(), Vec::new());
        let shared = Shared { regions, narrow: None, programs, written: 1, narrowed: 0 };
        CudaDevice { driver, shared: Mutex::new(shared), runs_of_a_launch: None, checks_steps: false }
    }

    /// With so many submitted runs for each launch, 1 to 8, where otherwise their time decides: short runs are handed over together.
    pub fn with_runs_of_a_launch(mut self, runs: usize) -> Self {
        self.runs_of_a_launch = Some(runs);
        self
    }

    /// Waits for each step of a plan where that is asked for, so that one which fails is named. That takes many times as long: nothing is
    /// recorded, and nothing runs ahead.
    pub fn checking_steps(mut self, check: bool) -> Self {
        self.checks_steps = check;
        self
    }

    pub(super) fn checks_steps(&self) -> bool {
        self.checks_steps
    }

    /// Ranks hand over as many runs at once as the others, or one would wait for a run that another hands over when it has heard of this
    /// one's: their own times must not decide.
    pub(super) fn runs_of_a_launch(&self) -> Option<usize> {
        self.runs_of_a_launch.or((self.driver.ranks() > 1).then_some(1))
    }

    pub(super) fn driver(&self) -> &Arc<dyn Driver> {
        &self.driver
    }

    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Shared>> {
        let text = "cuda: a run has failed in the midst of this device's memory";
        self.shared.lock().map_err(|_| Error::Device(text.to_owned()))
    }

    /// Checks a plan, lowers it, and makes the persistent regions.
    pub(super) fn take_in(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        placement::check(&plan, &CudaDevice::BACKEND)?;
        placement::check_ranks(&plan, self.driver.ranks())?;
        let lowered = lower(&plan, &*self.driver)?;
        let narrowing =
            lowered.narrow.map(|narrow| narrowing(&plan, narrow).map(Call::Launch)).transpose()?;
        let writes_persistent = placement::writes_persistent(&plan);
        let mut shared = self.lock()?;
        let wanted = Wanted::by(&plan, lowered.scratch, lowered.narrow.is_some(), shared.programs.is_empty());
        wanted.check(&plan, self.driver.free()?)?;
        shared.reserve(&plan, lowered.narrow, &*self.driver)?;
        let (steps, scratch) = (lowered.steps, lowered.scratch);
        shared.programs.push(Program { plan, steps, scratch, narrowing, writes_persistent });
        Ok(ProgramId(shared.programs.len() - 1))
    }

    /// See [`Device::take_over`](crate::device::Device::take_over).
    pub(super) fn take_over_from(
        &self,
        program: ProgramId,
        from: &CudaDevice,
        from_program: ProgramId,
    ) -> Result<bool> {
        if std::ptr::eq(self, from) || self.driver.ordinal() != from.driver.ordinal() {
            return Ok(false);
        }
        let (mut shared, others) = (self.lock()?, from.lock()?);
        let (plan, other) = (&shared.program(program)?.plan, &others.program(from_program)?.plan);
        let calls = {
            let (to, from) = (|id| shared.at(plan, id), |id| others.at(other, id));
            take_over::calls(&Tensors::new(plan, &to), &Tensors::new(other, &from))?
        };
        let Some(calls) = calls else { return Ok(false) };
        // Two streams: each is done with what it reads before the other one writes it.
        from.driver.wait()?;
        self.driver.play(&calls)?;
        self.driver.wait()?;
        shared.written += 1;
        Ok(true)
    }

    pub(super) fn set(&self, shared: &mut Shared, place: (Region, usize), bytes: &[u8]) -> Result<()> {
        let address = shared.address(place, bytes.len())?;
        shared.written += u64::from(place.0 == Region::Params);
        self.driver.upload(address, bytes)
    }

    pub(super) fn get(&self, shared: &Shared, place: (Region, usize), bytes: &mut [u8]) -> Result<()> {
        self.driver.download(shared.address(place, bytes.len())?, bytes)
    }
}

impl Shared {
    /// Where a persistent buffer of a plan lies.
    fn at(&self, plan: &Plan, id: BufferId) -> Result<u64> {
        let bytes = plan.buffer(id).bytes;
        self.address(placement::place(plan, id, bytes)?, bytes)
    }

    pub fn program(&self, program: ProgramId) -> Result<&Program> {
        let found = self.programs.get(program.0);
        found.ok_or_else(|| Error::Device("cuda: no such program on this device".to_owned()))
    }

    /// Where bytes of a persistent region lie.
    pub fn address(&self, (region, offset): (Region, usize), len: usize) -> Result<u64> {
        placement::persistent(region)?;
        let memory = self.regions.get(&region).filter(|memory| offset + len <= memory.bytes);
        let memory = memory.ok_or_else(|| Error::Device(format!("cuda: {region:?} is not that large")))?;
        Ok(memory.address + offset as u64)
    }

    /// Makes the persistent regions of the first plan; those of a further plan have to agree with them.
    fn reserve(&mut self, plan: &Plan, narrow: Option<DType>, driver: &dyn Driver) -> Result<()> {
        let optimizer = (0..plan.optimizer.len()).map(|tensor| Region::Optimizer(tensor as u8));
        for region in [Region::Params, Region::Grads, Region::State].into_iter().chain(optimizer) {
            let size = plan.region_bytes(region);
            if self.programs.is_empty() {
                self.regions.insert(region, driver.allocate(size, Fill::Zeros)?);
            } else if self.regions.get(&region).map_or(0, |memory| memory.bytes) != size {
                return Err(placement::other_persistent(plan));
            }
        }
        if narrow.is_some() && self.narrow.is_none() {
            self.narrow = Some(driver.allocate(plan.sizes.params / 2, Fill::Anything)?);
        }
        Ok(())
    }
}
