//! `resnetc run SPEC` without data: a random image through the freshly initialised network, or through one
//! whose weights are given.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc::{DeviceOptions, Logits, WeightsOptions};
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Init;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Summary, Target};
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs as StepArgs;
use resnetc_runtime::init;

use super::{spec, weights};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::units::{duration, grouped, shape, si};

/// Runs after the first one, which warms caches up: as many as fit into the time, but not more than that.
const RUNS: usize = 20;
const TIME: Duration = Duration::from_secs(1);

/// How many of the results are shown.
const LARGEST: usize = 5;

/// Runs the command.
pub fn predict(
    name: &str,
    weights: Option<&WeightsOptions>,
    args: &RunArgs,
    device: &DeviceOptions,
    output: &Output,
) -> Result {
    let spec = spec::load(name, &spec::options(&args.overrides), output)?;
    let compiled = spec.compile(&Target {
        backend: device.backend(),
        ..Target::new(Mode::Infer, args.batch.unwrap_or(1))
    })?;
    let seed = args.seed.unwrap_or(spec.resolved().train.seed);
    let weights = match weights {
        Some(options) => weights::store(&spec, options, output)?,
        None => spec.initial_weights(seed)?,
    };
    let plan = Arc::new(compiled.plan);
    let mut executor = device.executor(Arc::clone(&plan), &weights)?;
    let input = &plan.buffer(plan.input).shape;
    let pixels = init::values(Init::Normal { std: 1.0 }, input.numel().unwrap_or(0), seed, "random image");
    let times = time(&mut executor, &pixels)?;

    let values = executor.output(0, "logits")?;
    let classes = compiled.summary.output_shape.last().copied().unwrap_or(1);
    let rows = values.len() / classes.max(1);
    let logits = Logits::new(values, rows);
    let logits = if args.softmax { logits.softmax() } else { logits };
    let finite = logits.values().iter().all(|value| value.is_finite());
    output.result(&report(&compiled.summary, &plan, &executor, &logits, &times))?;
    match finite {
        true => Ok(()),
        false => Err(Failure::Failed(
            "the results are not finite: in this network, sums grow beyond what numbers hold".into(),
        )),
    }
}

/// The first run, then the others. The images are written before each: later steps reuse their memory.
fn time(executor: &mut Executor, images: &[f32]) -> Result<Vec<Duration>> {
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() <= RUNS && (times.is_empty() || started.elapsed() < TIME) {
        executor.set_input_nchw(0, images)?;
        let run = Instant::now();
        executor.run(0, &StepArgs::default(), None)?;
        times.push(run.elapsed());
    }
    Ok(times)
}

fn report(
    summary: &Summary,
    plan: &Plan,
    executor: &Executor,
    logits: &Logits,
    times: &[Duration],
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<12}{value}").expect("writing to a string");
    };
    let (params, macs) = (grouped(summary.params), si(summary.macs));
    line("network", format!("{}: {params} parameters, {macs} MACs per image", summary.name));
    line("device", executor.describe());
    line("input", shape(&plan.buffer(plan.input).shape.0));
    line("output", shape(&summary.output_shape));
    let (first, others) = times.split_first().expect("it ran at least once");
    match others.iter().min() {
        Some(fastest) => {
            let runs = others.len();
            line("time", format!("{}, fastest of {runs}; first {}", duration(*fastest), duration(*first)));
        }
        None => line("time", duration(*first)),
    }
    line("largest", format!("{LARGEST} of the first image"));
    for (class, value) in logits.largest(0, LARGEST) {
        writeln!(text, "  class {class:<5} {value:>10.6}").expect("writing to a string");
    }
    text
}
