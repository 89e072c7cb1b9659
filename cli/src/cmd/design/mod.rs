//! `resnetc design`: which variants of a network are worth their time on this machine.
//!
//! All variants are compiled, which takes milliseconds each. A cost model says about how long each runs; it is scaled by the time that
//! the spec itself takes. Those that may be on the front are measured, and the front is that of the measured times.

mod front;
mod measure;
mod report;
mod space;

use std::path::Path;

use resnetc::{Spec, SpecOptions};

use super::spec;
use crate::args::DesignArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Signals;
use front::{Worth, front, spread};
use measure::{Candidate, Measured, Stopwatch};
use space::Point;

/// A variant that the model expects to be by so much slower than the budget is not measured: it may err.
const DOUBT: f64 = 0.25;
/// A variant is measured unless another is expected to offer as much in so much less time.
const MARGIN: f64 = 0.15;

/// Runs the command.
pub fn design(args: &DesignArgs, environment: &Environment, output: &Output) -> Result {
    let options = spec::options(&args.workload.overrides);
    let base = spec::load(&args.workload.spec, &options, output)?;
    let dimensions = space::dimensions(&base, &args.over)?;
    let points = space::points(&dimensions)?;
    let signals = Signals::catch("stopping behind this measurement")?;
    let stopwatch = Stopwatch::new(args, &base, environment, output)?;
    let (candidates, refused) = compiled(args, &options, points, &stopwatch, output)?;
    let measured = measured(args, &candidates, &stopwatch, &signals, output)?;
    let worth: Vec<Worth> = measured.iter().map(|m| m.worth(args.metric)).collect();
    let in_time = |i: &usize| args.budget.is_none_or(|most| worth[*i].seconds <= most.as_secs_f64());
    let best: Vec<&Measured<'_>> =
        front(&worth, 0.0).into_iter().filter(in_time).map(|i| &measured[i]).collect();
    let found = report::Found {
        args,
        base: &base,
        stopwatch: &stopwatch,
        names: dimensions.iter().map(|dimension| dimension.name.as_str()).collect(),
        compiled: candidates.len(),
        refused,
        measured: &measured,
        front: &best,
    };
    found.tell(output)?;
    if let Some(folder) = &args.output {
        write(folder, &base, args, &best, output)?;
    }
    match signals.status() {
        Some(status) => Err(Failure::Signal(status)),
        None if best.is_empty() => {
            Err(Failure::Failed("no variant that was measured keeps to the budget".into()))
        }
        None => Ok(()),
    }
}

/// All variants that are networks, and how many are none.
fn compiled(
    args: &DesignArgs,
    options: &SpecOptions,
    points: Vec<Point>,
    stopwatch: &Stopwatch,
    output: &Output,
) -> Result<(Vec<Candidate>, usize)> {
    let bar = Progress::count(output, "compiling", points.len() as u64);
    let (mut candidates, mut first) = (Vec::new(), None);
    let count = points.len();
    for (done, point) in points.into_iter().enumerate() {
        bar.set(done as u64);
        match Candidate::new(&args.workload, options, point, stopwatch) {
            Ok(candidate) => candidates.push(candidate),
            // What is no network is left out; where none is one, the first says why.
            Err(Failure::Spec(faults)) => first = first.or(Some(faults)),
            Err(other) => return Err(other),
        }
    }
    match first {
        Some(faults) if candidates.is_empty() => Err(Failure::Spec(faults)),
        Some(_) | None => {
            let refused = count - candidates.len();
            Ok((candidates, refused))
        }
    }
}

/// Measures the variants that may be on the front, until a signal asks for an end.
fn measured<'c>(
    args: &DesignArgs,
    candidates: &'c [Candidate],
    stopwatch: &Stopwatch,
    signals: &Signals,
    output: &Output,
) -> Result<Vec<Measured<'c>>> {
    let most = args.budget.map_or(f64::INFINITY, |budget| budget.as_secs_f64() * (1.0 + DOUBT));
    let likely: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.expected <= most).collect();
    let worth: Vec<Worth> = likely.iter().map(|candidate| candidate.worth(args.metric)).collect();
    let chosen = spread(&front(&worth, MARGIN), args.measure);
    let bar = Progress::count(output, "measuring", chosen.len() as u64);
    let mut measured = Vec::with_capacity(chosen.len());
    for (done, index) in chosen.into_iter().enumerate() {
        if signals.status().is_some() {
            break;
        }
        bar.set(done as u64);
        bar.say(likely[index].point.values.join(" "));
        measured.push(stopwatch.measure(&args.workload, likely[index])?);
    }
    Ok(measured)
}

/// Writes the specs of the front, each whole and of a name of its own.
fn write(folder: &Path, base: &Spec, args: &DesignArgs, front: &[&Measured<'_>], output: &Output) -> Result {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::Failed(format!("cannot make {}: {error}", folder.display())))?;
    for (number, measured) in (1..).zip(front) {
        let name = format!("{}_{number}", base.name());
        let mut options = spec::options(&args.workload.overrides);
        options.set.extend(measured.candidate.point.sets.iter().cloned());
        options.set.push(format!("name={name}"));
        let text = spec::open(&args.workload.spec, &options)?.resolved().to_yaml();
        files::write(&folder.join(format!("{name}.yaml")), text.as_bytes())?;
    }
    output.note(&format!("{} specs in {}", front.len(), folder.display()))
}
