//! `resnetc bench`: how long a network takes, kernel by kernel, against what the machine can do at most.

use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::{Dump, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::init;

use super::feed::Feed;
use super::{device, spec};
use crate::args::BenchArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::bench::{self, Measured};

/// Runs the command.
pub fn bench(args: &BenchArgs, output: &Output) -> Result {
    let mut sources = SourceMap::default();
    let spec =
        spec::load(&args.spec, &args.overrides.sets(), args.overrides.bounds.limits(), &mut sources, output)?;
    let compile =
        |mode, batch| spec::compile(&spec, &Target { mode, batch, dump: Dump::Never }, &sources, output);
    let mode = if args.train { Mode::Train } else { Mode::Infer };
    let batch = args.batch.unwrap_or(if args.train { spec.train.batch_size } else { 1 });
    let plan = Arc::new(compile(mode, batch)?.plan);

    device::check_tuning(args.threads, output)?;
    let cpu = device::tuned(CpuDevice::new(args.threads)?);
    let cpu = if args.train { cpu } else { cpu.with_unit_measured() };
    let mut executor = Executor::new(Box::new(cpu), Arc::clone(&plan))?;
    // Not kept: their memory is wanted by the first run.
    executor.load_params(&init::initial(&compile(Mode::Train, 1)?.plan, spec.train.seed)?)?;
    let mut feed = Feed::new(&plan, spec.classes.value);

    for _ in 0..args.warmup {
        feed.run(&mut executor, None)?;
    }
    let mut runs = Vec::with_capacity(args.runs);
    let mut steps = vec![Duration::ZERO; plan.steps.len()];
    for _ in 0..args.runs {
        runs.push(feed.run(&mut executor, Some(&mut steps))?);
    }
    if args.train && !executor.scalar(0, "loss")?.is_finite() {
        return Err(Failure::Failed(
            "the loss became infinite: these times are not those of training".into(),
        ));
    }
    for step in &mut steps {
        *step /= u32::try_from(args.runs).map_err(Failure::failed)?;
    }
    let choices = (0..plan.steps.len()).map(|step| executor.choice(0, step)).collect();
    // Measuring the ceilings takes memory that is none of the network's.
    let peak_bytes = peak_resident();
    let roofline = CpuDevice::new(args.threads)?.roofline()?;
    let device = executor.describe();
    let measured = Measured { plan: &plan, device, roofline, runs, steps, choices, peak_bytes };
    output.result(&match args.json {
        true => measured.json(),
        false => bench::text(&measured, args.warmup, args.explain),
    })
}

/// Most memory that this process has had resident, where the system tells: Linux.
fn peak_resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
