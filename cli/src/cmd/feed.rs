//! What timed runs are fed.

use std::time::{Duration, Instant};

use resnetc_compiler::ir::op::Init;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::device::RunArgs as StepArgs;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::init;

use crate::failure::Result;

/// Learning rate of the timed steps: small, so that the loss stays finite however many there are.
const LR: f32 = 1e-4;

/// Random images and classes, the same for every run.
pub struct Feed {
    images: Vec<f32>,
    labels: Option<Vec<u32>>,
}

impl Feed {
    /// For runs of a plan.
    pub fn new(plan: &Plan, classes: usize) -> Self {
        let pixels = plan.buffer(plan.input).shape.numel().unwrap_or(0);
        let images = init::values(Init::Normal { std: 1.0 }, pixels, 0, "random image");
        let labels = plan.labels.map(|_| (0..plan.batch).map(|i| (i * 7 % classes) as u32).collect());
        Feed { images, labels }
    }

    /// One run and its time; writing the inputs is not part of it.
    pub fn run(&mut self, executor: &mut Executor, steps: Option<&mut [Duration]>) -> Result<Duration> {
        executor.set_input_nhwc(0, &self.images)?;
        if let Some(labels) = &self.labels {
            executor.set_labels(0, labels)?;
        }
        let start = Instant::now();
        executor.run(0, &StepArgs { lr: LR, ..StepArgs::default() }, steps)?;
        Ok(start.elapsed())
    }
}
