//! The range test of learning rates (Smith 2017, "Cyclical Learning Rates for Training Neural Networks"): a training of a hundred steps at
//! rates that rise from step to step. Where its loss falls fastest a rate is high enough, where it rises too high.

use std::ops::ControlFlow;
use std::sync::Arc;

use resnetc_compiler::spec::preprocess::Preprocess;
use resnetc_compiler::spec::train::TrainConfig;

use super::material::{Material, Materials};
use super::teacher::{Pupil, ask};
use super::trainer::first_weights;
use super::updates::Updates;
use crate::data::Dataset;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Rank, repeated};
use crate::device::Until;
use crate::error::Result;
use crate::exec::{RunArgs, StepResult};
use crate::weights::ParamStore;

/// Share of the mean loss so far in the next one (fast.ai's).
const MEMORY: f64 = 0.98;
/// Times the lowest mean loss at which the test ends: what follows is of no interest.
const DIVERGED: f64 = 4.0;
/// Steps that do not end it: first losses say little.
const FIRST: usize = 10;

/// Rates, and how many steps go from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// First.
    pub from: f32,
    /// Last.
    pub to: f32,
    /// Steps.
    pub steps: usize,
}

impl Default for Range {
    fn default() -> Self {
        Range { from: 1e-6, to: 10.0, steps: 100 }
    }
}

impl Range {
    /// The rate of a step: equal ratios from each to the next.
    fn rate(&self, step: usize) -> f32 {
        let done = step as f64 / (self.steps.max(2) - 1) as f64;
        (f64::from(self.from) * (f64::from(self.to) / f64::from(self.from)).powf(done)) as f32
    }
}

/// What is not in the spec's training section.
#[derive(Debug, Clone, Copy)]
pub struct RangeOptions<'a> {
    /// Weights to start with; `None` for those that the spec's distributions give.
    pub first: Option<&'a ParamStore>,
    /// How pictures of any size are fitted.
    pub preprocess: Option<&'a Preprocess>,
    /// Threads that prepare batches.
    pub workers: usize,
}

/// A step of the test: an update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangeStep {
    /// Its learning rate.
    pub lr: f32,
    /// Loss before its update.
    pub loss: f32,
    /// Mean of the losses so far, newer ones counting more.
    pub smooth: f64,
}

/// Trains through a range of rates, with images of the first epoch's size. `observe` hears of every step, and may end it. Where
/// the loss goes beyond four times its lowest mean, or is no number, the test is over.
///
/// # Errors
/// Where the data do not fit the network; the device's.
pub fn range_test(
    config: &TrainConfig,
    dataset: &Dataset,
    network: impl Into<Pupil>,
    options: &RangeOptions<'_>,
    range: &Range,
    observe: &mut dyn FnMut(&RangeStep) -> ControlFlow<()>,
) -> Result<Vec<RangeStep>> {
    let RangeOptions { first, preprocess, workers } = *options;
    let Pupil { mut network, mut teacher } = network.into().check()?;
    let materials = Materials::new(config, dataset, &mut network, preprocess)?;
    let &Material { size, ref transform, form } = materials.of(0, config);
    first_weights(&network.exec, config, first)?;
    let updates = Updates::new(config, network.batch_size(), dataset.train.len(), Rank::ONLY);
    let (mut steps, mut curve, images) = (Vec::new(), Curve::default(), dataset.train.len());
    for number in 0.. {
        let epoch = Epoch {
            epoch: number,
            order: repeated(images, config.seed, number as u64, Rank::ONLY, config.repeats as u32),
            batch_size: network.batch_size(),
            first_step: 0,
            form,
        };
        let mut loader = Loader::start(Arc::clone(&dataset.train), Arc::clone(transform), epoch, workers)?;
        // Of the update that has begun.
        let mut mean = 0.0f32;
        while let Some((step, mut batch)) = loader.next_batch()? {
            let lr = range.rate(steps.len());
            let (ends, share) = (updates.ends(step), updates.share(step));
            let (before, update) = (number * updates.batches(), steps.len() as u64);
            let args =
                RunArgs { lr, seed: config.seed, step: (before + step) as u64, update, share, decay: 1.0 };
            ask(teacher.as_mut(), &mut batch)?;
            let index = network.step_for(size, batch.labels.len(), ends)?;
            network.exec.submit(index, &batch, form, &args)?;
            loader.recycle(step, batch);
            for StepResult { loss, .. } in StepResult::all(network.exec.collect(Until::All)?) {
                mean += loss * share;
            }
            if !ends {
                continue;
            }
            let told = curve.add(lr, std::mem::take(&mut mean));
            steps.push(told);
            if observe(&told).is_break() || steps.len() == range.steps || curve.is_over() {
                return Ok(steps);
            }
        }
    }
    Ok(steps)
}

