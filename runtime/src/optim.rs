//! The learning rate over time: PyTorch's schedules as closed formulas, so that a rate depends on the step alone and a
//! resumed training needs no scheduler's state. `plateau` alone depends on what evaluations gave ([`Reductions`](crate::patience::Reductions)).

use resnetc_compiler::spec::train::{By, Schedule, TrainConfig, Warmup};

/// Learning rate of a step, counted from 0 over the whole training.
///
/// With `t` the time in the schedule's unit (epochs or steps) and `T` the whole training in it:
///
/// - `constant`: `lr`
/// - `step`: `lr * gamma^floor(t / every)`
/// - `multistep`: `lr * gamma^(number of milestones <= t)`
/// - `cosine`: `min_lr + (lr - min_lr) * (1 + cos(pi * (t - w) / (T - w))) / 2`, with `w` the warm-up (Loshchilov and
///   Hutter 2017, without restarts)
/// - `cosine_restarts`: `min_lr + (lr - min_lr) * (1 + cos(pi * u / P)) / 2`, with `u` the time since `w` or since the last restart
///   and `P` the length of this fall, `period * factor^restarts` (Loshchilov and Hutter 2017)
/// - `polynomial`: `min_lr + (lr - min_lr) * (1 - (t - w) / (T - w))^power`
/// - `exponential`: `lr * gamma^t`
/// - `plateau`: `max(lr * reduced, min_lr)`, with `reduced` the factor that evaluations have brought the rate down by; 1 at first
/// - `one_cycle`: triangular, `lr * start` to `lr` at `peak * T`, then down to `lr * end` at `T` (Smith 2018)
///
/// During the warm-up the rate is `lr * (from + (1 - from) * t / length)`, whatever the schedule. In epochs that an average over epochs
/// takes in, it is that average's own, where it has one.
pub fn lr_at(config: &TrainConfig, step: usize, steps_per_epoch: usize, reduced: f64) -> f32 {
    let clock = Clock { step, steps_per_epoch: steps_per_epoch.max(1), epochs: config.epochs };
    let lr = f64::from(config.lr);
    if let Some(lr) = config.swa.and_then(|swa| swa.lr_in(clock.now(By::Epoch), config.epochs)) {
        return lr;
    }
    if let Some(Warmup { length, by, from }) = config.warmup
        && clock.now(by) < length
    {
        let from = f64::from(from);
        return (lr * (from + (1.0 - from) * clock.now(by) as f64 / length as f64)) as f32;
    }
    if let Schedule::Plateau(plateau) = config.schedule {
        return (lr * reduced).max(f64::from(plateau.min_lr)) as f32;
    }
    scheduled(&config.schedule, &clock, lr, config.warmup) as f32
}

fn scheduled(schedule: &Schedule, clock: &Clock, lr: f64, warmup: Option<Warmup>) -> f64 {
    let between = |min_lr: &f32, share: f64| f64::from(*min_lr) + (lr - f64::from(*min_lr)) * share;
    let begin = |by: By| warmup.map_or(0.0, |w| clock.convert(w.length, w.by, by));
    // The part of the training behind the warm-up that is done.
    let done = |by: By| {
        let length = clock.total(by) - begin(by);
        let done = if length > 0.0 { (clock.now(by) as f64 - begin(by)) / length } else { 1.0 };
        done.clamp(0.0, 1.0)
    };
    match schedule {
        Schedule::Constant | Schedule::Plateau(_) => lr,
        Schedule::Step { every, gamma, by } => {
            let times = clock.now(*by) / (*every).max(1);
            lr * f64::from(*gamma).powf(times as f64)
        }
        Schedule::Multistep { milestones, gamma, by } => {
            let now = clock.now(*by);
            let times = milestones.iter().filter(|&&m| m <= now).count();
            lr * f64::from(*gamma).powf(times as f64)
        }
        Schedule::Cosine { min_lr, by } => between(min_lr, half_cosine(done(*by))),
        Schedule::CosineRestarts { period, factor, min_lr, by } => {
            let since = (clock.now(*by) as f64 - begin(*by)).max(0.0);
            between(min_lr, half_cosine(fall(since, *period as f64, *factor as f64)))
        }
        Schedule::Polynomial { power, min_lr, by } => {
            between(min_lr, (1.0 - done(*by)).powf(f64::from(*power)))
        }
        Schedule::Exponential { gamma, by } => lr * f64::from(*gamma).powf(clock.now(*by) as f64),
        Schedule::OneCycle { start, peak, end, by } => {
            let done = clock.now(*by) as f64 / clock.total(*by);
            lr * triangle(done, f64::from(*start), f64::from(*peak), f64::from(*end))
        }
    }
}

