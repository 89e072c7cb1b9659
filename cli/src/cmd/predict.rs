//! `resnetc run SPEC` without data: a random image through the freshly initialised network.

use std::fmt::Write;
use std::time::{Duration, Instant};

use resnetc::DeviceOptions;
use resnetc::train::executor;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Init;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Summary, Target};
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs as StepArgs;
use resnetc_runtime::init;

use super::spec;
use crate::args::RunArgs;
use crate::failure::Result;
use crate::output::Output;
use crate::report::units::{duration, grouped, shape, si};

/// Runs after the first one, which warms caches up: as many as fit into the time, but not more than that.
const RUNS: usize = 20;
const TIME: Duration = Duration::from_secs(1);

/// How many of the results are shown.
const LARGEST: usize = 5;

/// Runs the command.
pub fn predict(name: &str, args: &RunArgs, device: &DeviceOptions, output: &Output) -> Result {
    let spec = spec::load(name, &spec::options(&args.overrides), output)?;
    let seed = args.seed.unwrap_or(spec.resolved().train.seed);
    let weights = spec.initial_weights(seed)?;
    let compiled = spec.compile(&Target::new(Mode::Infer, args.batch.unwrap_or(1)))?;
    let plan = &compiled.plan;
    let mut executor = executor(&spec, device, Mode::Infer, plan.batch, &weights)?;
    let input = &plan.buffer(plan.input).shape;
    let pixels = init::values(Init::Normal { std: 1.0 }, input.numel().unwrap_or(0), seed, "random image");
    let times = time(&mut executor, &pixels)?;

    let mut values = executor.output(0, "logits")?;
    if args.softmax {
        let classes = compiled.summary.output_shape.last().copied().unwrap_or(1);
        values.chunks_exact_mut(classes).for_each(softmax);
    }
    output.result(&report(&compiled.summary, plan, &executor, &values, &times))
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

fn report(summary: &Summary, plan: &Plan, executor: &Executor, values: &[f32], times: &[Duration]) -> String {
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
    let classes = summary.output_shape.last().copied().unwrap_or(values.len());
    line("largest", format!("{LARGEST} of the first image"));
    for (class, value) in largest(&values[..classes]) {
        writeln!(text, "  class {class:<5} {value:>10.6}").expect("writing to a string");
    }
    text
}

/// Indices and values, the largest first; of equal ones the first index first.
fn largest(values: &[f32]) -> Vec<(usize, f32)> {
    let mut order: Vec<_> = values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order.truncate(LARGEST);
    order
}

/// `exp(x - max) / sum`, which does not overflow.
fn softmax(logits: &mut [f32]) {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|x| *x /= sum);
}

#[cfg(test)]
mod tests {
    use super::{largest, softmax};

    #[test]
    fn largest_come_first_and_ties_by_index() {
        let found: Vec<_> = largest(&[0.5, 2.0, -1.0, 2.0, 0.0, 1.0, 0.1]).iter().map(|p| p.0).collect();
        assert_eq!(found, [1, 3, 5, 0, 6]);
    }

    #[test]
    fn softmax_sums_to_one_and_keeps_large_logits_finite() {
        let mut values = [1000.0, 1001.0, 999.0];
        softmax(&mut values);
        assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((values[1] / values[0] - std::f32::consts::E).abs() < 1e-4);
    }
}
