//! The device behind the trait that the executor knows.

use std::any::Any;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::{BufferId, Plan};

use super::ceilings;
use super::device::CudaDevice;
use super::launch::Call;
use super::session::CudaSession;
use crate::device::{Choice, Device, ProgramId, Session};
use crate::engines::Engines;
use crate::error::Result;
use crate::placement;
use crate::roofline::Roofline;

impl Device for CudaDevice {
    fn describe(&self) -> String {
        self.driver().describe()
    }

    fn backend(&self) -> Backend {
        CudaDevice::BACKEND
    }

    fn load(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        self.take_in(plan)
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>> {
        Ok(Box::new(CudaSession::new(self)))
    }

    fn choice(&self, program: ProgramId, step: usize) -> Option<Choice> {
        let shared = self.lock().ok()?;
        let calls = shared.program(program).ok()?.steps.get(step)?;
        let id = calls.iter().find_map(|call| match call {
            Call::Convolve(conv) => Some(conv.id),
            Call::Normalise(norm) => Some(norm.id),
            Call::Launch(_) | Call::Collective(_) => None,
        })?;
        let (algorithm, variant) = self.driver().engine(id);
        let (multiplier, estimates) = (None, Vec::new());
        Some(Choice { algorithm, variant: Some(variant), measured: true, multiplier, estimates })
    }

    fn engines(&self) -> Result<Engines> {
        self.driver().engines()
    }

    fn roofline(&self, plan: &Plan) -> Result<Option<Roofline>> {
        // Nothing of this device runs meanwhile.
        let _shared = self.lock()?;
        let driver = &**self.driver();
        // A plan that leaves no memory for it is judged without.
        Ok(ceilings::measure(driver, plan.precision(), plan.tf32, driver.large()).ok())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn take_over(&self, program: ProgramId, from: &dyn Device, from_program: ProgramId) -> Result<bool> {
        match from.as_any().downcast_ref::<CudaDevice>() {
            Some(from) => self.take_over_from(program, from, from_program),
            None => Ok(false),
        }
    }

    fn write(&self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        let mut shared = self.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        self.set(&mut shared, place, bytes)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        let shared = self.lock()?;
        let place = placement::place(&shared.program(program)?.plan, buffer, bytes.len())?;
        self.get(&shared, place, bytes)
    }

    fn write_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &[u8]) -> Result<()> {
        let mut shared = self.lock()?;
        let plan = &shared.program(program)?.plan;
        let place = placement::optimizer_place(plan, param, tensor, bytes.len())?;
        self.set(&mut shared, place, bytes)
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        let shared = self.lock()?;
        let plan = &shared.program(program)?.plan;
        let place = placement::optimizer_place(plan, param, tensor, bytes.len())?;
        self.get(&shared, place, bytes)
    }
}