/// The mean loss, and its lowest.
#[derive(Debug, Default)]
struct Curve {
    sum: f64,
    weight: f64,
    count: usize,
    lowest: Option<f64>,
    last: f64,
}

impl Curve {
    fn add(&mut self, lr: f32, loss: f32) -> RangeStep {
        self.sum = MEMORY * self.sum + (1.0 - MEMORY) * f64::from(loss);
        self.weight = MEMORY * self.weight + (1.0 - MEMORY);
        self.count += 1;
        self.last = self.sum / self.weight;
        if self.count > FIRST || self.lowest.is_none() {
            self.lowest = Some(self.lowest.map_or(self.last, |lowest| lowest.min(self.last)));
        }
        RangeStep { lr, loss, smooth: self.last }
    }

    fn is_over(&self) -> bool {
        let beyond = self.lowest.is_some_and(|lowest| self.last > DIVERGED * lowest);
        !self.last.is_finite() || (self.count > FIRST && beyond)
    }
}

/// Which rates a test recommends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recommended {
    /// Where the mean loss falls fastest over the rate's logarithm.
    pub steepest: RangeStep,
    /// Where it is lowest: a tenth of that rate is the largest to try.
    pub lowest: RangeStep,
}

/// Reads a curve; `None` where the loss never fell.
pub fn recommended(steps: &[RangeStep]) -> Option<Recommended> {
    let finite: Vec<RangeStep> = steps.iter().filter(|step| step.smooth.is_finite()).copied().collect();
    let lowest = (0..finite.len()).min_by(|&a, &b| finite[a].smooth.total_cmp(&finite[b].smooth))?;
    // Rates are equally far apart by their logarithms, so differences are slopes.
    let fall = |step: &usize| finite[step - 1].smooth - finite[step + 1].smooth;
    let inner = 1..lowest.min(finite.len().saturating_sub(1));
    let steepest = inner.max_by(|a, b| fall(a).total_cmp(&fall(b)))?;
    (fall(&steepest) > 0.0).then(|| Recommended { steepest: finite[steepest], lowest: finite[lowest] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_by_equal_ratios() {
        let range = Range { from: 1e-4, to: 1.0, steps: 5 };
        let rates: Vec<f32> = (0..5).map(|step| range.rate(step)).collect();
        // The powers are of rounded rates.
        let near = |(a, b): (&f32, f32)| (a / b - 1.0).abs() < 1e-6;
        assert!(rates.iter().zip([1e-4, 1e-3, 1e-2, 1e-1, 1.0]).all(near), "{rates:?}");
    }

    #[test]
    fn the_steepest_fall_lies_before_the_lowest_loss() {
        let step = |i: usize, smooth: f64| RangeStep { lr: 10f32.powi(i as i32 - 5), loss: 0.0, smooth };
        let losses = [2.3, 2.3, 2.2, 1.9, 1.2, 1.0, 0.9, 1.5, 3.0, f64::NAN];
        let steps: Vec<RangeStep> = losses.iter().enumerate().map(|(i, &loss)| step(i, loss)).collect();
        let found = recommended(&steps).expect("it falls");
        assert_eq!((found.steepest, found.lowest), (steps[3], steps[6]));
        let rising: Vec<RangeStep> = (0..5).map(|i| step(i, 1.0 + i as f64)).collect();
        assert_eq!(recommended(&rising), None);
        assert_eq!(recommended(&[]), None);
    }

    #[test]
    fn a_curve_is_over_where_it_has_left_its_lowest_behind() {
        let mut curve = Curve::default();
        (0..20).for_each(|_| assert!(curve.add(0.1, 2.0).smooth > 1.99 && !curve.is_over()));
        assert!(!{
            curve.add(0.1, 20.0);
            curve.is_over()
        });
        (0..20).for_each(|_| {
            curve.add(0.1, 200.0);
        });
        assert!(curve.is_over());
        curve.add(0.1, f32::NAN);
        assert!(curve.is_over());
    }
}
