//! How long variants take: expected, and measured.

use resnetc::{DeviceOptions, Spec, SpecOptions};
use resnetc_compiler::plan::Plan;
use resnetc_runtime::roofline::Roofline;

use super::front::Worth;
use super::space::Point;
use crate::args::{DesignArgs, Metric, WorkloadArgs};
use crate::cmd::workload::{Effort, Workload};
use crate::cmd::{setup, spec};
use crate::environment::Environment;
use crate::failure::Result;
use crate::output::Output;

/// What a step takes besides its work, in seconds.
const STEP: f64 = 2e-6;

/// A variant that compiles.
pub struct Candidate {
    /// Its values.
    pub point: Point,
    /// The network.
    pub spec: Spec,
    /// Trained parameters.
    pub params: u64,
    /// Multiply-accumulates of an image, forward.
    pub macs: u64,
    /// Of all regions of its plan.
    pub bytes: usize,
    /// Seconds of a run, by the model.
    pub expected: f64,
}

impl Candidate {
    /// Compiles a variant.
    ///
    /// # Errors
    /// Where it is no network.
    pub fn new(
        args: &WorkloadArgs,
        options: &SpecOptions,
        point: Point,
        stopwatch: &Stopwatch,
    ) -> Result<Self> {
        let mut options = options.clone();
        options.set.extend(point.sets.iter().cloned());
        let spec = spec::open(&args.spec, &options)?;
        let figures = spec.figures()?;
        let workload = Workload::of(spec.clone(), args.mode(), args.batch, stopwatch.device.clone())?;
        let expected = stopwatch.scale * ideal(&workload.plan, &stopwatch.roofline);
        let bytes = workload.plan.bytes();
        Ok(Candidate { point, spec, params: figures.params, macs: figures.macs, bytes, expected })
    }

    /// What it is expected to be worth.
    pub fn worth(&self, metric: Metric) -> Worth {
        Worth { seconds: self.expected, value: metric.value(self.params, self.macs, self.bytes) }
    }
}

/// A variant that was run.
pub struct Measured<'c> {
    /// Which.
    pub candidate: &'c Candidate,
    /// Median time of a run.
    pub seconds: f64,
}

impl Measured<'_> {
    /// What it is worth.
    pub fn worth(&self, metric: Metric) -> Worth {
        Worth { seconds: self.seconds, ..self.candidate.worth(metric) }
    }
}

/// The device, and how its times follow from work.
pub struct Stopwatch {
    device: DeviceOptions,
    /// What it is called.
    pub name: String,
    roofline: Roofline,
    /// Time of the spec itself over that of the ceilings.
    scale: f64,
    /// Seconds that the spec itself takes.
    pub base: f64,
}

impl Stopwatch {
    /// Measures the machine's ceilings, and the spec itself.
    ///
    /// # Errors
    /// The device's.
    pub fn new(args: &DesignArgs, base: &Spec, environment: &Environment, output: &Output) -> Result<Self> {
        let device = setup::device(args.device, args.workload.threads, environment, output)?;
        let workload = Workload::of(base.clone(), args.workload.mode(), args.workload.batch, device.clone())?;
        let (seconds, opened) = workload.measure(&Effort::COMPARE)?;
        // A device without ceilings: what counts then is work alone.
        let none = || {
            let arithmetic = resnetc_runtime::roofline::Arithmetic { gflops: 1.0, how: "", bf16: None };
            Roofline { arithmetic, gb_s: 1.0 }
        };
        let roofline = opened.roofline(&workload.plan)?.unwrap_or_else(none);
        let scale = seconds / ideal(&workload.plan, &roofline).max(1e-9);
        Ok(Stopwatch { device, name: opened.describe(), roofline, scale, base: seconds })
    }

    /// Runs a variant.
    ///
    /// # Errors
    /// The device's.
    pub fn measure<'c>(&self, args: &WorkloadArgs, candidate: &'c Candidate) -> Result<Measured<'c>> {
        let workload = Workload::of(candidate.spec.clone(), args.mode(), args.batch, self.device.clone())?;
        Ok(Measured { candidate, seconds: workload.measure(&Effort::COMPARE)?.0 })
    }
}

/// The time that the ceilings allow: of each step that of its arithmetic or of its bytes, whichever is longer (Williams et al. 2009).
fn ideal(plan: &Plan, roofline: &Roofline) -> f64 {
    let arithmetic = &roofline.arithmetic;
    let narrow = arithmetic.bf16.filter(|_| plan.precision().is_narrow());
    let gflops = narrow.map_or(arithmetic.gflops, |ceiling| ceiling.gflops);
    let of = |step: &resnetc_compiler::plan::Step| {
        let work = step.kernel.flops() as f64 / gflops;
        STEP + work.max(plan.traffic(step) as f64 / roofline.gb_s) * 1e-9
    };
    plan.steps.iter().map(of).sum()
}
