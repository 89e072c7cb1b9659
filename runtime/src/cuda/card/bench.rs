//! Times of engines and of what is launched behind them.

use std::sync::Arc;

use candle_core::CudaDevice as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, sys};

use super::fault::fault;
use crate::cuda::cudnn::{Handle, Job, Plan};
use crate::cuda::launch::{Call, Launch, Place};
use crate::error::{Error, Result};

/// Runs that are timed together; one before them warms up.
const TIMED_RUNS: u32 = 4;

/// What normalisations are timed with: no number is of consequence but 0.
const NUMBER: f32 = 0.1;

/// Puts a launch onto the stream.
pub(super) type Launcher<'a> = &'a dyn Fn(&Launch<u64>) -> Result<()>;

/// Memory and events to time with.
pub(super) struct Bench<'a> {
    pub candle: &'a Candle,
    pub stream: &'a Arc<CudaStream>,
    pub handle: &'a Handle,
}

impl Bench<'_> {
    /// Seconds of a run of a job's plan, on zeros.
    pub fn plan(&self, job: &Job, plan: &Plan) -> Result<f64> {
        let mut memory: Vec<CudaSlice<u8>> = Vec::new();
        let mut tensors = Vec::new();
        for role in plan.roles().filter(|role| !role.is_number()) {
            let slice = self.candle.alloc_zeros(job.bytes(role))?;
            tensors.push((role, slice.device_ptr(self.stream).0));
            memory.push(slice);
        }
        let workspace: CudaSlice<u8> = self.candle.alloc_zeros(plan.workspace().max(1) as usize)?;
        let numbers = plan.roles().filter(|role| role.is_number()).map(|role| (role, NUMBER));
        let numbers: Vec<_> = numbers.collect();
        let bound = plan.bind(&tensors, &numbers, workspace.device_ptr(self.stream).0)?;
        // SAFETY: the memory above is as large as the work's tensors and the plan's workspace, and lives until the runs are waited for.
        self.seconds(&|| unsafe { bound.run(self.handle) }.map_err(Error::from))
    }

    /// Seconds of launches one after the other, on so many bytes of zeros, in which all of their operands lie.
    pub fn launches(&self, calls: &[Call<Place>], scratch: usize, launch: Launcher<'_>) -> Result<f64> {
        let memory: CudaSlice<u8> = self.candle.alloc_zeros(scratch.max(1))?;
        let first = memory.device_ptr(self.stream).0;
        let resolved = calls.iter().map(|call| call.resolve(&|place| first + place.offset as u64));
        let resolved: Vec<Call<u64>> = resolved.collect();
        self.seconds(&|| {
            resolved.iter().try_for_each(|call| match call {
                Call::Launch(made) => launch(made),
                Call::Convolve(_) | Call::Normalise(_) | Call::Collective(_) => {
                    Err(Error::Device("cuda: launches alone are measured by themselves".to_owned()))
                }
            })
        })
    }

    fn seconds(&self, run: &dyn Fn() -> Result<()>) -> Result<f64> {
        let event = || {
            let timed = sys::CUevent_flags::CU_EVENT_DEFAULT;
            self.stream.record_event(Some(timed)).map_err(|e| fault("an event", &e))
        };
        run()?;
        let start = event()?;
        (0..TIMED_RUNS).try_for_each(|_| run())?;
        let end = event()?;
        self.stream.synchronize().map_err(|e| fault("an engine that was measured", &e))?;
        let milliseconds = start.elapsed_ms(&end).map_err(|e| fault("an event", &e))?;
        Ok(f64::from(milliseconds) / 1e3 / f64::from(TIMED_RUNS))
    }
}
