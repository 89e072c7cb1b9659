//! `resnetc tune`: lets every algorithm that a convolution could take have its turn within the network, and keeps what is
//! faster than what the cost model takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use resnetc_runtime::cpu::conv::plausible;
use resnetc_runtime::cpu::tune::{Layer, Measurement, Tuning};
use resnetc_runtime::device::{Choice, Device};
use resnetc_runtime::exec::Executor;
use resnetc_runtime::weights::ParamStore;

use super::setup;
use super::workload::Workload;
use crate::args::TuneArgs;
use crate::contest::Contest;
use crate::environment::{self, Environment};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;
use crate::report::tune::{self, Race, Tuned};

/// Timed runs of a turn.
const RUNS: usize = 4;

/// Runs the command.
pub fn tune(args: &TuneArgs, environment: &Environment, output: &Output) -> Result {
    let device = setup::cpu(args.workload.threads, environment, output)?;
    let subject = Subject::new(Workload::compile(&args.workload, device, output)?)?;
    let workload = &subject.workload;
    let Some(cache) = workload.options().tuning_cache() else {
        let variable = environment::TUNING;
        return Err(Failure::Usage(format!(
            "{variable}=off leaves nowhere to keep measurements: unset it, or name a folder"
        )));
    };
    let mut contests = subject.contests()?;
    let turns = contests.iter().map(|contest| contest.algorithms.len()).max().unwrap_or(0);
    let bar = Progress::count(output, "measuring", (args.rounds * (turns + 2)) as u64);
    for round in 0..args.rounds {
        for turn in 0..turns {
            bar.set((round * turns + turn) as u64);
            subject.take_turn(turn, &mut contests)?;
        }
    }

    let found = updated(Tuning::default(), &contests, true);
    let mut times = Race { expected: Vec::new(), measured: Vec::new() };
    for round in 0..if found.is_empty() { 0 } else { args.rounds } {
        bar.set((args.rounds * turns + 2 * round) as u64);
        times.expected.extend(subject.race(Tuning::default())?);
        times.measured.extend(subject.race(found.clone())?);
    }
    drop(bar);

    let kept = times.gain().is_some_and(|gain| gain > 1.0);
    let before = cache.load();
    let after = updated(before.as_ref().cloned().unwrap_or_default(), &contests, kept);
    if before.map_or(true, |before| before != after) {
        cache.save(&after)?;
    }
    let device = workload.options().open_cpu(workload.mode().into(), Tuning::default())?.describe();
    let tuned =
        Tuned { plan: &workload.plan, device, contests, race: times, file: kept.then(|| cache.path()) };
    output.result(&if args.json { tuned.json() } else { tune::text(&tuned, output.page.columns) })
}

/// What is tuned.
struct Subject {
    workload: Workload,
    weights: ParamStore,
}

impl Subject {
    fn new(workload: Workload) -> Result<Self> {
        let weights = workload.weights()?;
        Ok(Subject { workload, weights })
    }

    fn executor(&self, tuning: Tuning) -> Result<Executor> {
        let device = self.workload.options().open_cpu(self.workload.mode().into(), tuning)?;
        self.workload.executor(Arc::new(device), &self.weights)
    }

    /// Layers with several algorithms that are not hopeless.
    fn contests(&self) -> Result<Vec<Contest>> {
        let workload = &self.workload;
        let executor = self.executor(Tuning::default())?;
        let mut contests: Vec<Contest> = Vec::new();
        for (index, step) in workload.plan.steps.iter().enumerate() {
            let (Some(layer), Some(choice)) = (Layer::of(&step.kernel), executor.choice(0, index)) else {
                continue;
            };
            match contests.iter_mut().find(|contest| contest.layer == layer) {
                Some(contest) => contest.steps.push(index),
                None => {
                    let algorithms = candidates(&choice);
                    contests.push(Contest { layer, steps: vec![index], algorithms, times: BTreeMap::new() });
                }
            }
        }
        contests.retain(|contest| contest.algorithms.len() > 1);
        Ok(contests)
    }

    /// Runs each layer's algorithm of that number; where there are fewer, what the cost model takes.
    fn take_turn(&self, turn: usize, contests: &mut [Contest]) -> Result {
        let workload = &self.workload;
        let mut tuning = Tuning::default();
        for contest in &*contests {
            let algorithm = contest.algorithms.get(turn).unwrap_or(&contest.algorithms[0]);
            let measurement = Measurement { fastest: (*algorithm).to_owned(), microseconds: BTreeMap::new() };
            tuning.insert(contest.layer, measurement);
        }
        let mut executor = self.executor(tuning)?;
        workload.run(&mut executor, None)?;
        // Asked for, as the device may know better by now than to believe what it is told.
        let taken: Vec<_> = contests.iter().map(|contest| executor.choice(0, contest.steps[0])).collect();
        for _ in 0..RUNS {
            let mut times = vec![Duration::ZERO; workload.plan.steps.len()];
            workload.run(&mut executor, Some(&mut times))?;
            for (contest, choice) in contests.iter_mut().zip(&taken) {
                let Some(choice) = choice else { continue };
                let sum: Duration = contest.steps.iter().map(|&step| times[step]).sum();
                let mean = sum.as_secs_f64() / contest.steps.len() as f64;
                contest.times.entry(choice.algorithm).or_default().push(mean);
            }
        }
        Ok(())
    }

    /// Times whole runs.
    fn race(&self, tuning: Tuning) -> Result<Vec<Duration>> {
        let mut executor = self.executor(tuning)?;
        self.workload.run(&mut executor, None)?;
        (0..RUNS).map(|_| self.workload.run(&mut executor, None)).collect()
    }
}

/// What is taken, then what else may be the fastest.
fn candidates(choice: &Choice) -> Vec<&'static str> {
    let others = choice
        .estimates
        .iter()
        .filter(|estimate| estimate.algorithm != choice.algorithm && plausible(estimate, &choice.estimates));
    std::iter::once(choice.algorithm).chain(others.map(|estimate| estimate.algorithm)).collect()
}

/// What is known then: of these layers what was found, if it is kept; what was before is not true any more.
fn updated(mut known: Tuning, contests: &[Contest], kept: bool) -> Tuning {
    contests.iter().for_each(|contest| known.remove(&contest.layer));
    if kept {
        contests.iter().filter_map(Contest::verdict).for_each(|(layer, found)| known.insert(layer, found));
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::tests::contest;

    #[test]
    fn what_is_faster_is_kept() {
        let faster = contest(&[("direct", &[4e-4]), ("winograd", &[3e-4])]);
        let noise = contest(&[("direct", &[4e-4]), ("winograd", &[3.9e-4])]);
        let found = updated(Tuning::default(), &[faster], true);
        assert_eq!(found.len(), 1);
        let again = contest(&[("direct", &[4e-4]), ("winograd", &[3e-4])]);
        assert_eq!(updated(found.clone(), &[noise], true), Tuning::default(), "it is not faster any more");
        assert_eq!(updated(Tuning::default(), &[again], false), Tuning::default(), "nothing is kept");
        assert_eq!(updated(found.clone(), &[], true), found, "other layers stay");
    }
}
