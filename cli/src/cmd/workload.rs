//! What is timed: a network's plan, its first weights, and random images, the same for every run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Init;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Dump, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs as StepArgs;
use resnetc_runtime::init;
use resnetc_runtime::weights::ParamStore;

use super::spec;
use crate::args::WorkloadArgs;
use crate::failure::Result;
use crate::output::Output;

/// Learning rate of the timed steps: small, so that the loss stays finite however many there are.
const LR: f32 = 1e-4;

/// A compiled network, to be run by any number of executors.
pub struct Workload<'a> {
    args: &'a WorkloadArgs,
    /// What runs.
    pub plan: Arc<Plan>,
    /// That of a training, which first weights belong to, and their seed.
    initial: (Plan, u64),
    images: Vec<f32>,
    labels: Option<Vec<u32>>,
}

impl<'a> Workload<'a> {
    /// Compiles what the arguments name.
    pub fn compile(args: &'a WorkloadArgs, output: &Output) -> Result<Self> {
        let mut sources = SourceMap::default();
        let (set, limits) = (args.overrides.sets(), args.overrides.bounds.limits());
        let spec = spec::load(&args.spec, &set, limits, &mut sources, output)?;
        let compile =
            |mode, batch| spec::compile(&spec, &Target { mode, batch, dump: Dump::Never }, &sources, output);
        let mode = if args.train { Mode::Train } else { Mode::Infer };
        let batch = args.batch.unwrap_or(if args.train { spec.train.batch_size } else { 1 });
        let plan = Arc::new(compile(mode, batch)?.plan);
        let pixels = plan.buffer(plan.input).shape.numel().unwrap_or(0);
        let classes = spec.classes.value;
        Ok(Workload {
            args,
            initial: (compile(Mode::Train, 1)?.plan, spec.train.seed),
            images: init::values(Init::Normal { std: 1.0 }, pixels, 0, "random image"),
            labels: plan.labels.map(|_| (0..batch).map(|i| (i * 7 % classes) as u32).collect()),
            plan,
        })
    }

    /// The device, measured as the commands that run networks do it.
    pub fn device(&self) -> Result<CpuDevice> {
        let cpu = CpuDevice::new(self.args.threads)?;
        Ok(if self.args.train { cpu } else { cpu.with_amx_measured() })
    }

    /// First weights. Not kept here: those who measure memory want none of theirs in it.
    pub fn weights(&self) -> Result<ParamStore> {
        Ok(init::initial(&self.initial.0, self.initial.1)?)
    }

    /// Loads the plan and weights into a device.
    pub fn executor(&self, device: CpuDevice, weights: &ParamStore) -> Result<Executor> {
        let mut executor = Executor::new(Box::new(device), Arc::clone(&self.plan))?;
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
