//! From a work to a plan, by way of the plans that are kept: what a device calls for each of its convolutions, and what compiles
//! them ahead of time.

use super::cache::{Cache, Found, Kept, Key};
use super::candidates::candidates;
use super::choose::{Budget, Choice, fastest};
use super::engine::{Rules, Source};
use super::library::version;
use super::plan::{Plan, Stored};
use super::target::Target;
use super::work::Work;
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

/// What was made of a work ahead of time.
#[derive(Debug, Default)]
pub struct Compiled {
    /// The plans, the heuristics' best first.
    pub plans: Vec<Stored>,
    /// Whether they were there already.
    pub kept: bool,
    /// What mode A of the heuristics offered, and the fallback.
    pub offered: [usize; 2],
    /// Ways that the rules forbid.
    pub forbidden: usize,
    /// Ways that could not be made, and why.
    pub failed: Vec<(String, String)>,
    /// Why nothing was offered.
    pub reason: Option<String>,
    /// Files that could not be used.
    pub remarks: Vec<String>,
}

impl Prepare<'_> {
    fn key(&self, work: &Work) -> Key {
        let (device, deterministic) = (self.target.device().key(), self.rules.deterministic);
        Key { device, cudnn: version(), deterministic, work: *work }
    }

    /// The kept plans of a work that cuDNN still takes.
    fn kept(&self, key: &Key, remarks: &mut Vec<String>) -> Option<(Kept, Vec<Plan>)> {
        let mut kept = match self.cache?.load(key, &self.rules) {
            Found::Plans(kept) => kept,
            Found::Nothing => return None,
            Found::Ignored(reason) => {
                remarks.push(reason);
                return None;
            }
        };
        let first = kept.plans[0].engine.clone();
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
        kept.settled &= kept.plans.first().is_some_and(|plan| plan.engine == first);
        (!plans.is_empty()).then_some((kept, plans))
    }

    /// The plan of a work: as it was measured earlier, or measured now where there is a way to and time, or the first that the
    /// heuristics name. It is kept.
    ///
    /// # Errors
    /// Where cuDNN has no way of doing the work, or fails.
    pub fn plan(&self, work: &Work, time: Option<Time<'_>>, budget: &mut Budget) -> Result<Prepared> {
        let key = self.key(work);
        let mut remarks = Vec::new();
        // What one process took without measuring, another with time measures.
        let open = |kept: &Kept| time.is_some() && !kept.settled && !budget.left().is_zero();
        match self.kept(&key, &mut remarks) {
            Some((kept, plans)) if !open(&kept) => {
                let (seconds, plan) = (kept.plans[0].seconds, plans.into_iter().next());
                let plan = plan.ok_or_else(|| Error::Device(format!("no plan is kept of {key}")))?;
                Ok(Prepared { plan, seconds, kept: true, remarks })
            }
            Some((kept, plans)) if plans.len() > 1 => self.measure(&key, kept, plans, time, budget, remarks),
            _ => self.make(&key, time, budget, remarks),
        }
    }

    /// The plan of a work by the engine that was chosen earlier, as it was written then: `engine 4 (tile_m=128, stages=3)`. It is kept
    /// behind the others.
    ///
    /// # Errors
    /// Where cuDNN does not offer that engine, or cannot make its plan.
    pub fn pinned(&self, work: &Work, engine: &str) -> Result<Prepared> {
        let (key, mut remarks) = (self.key(work), Vec::new());
        let is_it = |plan: &Plan| plan.engine().to_string() == engine;
        let mut kept = Kept { plans: Vec::new(), settled: false };
        if let Some((known, mut plans)) = self.kept(&key, &mut remarks) {
            if let Some(index) = plans.iter().position(is_it) {
                let (plan, seconds) = (plans.swap_remove(index), known.plans[index].seconds);
                return Ok(Prepared { plan, seconds, kept: true, remarks });
            }
            kept = known;
        }
        let offer = candidates(self.target, work, &self.rules)?;
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
        let mut order = kept.plans;
        for (index, seconds) in &choice.seconds {
            order[*index].seconds = Some(*seconds);
        }
        order[..=choice.index].rotate_right(1);
        let seconds = choice.time();
        self.keep(key, Kept { plans: order, settled: choice.settled }, &mut remarks);
        Ok(Prepared { plan: choice.plan, seconds, kept: true, remarks })
    }

    fn make(
        &self,
        key: &Key,
        time: Option<Time<'_>>,
        budget: &mut Budget,
        mut remarks: Vec<String>,
    ) -> Result<Prepared> {
        let offer = candidates(self.target, &key.work, &self.rules)?;
        let ways = &offer.candidates;
        let make = |index: usize| ways[index].plan(self.target).map_err(Error::from);
        let choice = choose_by(ways.len(), make, time, budget).map_err(|error| {
            let reason = offer.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            Error::Device(format!("{key}: {error}{reason}"))
        })?;
        let failed = choice.refused.iter().map(|(index, why)| format!("{}: {why}", ways[*index].engine));
        remarks.extend(failed);
        let seconds = choice.time();
        match choice.plan.store(seconds) {
            Ok(stored) => self.keep(key, Kept { plans: vec![stored], settled: choice.settled }, &mut remarks),
            Err(fault) => remarks.push(format!("the plan of {key} cannot be kept: {fault}")),
        }
        Ok(Prepared { plan: choice.plan, seconds, kept: false, remarks })
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
    pub fn compile(&self, work: &Work, most: usize) -> Result<Compiled> {
        let key = self.key(work);
        let mut compiled = Compiled::default();
        if let Some((kept, _)) = self.kept(&key, &mut compiled.remarks) {
            return Ok(Compiled { plans: kept.plans, kept: true, ..compiled });
        }
        let offer = match candidates(self.target, work, &self.rules) {
            Ok(offer) => offer,
            Err(fault) if fault.is_unsupported() => {
                return Ok(Compiled { reason: Some(fault.to_string()), ..compiled });
            }
            Err(fault) => return Err(fault.into()),
        };
        compiled.offered = offer.offered;
        compiled.forbidden = offer.dropped.len();
        compiled.reason = offer.reason.map(|reason| reason.to_string());
        let mut settled = true;
        let engines: Vec<Source> = offer.candidates.iter().map(|way| way.engine.source).collect();
        for way in one_of_each(&engines).into_iter().map(|index| &offer.candidates[index]) {
            if compiled.plans.len() == most {
                settled = false;
                break;
            }
            match way.plan(self.target).and_then(|plan| plan.store(None)) {
                Ok(stored) => compiled.plans.push(stored),
                Err(fault) => compiled.failed.push((way.engine.to_string(), fault.to_string())),
            }
        }
        if let (Some(cache), false) = (self.cache, compiled.plans.is_empty()) {
            let settled = settled && compiled.plans.len() == 1;
            cache.save(&key, &Kept { plans: compiled.plans.clone(), settled })?;
        }
        Ok(compiled)
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
