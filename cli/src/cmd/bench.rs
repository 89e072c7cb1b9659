//! `resnetc bench`: how long a network takes, kernel by kernel, against what the machine can do at most.

use std::time::Duration;

use resnetc::DeviceKind;

use super::setup;
use super::workload::Workload;
use crate::args::BenchArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::bench::{self, Measured};
use crate::report::resident::{self, Beside};

/// Runs the command.
pub fn bench(args: &BenchArgs, environment: &Environment, output: &Output) -> Result {
    let device = setup::device(args.device, args.workload.threads, environment, output)?;
    let workload = Workload::compile(&args.workload, device, output)?;
    let device = workload.options().open(workload.mode().into())?;
    let beside = Beside::plan(&workload.plan, &*device)?;
    let file = args.weights.options(None, &environment.downloads());
    let mut executor = workload.executor(device, &workload.weights_of(file.as_ref(), output)?)?;
    let plan = &*workload.plan;

    for _ in 0..args.warmup {
        workload.run(&mut executor, None)?;
    }
    let mut runs = Vec::with_capacity(args.runs);
    let mut steps = vec![Duration::ZERO; plan.steps.len()];
    // A GPU waits for nobody within a run, unless it is asked for each step's time: that is another measurement.
    let apart = matches!(workload.options().kind, DeviceKind::Cuda(_));
    for _ in 0..args.runs {
        runs.push(workload.run(&mut executor, if apart { None } else { Some(&mut steps) })?);
        if apart {
            workload.run(&mut executor, Some(&mut steps))?;
        }
    }
    if args.workload.train && !executor.scalar(0, "loss")?.is_finite() {
        return Err(Failure::Failed(
            "the loss became infinite: these times are not those of training".into(),
        ));
    }
    for step in &mut steps {
        *step /= u32::try_from(args.runs).map_err(Failure::failed)?;
    }
    let choices = (0..plan.steps.len()).map(|step| executor.choice(0, step)).collect();
    // Measuring the ceilings takes memory that is none of the network's.
    let peak = resident::peak();
    let roofline = executor.device().roofline(plan)?;
    let device = executor.describe();
    let measured = Measured { plan, device, roofline, runs, steps, choices, beside, peak };
    output.result(&match args.json {
        true => measured.json(),
        false => bench::text(&measured, args.warmup, args.explain, output.page.columns),
    })
}
