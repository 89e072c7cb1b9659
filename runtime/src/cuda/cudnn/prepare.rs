//! From a work to a plan, by way of the plans that are kept: what a device calls for each of its convolutions, and what compiles
//! them ahead of time.

use super::cache::{Cache, Compared, Failed, Found, Kept, Key};
use super::candidates::{Candidate, Offer, candidates};
use super::choose::{Budget, Choice, fastest};
use super::compare::{compared, known};
use super::compiled::Compiled;
use super::engine::{Rules, Source};
use super::fault::Fault;
use super::job::Job;
use super::library::version;
use super::plan::Plan;
use super::target::Target;
use crate::error::{Error, Result};

/// Times a run of a plan, in seconds.
pub type Time<'t, P = Plan> = &'t mut dyn FnMut(&P) -> Result<f64>;

/// What works are prepared with.
#[derive(Debug)]
pub struct Prepare<'a> {
    /// What plans are for.
    pub target: &'a Target<'a>,
    /// Which engines are taken.
    pub rules: Rules,
    /// Where plans are kept.
    pub cache: Option<&'a Cache>,
}

/// A work's plan.
#[derive(Debug)]
pub struct Prepared {
    /// To be run.
    pub plan: Plan,
    /// Measured seconds of a run, now or earlier.
    pub seconds: Option<f64>,
    /// Whether it was kept, rather than made now.
    pub kept: bool,
    /// What is worth a word: files that could not be used or written, ways that failed.
    pub remarks: Vec<String>,
}

