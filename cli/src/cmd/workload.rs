//! What is timed: a network's plan, its first weights, and random images, the same for every run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc::{DeviceOptions, Spec, WeightsOptions};
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Init;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::device::Device;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs as StepArgs;
use resnetc_runtime::init;
use resnetc_runtime::weights::ParamStore;

use super::{spec, weights};
use crate::args::WorkloadArgs;
use crate::failure::Result;
use crate::output::Output;

/// Learning rate of the timed steps: small, so that the loss stays finite however many there are.
const LR: f32 = 1e-4;

/// A compiled network, to be run by any number of executors.
pub struct Workload {
    spec: Spec,
    mode: Mode,
    device: DeviceOptions,
    /// What runs.
    pub plan: Arc<Plan>,
    images: Vec<f32>,
    labels: Option<Vec<u32>>,
}

impl Workload {
    /// Compiles what the arguments name.
    pub fn compile(args: &WorkloadArgs, device: DeviceOptions, output: &Output) -> Result<Self> {
        let spec = spec::load(&args.spec, &spec::options(&args.overrides), output)?;
        Workload::of(spec, args, device)
    }

    /// Compiles a network as the arguments say; which one they name does not count.
    pub fn of(spec: Spec, args: &WorkloadArgs, device: DeviceOptions) -> Result<Self> {
        let mode = if args.train { Mode::Train } else { Mode::Infer };
        let batch = args.batch.unwrap_or(if args.train { spec.resolved().train.batch_size } else { 1 });
        let plan = spec.plan(mode, batch, device.backend())?;
        let pixels = plan.buffer(plan.input).shape.numel().unwrap_or(0);
        let classes = spec.resolved().classes.value;
        Ok(Workload {
            spec,
            mode,
            device,
            images: init::values(Init::Normal { std: 1.0 }, pixels, 0, "random image"),
            labels: plan.labels.map(|_| (0..batch).map(|i| (i * 7 % classes) as u32).collect()),
            plan,
        })
    }

    /// What it runs on.
    pub fn options(&self) -> &DeviceOptions {
        &self.device
    }

    /// What it compiles for: training or inference.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// First weights. Not kept here: those who measure memory want none of theirs in it.
    pub fn weights(&self) -> Result<ParamStore> {
        Ok(self.spec.initial_weights(self.spec.resolved().train.seed)?)
    }

    /// The weights of a file, or first ones where none is named.
    pub fn weights_of(&self, file: Option<&WeightsOptions>, output: &Output) -> Result<ParamStore> {
        file.map_or_else(|| self.weights(), |options| weights::store(&self.spec, options, output))
    }

    /// Loads the plan and weights into a device.
    pub fn executor(&self, device: Arc<dyn Device>, weights: &ParamStore) -> Result<Executor> {
        let executor = Executor::new(device, Arc::clone(&self.plan))?;
        executor.load_params(weights)?;
        Ok(executor)
    }

    /// One run and its time; writing the inputs is not part of it.
    pub fn run(&self, executor: &mut Executor, steps: Option<&mut [Duration]>) -> Result<Duration> {
        executor.set_input_nhwc(0, &self.images)?;
        if let Some(labels) = &self.labels {
            executor.set_labels(0, labels)?;
        }
        let start = Instant::now();
        executor.run(0, &StepArgs { lr: LR, ..StepArgs::default() }, steps)?;
        Ok(start.elapsed())
    }
}
