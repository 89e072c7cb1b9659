//! `resnetc build --link`: how long a training step takes on several ranks.

use std::sync::Arc;

use resnetc::Spec;
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::step_kind::StepKind;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_compiler::scaling::{Link, Prediction, computing, predict, spread};

use super::setup;
use super::workload::{Effort, Workload};
use crate::args::{BuildArgs, DeviceArg};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::scaling::Scaling;

/// Multiply-accumulates in the time of a byte, by which a given time is spread over the steps: about those of a CPU with vectors, and
/// of a GPU's matrix units.
const MACS_PER_BYTE: [f64; 2] = [8.0, 100.0];

/// What a plan of several ranks is expected to take on 2, 4, ... of them.
///
/// # Errors
/// Where there is one rank, or no time of the step and none can be measured.
pub fn scaling(
    args: &BuildArgs,
    link: Link,
    spec: &Spec,
    plan: &Plan,
    environment: &Environment,
    output: &Output,
) -> Result<Scaling> {
    if args.ranks < 2 {
        return Err(Failure::Usage("--link is between processes: give their number, as `--ranks 8`".into()));
    }
    let (times, source) = match args.step_time {
        Some(seconds) => {
            let macs = MACS_PER_BYTE[usize::from(args.backend == Backend::CUDA)];
            (spread(plan, seconds, macs), "as given, spread over the steps by their work".to_owned())
        }
        None if args.backend != Backend::CPU => {
            return Err(Failure::Usage(format!(
                "the time of a step on {} is not measured here: give it, as `--step-time 250ms`",
                args.backend.name
            )));
        }
        None => measured(args, spec, plan, environment, output)?,
    };
    let of = |ranks: usize| -> Result<Prediction> {
        let of = |step: StepKind, times: &[f64]| -> Result<Prediction> {
            let target =
                Target { backend: args.backend, ranks, step, ..Target::new(Mode::Train, plan.batch) };
            Ok(predict(&spec.compile(&target)?.plan, times, link))
        };
        let update = of(StepKind::Update, &times)?;
        match spec.resolved().train.parallel.sync_every {
            1 => Ok(update),
            // The mean of the weights is a plan of its own, which computes nothing.
            every => Ok(update.with(every, of(StepKind::Synchronize, &[])?)),
        }
    };
    let predictions = counts(args.ranks).map(of).collect::<Result<_>>()?;
    Ok(Scaling { link, source, batch: plan.batch, sums: plan.reductions().len(), predictions })
}

/// 2, 4, 8, ... and the last one.
fn counts(last: usize) -> impl Iterator<Item = usize> {
    (1..usize::BITS).map(|power| 1 << power).take_while(move |&count| count < last).chain([last])
}

/// The time of each step on this machine's CPU, where its steps that send have nobody to send to.
fn measured(
    args: &BuildArgs,
    spec: &Spec,
    plan: &Plan,
    environment: &Environment,
    output: &Output,
) -> Result<(Vec<f64>, String)> {
    let device = setup::device(DeviceArg::Cpu, args.threads, environment, output)?;
    let workload = Workload::planned(spec.clone(), Mode::Train, Arc::new(plan.clone()), device);
    let (times, device) = workload.profile(&Effort::COMPARE)?;
    let times = computing(plan).map(|(index, _)| times[index]).collect();
    Ok((times, format!("measured here: {}", device.describe())))
}