impl Prepare<'_> {
    fn key(&self, job: &Job) -> Key {
        let (device, deterministic) = (self.target.device().key(), self.rules.deterministic);
        Key { device, cudnn: version(), deterministic, work: *job }
    }

    /// Who tries what may fail.
    fn tries(&self) -> String {
        format!("resnetc {}, driver {}", env!("CARGO_PKG_VERSION"), self.target.device().driver())
    }

    /// The kept plans of a work that cuDNN still takes, and what has failed before; none of both where nothing is kept.
    fn kept(&self, key: &Key, remarks: &mut Vec<String>) -> (Kept, Vec<Plan>) {
        let mut kept = match self.cache.map(|cache| cache.load(key, &self.rules)) {
            Some(Found::Plans(kept)) => kept,
            Some(Found::Nothing) | None => Kept::default(),
            Some(Found::Ignored(reason)) => {
                remarks.push(reason);
                Kept::default()
            }
        };
        kept.failed = kept.failed.tried_by(self.tries());
        let first = kept.plans.first().map(|plan| plan.engine.clone());
        let mut plans = Vec::new();
        kept.plans.retain(|stored| match Plan::restore(self.target, &key.work, stored) {
            Ok(plan) => {
                plans.push(plan);
                true
            }
            Err(fault) => {
                remarks.push(format!("the kept plan of {key} is not taken: {fault}"));
                false
            }
        });
        kept.settled &= kept.plans.first().map(|plan| &plan.engine) == first.as_ref();
        (kept, plans)
    }

    /// Why nothing computes a work, where that was found out before.
    fn known_to_fail(&self, kept: &Kept) -> Option<String> {
        let why = kept.failed.all(self.target.handle().is_some());
        why.filter(|_| kept.plans.is_empty()).map(str::to_owned)
    }

    /// The plan of a work: as it was measured earlier, or measured now where there is a way to and time, or the first that the
    /// heuristics name. It is kept.
    ///
    /// # Errors
    /// Where cuDNN has no way of doing the work, or fails.
    pub fn plan(&self, job: &Job, time: Option<Time<'_>>, budget: &mut Budget) -> Result<Prepared> {
        let key = self.key(job);
        let mut remarks = Vec::new();
        // What one process took without measuring, another with time measures.
        let open = |kept: &Kept| time.is_some() && !kept.settled && !budget.left().is_zero();
        let (kept, mut plans) = self.kept(&key, &mut remarks);
        if let Some(why) = self.known_to_fail(&kept) {
            return Err(Error::Device(format!("{key}: {why}, as was found out before")));
        }
        if !plans.is_empty() && !open(&kept) {
            let (seconds, plan) = (kept.plans[0].seconds, plans.swap_remove(0));
            return Ok(Prepared { plan, seconds, kept: true, remarks });
        }
        match plans.len() {
            0 | 1 => self.make(&key, kept.failed, time, budget, remarks),
            _ => self.measure(&key, kept, plans, time, budget, remarks),
        }
    }

    /// The plan of a work by the engine that was chosen earlier, as it was written then: `engine 4 (tile_m=128, stages=3)`. It is kept
    /// behind the others.
    ///
    /// # Errors
    /// Where cuDNN does not offer that engine, or cannot make its plan.
    pub fn pinned(&self, job: &Job, engine: &str) -> Result<Prepared> {
        let (key, mut remarks) = (self.key(job), Vec::new());
        let is_it = |plan: &Plan| plan.engine().to_string() == engine;
        let (mut kept, mut plans) = self.kept(&key, &mut remarks);
        if let Some(index) = plans.iter().position(is_it) {
            let (plan, seconds) = (plans.swap_remove(index), kept.plans[index].seconds);
            return Ok(Prepared { plan, seconds, kept: true, remarks });
        }
        let offer = candidates(self.target, job, &self.rules)?;
        let way = offer.candidates.iter().find(|way| way.engine.to_string() == engine);
        let others = offer.candidates.len();
        let way =
            way.ok_or_else(|| Error::Device(format!("cuDNN offers {others} others, and not this one")))?;
        let plan = way.plan(self.target)?;
        match plan.store(None) {
            Ok(stored) => {
                kept.plans.push(stored);
                self.keep(&key, kept, &mut remarks);
            }
            Err(fault) => remarks.push(format!("the plan of {key} cannot be kept: {fault}")),
        }
        Ok(Prepared { plan, seconds: None, kept: false, remarks })
    }

    /// Times of a fused work, which has a plan, and of its parts: as they were measured earlier, or measured now where there is time for it. They
    /// are kept.
    ///
    /// # Errors
    /// Those of `measure`.
    pub fn compared(
        &self,
        job: &Job,
        budget: &mut Budget,
        measure: impl FnOnce() -> Result<Compared>,
    ) -> Result<Option<Compared>> {
        let key = self.key(job);
        compared(self.cache, &key, &self.rules, budget, measure)
    }

    /// Those times, where they were measured earlier.
    pub fn known(&self, job: &Job) -> Option<Compared> {
        known(self.cache, &self.key(job), &self.rules)
    }

    /// Of plans that were compiled ahead of time.
    fn measure(
        &self,
        key: &Key,
        kept: Kept,
        plans: Vec<Plan>,
        time: Option<Time<'_>>,
        budget: &mut Budget,
        mut remarks: Vec<String>,
    ) -> Result<Prepared> {
        let mut plans: Vec<Option<Plan>> = plans.into_iter().map(Some).collect();
        let count = plans.len();
        let make = |index: usize| {
            plans[index].take().ok_or_else(|| Error::Device(format!("plan {index} is asked for twice")))
        };
        let choice = choose_by(count, make, time, budget)?;
        let mut order = kept.plans.clone();
        for (index, seconds) in &choice.seconds {
            order[*index].seconds = Some(*seconds);
        }
        order[..=choice.index].rotate_right(1);
        let seconds = choice.time();
        let kept = Kept { plans: order, settled: choice.settled, compared: None, ..kept };
        self.keep(key, kept, &mut remarks);
        Ok(Prepared { plan: choice.plan, seconds, kept: true, remarks })
    }

    /// Of what cuDNN offers, but for what has failed before.
    fn make(
        &self,
        key: &Key,
        mut failed: Failed,
        time: Option<Time<'_>>,
        budget: &mut Budget,
        mut remarks: Vec<String>,
    ) -> Result<Prepared> {
        let offer = candidates(self.target, &key.work, &self.rules)?;
        let ways = untried(&offer, &failed);
        let make = |index: usize| {
            ways[index].plan(self.target).map_err(|fault| {
                note(&mut failed, ways[index], &fault);
                Error::from(fault)
            })
        };
        let choice = match choose_by(ways.len(), make, time, budget) {
            Ok(choice) => choice,
            Err(error) => {
                let reason = offer.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
                self.give_up(key, &offer, failed, &format!("{error}{reason}"));
                return Err(Error::Device(format!("{key}: {error}{reason}")));
            }
        };
        remarks.extend(choice.refused.iter().map(|(index, why)| format!("{}: {why}", ways[*index].engine)));
        let seconds = choice.time();
        match choice.plan.store(seconds) {
            Ok(stored) => {
                let kept = Kept { plans: vec![stored], settled: choice.settled, failed, compared: None };
                self.keep(key, kept, &mut remarks);
            }
            Err(fault) => remarks.push(format!("the plan of {key} cannot be kept: {fault}")),
        }
        Ok(Prepared { plan: choice.plan, seconds, kept: false, remarks })
    }

    /// Keeps in mind that nothing computes a work, if that is so: what failed otherwise, as for want of memory, may work the next time.
    fn give_up(&self, key: &Key, offer: &Offer, mut failed: Failed, why: &str) {
        if untried(offer, &failed).is_empty() {
            failed.all = Some(why.to_owned());
            failed.at_hand = self.target.handle().is_some();
            // Not to keep it costs time alone.
            self.keep(key, Kept { failed, ..Kept::default() }, &mut Vec::new());
        }
    }

    /// That plans cannot be kept costs time, no more.
    fn keep(&self, key: &Key, kept: Kept, remarks: &mut Vec<String>) {
        if let Some(Err(error)) = self.cache.map(|cache| cache.save(key, &kept)) {
            remarks.push(error.to_string());
        }
    }

    /// Makes plans of a work ahead of time and keeps them: of the best `most` engines, one each, so that where the GPU is, they can
    /// be measured without being compiled. That none can be made is no error.
    ///
    /// # Errors
    /// Where cuDNN fails, or the plans cannot be written.
    pub fn compile(&self, job: &Job, most: usize) -> Result<Compiled> {
        let key = self.key(job);
        let mut compiled = Compiled::default();
        let (kept, _) = self.kept(&key, &mut compiled.remarks);
        let known = self.known_to_fail(&kept);
        if !kept.plans.is_empty() || known.is_some() {
            return Ok(Compiled { plans: kept.plans, kept: true, reason: known, ..compiled });
        }
        let mut failed = kept.failed;
        let offer = match candidates(self.target, job, &self.rules) {
            Ok(offer) => offer,
            Err(fault) if fault.is_unsupported() => {
                return Ok(Compiled { reason: Some(fault.to_string()), ..compiled });
            }
            Err(fault) => return Err(fault.into()),
        };
        compiled.offered = offer.offered;
        let forbidden = offer.dropped.iter().map(|(engine, why)| (engine.to_string(), (*why).to_owned()));
        compiled.forbidden = forbidden.collect();
        compiled.reason = offer.reason.as_ref().map(|reason| reason.to_string());
        let mut settled = true;
        let ways = untried(&offer, &failed);
        let engines: Vec<Source> = ways.iter().map(|way| way.engine.source).collect();
        for way in one_of_each(&engines).into_iter().map(|index| ways[index]) {
            if compiled.plans.len() == most {
                settled = false;
                break;
            }
            match way.plan(self.target).and_then(|plan| plan.store(None)) {
                Ok(stored) => compiled.plans.push(stored),
                Err(fault) => {
                    note(&mut failed, way, &fault);
                    compiled.failed.push((way.engine.to_string(), fault.to_string()));
                }
            }
        }
        match self.cache {
            Some(cache) if !compiled.plans.is_empty() => {
                let settled = settled && compiled.plans.len() == 1;
                let kept = Kept { plans: compiled.plans.clone(), settled, failed, compared: None };
                cache.save(&key, &kept)?;
            }
            _ => self.give_up(&key, &offer, failed, &compiled.why()),
        }
        Ok(compiled)
    }
}