/// From 1 at 0 down to 0 at 1.
fn half_cosine(done: f64) -> f64 {
    (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
}

/// The part that is done of the fall that a time lies in: the first has the length `period`, each is `factor` times as long as the one
/// before.
fn fall(since: f64, period: f64, factor: f64) -> f64 {
    let (mut begin, mut length) = (0.0, period.max(1.0));
    if factor <= 1.0 {
        return since % length / length;
    }
    while since >= begin + length {
        begin += length;
        length *= factor;
    }
    (since - begin) / length
}

/// From `start` at 0 up to 1 at `peak`, then down to `end` at 1.
fn triangle(done: f64, start: f64, peak: f64, end: f64) -> f64 {
    if done < peak {
        start + (1.0 - start) * done / peak
    } else if peak < 1.0 {
        1.0 + (end - 1.0) * (done - peak) / (1.0 - peak)
    } else {
        1.0
    }
}

/// Time in either unit.
struct Clock {
    step: usize,
    steps_per_epoch: usize,
    epochs: usize,
}

impl Clock {
    fn now(&self, by: By) -> usize {
        match by {
            By::Epoch => self.step / self.steps_per_epoch,
            By::Step => self.step,
        }
    }

    fn total(&self, by: By) -> f64 {
        match by {
            By::Epoch => self.epochs as f64,
            By::Step => (self.epochs * self.steps_per_epoch) as f64,
        }
    }

    /// A length in another unit.
    fn convert(&self, length: usize, from: By, to: By) -> f64 {
        match (from, to) {
            (By::Epoch, By::Step) => (length * self.steps_per_epoch) as f64,
            (By::Step, By::Epoch) => length as f64 / self.steps_per_epoch as f64,
            (By::Epoch, By::Epoch) | (By::Step, By::Step) => length as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::spec::train::{Metric, Plateau};

    use super::*;
    use crate::train::tests::config;

    /// Rates of given steps, 10 steps an epoch.
    fn rates(config: &TrainConfig, steps: &[usize]) -> Vec<f32> {
        steps.iter().map(|&s| lr_at(config, s, 10, 1.0)).collect()
    }

    fn with(schedule: Schedule, warmup: Option<Warmup>) -> TrainConfig {
        TrainConfig { lr: 0.1, epochs: 10, schedule, warmup, ..config() }
    }

    fn close(found: &[f32], expected: &[f32]) {
        let agree = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1e-3));
        assert!(found.len() == expected.len() && agree, "{found:?}, expected {expected:?}");
    }

    #[test]
    fn constant_never_changes() {
        close(&rates(&with(Schedule::Constant, None), &[0, 50, 99]), &[0.1, 0.1, 0.1]);
    }

    #[test]
    fn step_multiplies_after_every_period() {
        let by_epoch = with(Schedule::Step { every: 3, gamma: 0.1, by: By::Epoch }, None);
        close(&rates(&by_epoch, &[0, 29, 30, 59, 60, 90]), &[0.1, 0.1, 0.01, 0.01, 0.001, 0.0001]);
        let by_step = with(Schedule::Step { every: 4, gamma: 0.5, by: By::Step }, None);
        close(&rates(&by_step, &[0, 3, 4, 8, 11]), &[0.1, 0.1, 0.05, 0.025, 0.025]);
    }

    #[test]
    fn multistep_multiplies_at_milestones() {
        let by_epoch = Schedule::Multistep { milestones: vec![2, 5], gamma: 0.1, by: By::Epoch };
        close(&rates(&with(by_epoch, None), &[0, 19, 20, 49, 50, 99]), &[0.1, 0.1, 0.01, 0.01, 0.001, 0.001]);
        let by_step = Schedule::Multistep { milestones: vec![7], gamma: 0.2, by: By::Step };
        close(&rates(&with(by_step, None), &[6, 7, 70]), &[0.1, 0.02, 0.02]);
    }

    #[test]
    fn cosine_follows_the_formula() {
        let by_step = with(Schedule::Cosine { min_lr: 0.0, by: By::Step }, None);
        // cos(pi / 4) = 0.70710678
        close(&rates(&by_step, &[0, 25, 50, 75]), &[0.1, 0.08535534, 0.05, 0.01464466]);
        let by_epoch = with(Schedule::Cosine { min_lr: 0.02, by: By::Epoch }, None);
        close(&rates(&by_epoch, &[9, 50, 59]), &[0.1, 0.06, 0.06]);
    }

    /// PyTorch 2.15: `CosineAnnealingWarmRestarts(SGD(lr=0.1), T_0=2, T_mult=2, eta_min=0.01)`, ten epochs.
    #[test]
    fn cosines_begin_anew() {
        let schedule = Schedule::CosineRestarts { period: 2, factor: 2, min_lr: 0.01, by: By::Epoch };
        let steps: Vec<usize> = (0..10).map(|epoch| epoch * 10 + 3).collect();
        let torch = [0.1, 0.055, 0.1, 0.08681981, 0.055, 0.02318019, 0.1, 0.09657458, 0.08681981, 0.07222075];
        close(&rates(&with(schedule, None), &steps), &torch);
        let warmup = Some(Warmup { length: 2, by: By::Epoch, from: 0.5 });
        let schedule = Schedule::CosineRestarts { period: 4, factor: 1, min_lr: 0.0, by: By::Epoch };
        close(&rates(&with(schedule, warmup), &[10, 20, 40, 60, 80]), &[0.075, 0.1, 0.05, 0.1, 0.05]);
    }

    /// PyTorch 2.15: `PolynomialLR(SGD(lr=0.1), total_iters=10, power=2)`.
    #[test]
    fn polynomials_fall_to_the_end() {
        let schedule = |power, min_lr| Schedule::Polynomial { power, min_lr, by: By::Epoch };
        close(&rates(&with(schedule(2.0, 0.0), None), &[0, 10, 50, 90]), &[0.1, 0.081, 0.025, 0.001]);
        close(&rates(&with(schedule(1.0, 0.02), None), &[0, 59, 99]), &[0.1, 0.06, 0.028]);
    }

    #[test]
    fn exponentials_fall_by_a_factor() {
        let schedule = Schedule::Exponential { gamma: 0.5, by: By::Epoch };
        close(&rates(&with(schedule, None), &[0, 9, 10, 35]), &[0.1, 0.1, 0.05, 0.0125]);
    }

    #[test]
    fn plateaus_end_at_the_least_rate() {
        let plateau = Plateau {
            metric: Metric::Loss,
            factor: 0.1,
            patience: 1,
            threshold: 1e-4,
            cooldown: 0,
            min_lr: 0.002,
        };
        let config = with(Schedule::Plateau(plateau), Some(Warmup { length: 1, by: By::Epoch, from: 0.5 }));
        let rates: Vec<f32> =
            [(0, 1.0), (10, 1.0), (20, 0.1), (30, 0.01)].map(|(s, r)| lr_at(&config, s, 10, r)).into();
        close(&rates, &[0.05, 0.1, 0.01, 0.002]);
    }

    #[test]
    fn one_cycle_is_a_triangle() {
        let schedule = Schedule::OneCycle { start: 0.1, peak: 0.2, end: 0.0, by: By::Step };
        close(&rates(&with(schedule, None), &[0, 10, 20, 60, 100]), &[0.01, 0.055, 0.1, 0.05, 0.0]);
    }

    #[test]
    fn warmup_rises_linearly_and_the_cosine_starts_behind_it() {
        let warmup = Some(Warmup { length: 2, by: By::Epoch, from: 0.5 });
        let config = with(Schedule::Cosine { min_lr: 0.0, by: By::Step }, warmup);
        close(&rates(&config, &[0, 9, 10, 19, 20, 60]), &[0.05, 0.05, 0.075, 0.075, 0.1, 0.05]);
        let warmup = Some(Warmup { length: 5, by: By::Step, from: 0.0 });
        let config = with(Schedule::Multistep { milestones: vec![1], gamma: 0.1, by: By::Epoch }, warmup);
        close(&rates(&config, &[0, 1, 4, 5, 9, 10]), &[0.0, 0.02, 0.08, 0.1, 0.1, 0.01]);
    }
}
