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
use resnetc_runtime::ranks::{Collective, mirror};
use resnetc_runtime::weights::ParamStore;

use super::{spec, weights};
use crate::args::WorkloadArgs;
use crate::failure::Result;
use crate::output::Output;
use crate::report::units::median;

/// Learning rate of the timed steps: small, so that the loss stays finite however many there are.
const LR: f32 = 1e-4;

/// How often a network is run to learn its time.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Runs before the timed ones: memory is touched, weights are packed.
    warmup: usize,
    /// Timed runs at least.
    least: usize,
    /// They go on until so much time is over,
    time: Duration,
    /// and there are so many at most.
    most: usize,
}

impl Effort {
    /// To compare networks with each other, or with a bound.
    pub const COMPARE: Effort = Effort { warmup: 2, least: 5, time: Duration::from_millis(300), most: 100 };
    /// To say about how long a training takes.
    pub const ESTIMATE: Effort = Effort { warmup: 1, least: 2, time: Duration::from_millis(100), most: 10 };
}

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
        Workload::of(spec, args.mode(), args.batch, device)
    }

    /// Compiles a network; of no batch the spec's to train with, and one image otherwise.
    pub fn of(spec: Spec, mode: Mode, batch: Option<usize>, device: DeviceOptions) -> Result<Self> {
        let batch = batch.unwrap_or(match mode {
            Mode::Train => spec.resolved().train.batch_size,
            Mode::Infer => 1,
        });
        let plan = spec.plan(mode, batch, device.backend())?;
        Ok(Workload::planned(spec, mode, plan, device))
    }

    /// A plan that is there.
    pub fn planned(spec: Spec, mode: Mode, plan: Arc<Plan>, device: DeviceOptions) -> Self {
        let pixels = plan.buffer(plan.input).shape.numel().unwrap_or(0);
        let classes = spec.resolved().classes.value;
        Workload {
            spec,
            mode,
            device,
            images: init::values(Init::Normal { std: 1.0 }, pixels, 0, "random image"),
            labels: plan.labels.map(|_| (0..plan.batch).map(|i| (i * 7 % classes) as u32).collect()),
            plan,
        }
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

    /// Median time of a run in seconds, and the device that it was measured on.
    ///
    /// # Errors
    /// The device's.
    pub fn measure(&self, effort: &Effort) -> Result<(f64, Arc<dyn Device>)> {
        self.repeat(effort, None)
    }

    /// The seconds of each step of the plan, together the median time of a run, and the device that they were measured on.
    ///
    /// # Errors
    /// The device's.
    pub fn profile(&self, effort: &Effort) -> Result<(Vec<f64>, Arc<dyn Device>)> {
        let mut steps = vec![Duration::ZERO; self.plan.steps.len()];
        let (median, device) = self.repeat(effort, Some(&mut steps))?;
        let scale = median / steps.iter().sum::<Duration>().as_secs_f64().max(f64::MIN_POSITIVE);
        Ok((steps.iter().map(|step| scale * step.as_secs_f64()).collect(), device))
    }

    /// Runs it so often; the median time of a run, and of each step the sum over all timed runs.
    fn repeat(&self, effort: &Effort, mut steps: Option<&mut [Duration]>) -> Result<(f64, Arc<dyn Device>)> {
        let device = match self.plan.ranks {
            // The others are not there, and do what this one does.
            Some(ranks) => {
                let ranks = Collective::new(mirror(ranks.count), Arc::default())?;
                self.options().open_shared(Arc::new(ranks))?
            }
            None => self.options().open(self.mode().into())?,
        };
        let mut executor = self.executor(Arc::clone(&device), &self.weights()?)?;
        for _ in 0..effort.warmup {
            self.run(&mut executor, None)?;
        }
        let (started, mut runs) = (Instant::now(), Vec::new());
        while runs.len() < effort.least || (started.elapsed() < effort.time && runs.len() < effort.most) {
            runs.push(self.run(&mut executor, steps.as_deref_mut())?);
        }
        Ok((median(&runs).unwrap_or_default().as_secs_f64(), device))
    }

    /// One run and its time; writing the inputs is not part of it.
    pub fn run(&self, executor: &mut Executor, steps: Option<&mut [Duration]>) -> Result<Duration> {
        executor.set_input_nhwc(0, &self.images)?;
        if let Some(labels) = &self.labels {
            executor.set_labels(0, labels)?;
        }
        let share = self.plan.ranks.map_or(1.0, |ranks| 1.0 / ranks.count as f32);
        let args = StepArgs { lr: LR, share, ..StepArgs::default() };
        let start = Instant::now();
        executor.run(0, &args, steps)?;
        Ok(start.elapsed())
    }
}