/// Offered ways that have not failed before.
fn untried<'o>(offer: &'o Offer, failed: &Failed) -> Vec<&'o Candidate> {
    let untried = |way: &&Candidate| !failed.engines.contains_key(&way.engine.to_string());
    offer.candidates.iter().filter(untried).collect()
}

/// Keeps a failure in mind that will be one the next time, too.
fn note(failed: &mut Failed, way: &Candidate, fault: &Fault) {
    if fault.is_lasting() {
        failed.engines.insert(way.engine.to_string(), fault.to_string());
    }
}

/// The fastest, or the first that can be made where there is no way to measure.
fn choose_by<P>(
    count: usize,
    make: impl FnMut(usize) -> Result<P>,
    time: Option<Time<'_, P>>,
    budget: &mut Budget,
) -> Result<Choice<P>> {
    let mut never = |_: &P| Err(Error::Device("nothing is measured".into()));
    match time {
        Some(time) => fastest(count, make, time, budget),
        None => fastest(count, make, &mut never, &mut Budget::none()),
    }
}

/// Numbers of ways by their engines: the best way of each engine first, then the others, in the heuristics' order.
fn one_of_each(engines: &[Source]) -> Vec<usize> {
    let is_first = |&index: &usize| !engines[..index].contains(&engines[index]);
    let (mut order, later): (Vec<usize>, Vec<usize>) = (0..engines.len()).partition(is_first);
    order.extend(later);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_its_turn_before_one_has_two() {
        let engines = [4, 4, 7, 4, 2, 7].map(Source::Graph);
        assert_eq!(one_of_each(&engines), [0, 2, 4, 1, 3, 5]);
        assert_eq!(one_of_each(&[]), [0; 0]);
    }
}
