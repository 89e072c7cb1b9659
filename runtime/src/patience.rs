//! What watches evaluations: state of a rate that falls on plateaus, and of a training that ends early.

use resnetc_compiler::spec::train::{EarlyStopping, Metric, Plateau};
use serde::{Deserialize, Serialize};

use crate::metrics::Sums;

/// A metric's value of an evaluation, as larger is better.
fn goodness(metric: Metric, sums: &Sums) -> f64 {
    match metric {
        Metric::Loss => -sums.mean_loss(),
        Metric::Accuracy => sums.accuracy(),
    }
}

/// How often a rate was brought down, by PyTorch's `ReduceLROnPlateau` with evaluations in the place of epochs.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Reductions {
    /// Changes so far: the rate is the factor to the power of it.
    pub count: u32,
    /// The best value so far, as larger is better; `None` before the first evaluation.
    best: Option<f64>,
    /// Evaluations in a row that were no better.
    bad: usize,
    /// Evaluations that do not count yet.
    cooldown: usize,
}

impl Reductions {
    /// What the rate is to be multiplied with.
    pub fn factor(&self, plateau: &Plateau) -> f64 {
        f64::from(plateau.factor).powf(f64::from(self.count))
    }

    /// Takes an evaluation in; whether the rate falls.
    pub fn observe(&mut self, plateau: &Plateau, sums: &Sums) -> bool {
        let now = goodness(plateau.metric, sums);
        // A share of the best value, whatever its sign: PyTorch's threshold is relative.
        let least = |best: f64| best + best.abs() * f64::from(plateau.threshold);
        let better = self.best.is_none_or(|best| now > least(best));
        if better {
            self.best = Some(now);
        }
        self.bad = if better { 0 } else { self.bad + 1 };
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.bad = 0;
        }
        let falls = self.bad > plateau.patience;
        if falls {
            self.count += 1;
            (self.bad, self.cooldown) = (0, plateau.cooldown);
        }
        falls
    }
}

/// How long evaluations have been no better.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Patience {
    best: Option<f64>,
    /// Evaluations in a row that were no better than the best before.
    pub bad: usize,
}

impl Patience {
    /// Takes an evaluation in.
    pub fn observe(&mut self, early: &EarlyStopping, sums: &Sums) {
        let now = goodness(early.metric, sums);
        let better = self.best.is_none_or(|best| now > best + f64::from(early.min_delta));
        if better {
            self.best = Some(now);
        }
        self.bad = if better { 0 } else { self.bad + 1 };
    }

    /// Whether the training is to end.
    pub fn is_over(&self, early: &EarlyStopping) -> bool {
        self.bad >= early.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(loss: f64) -> Sums {
        Sums { loss: loss * 100.0, images: 100, ..Sums::default() }
    }

    /// PyTorch 2.15: `ReduceLROnPlateau(SGD(lr=1), factor=0.5, patience=1, threshold=0.1, cooldown=COOLDOWN)`, rates after each value.
    #[test]
    fn rates_fall_where_those_of_pytorch_do() {
        let losses = [1.0, 0.95, 0.94, 0.8, 0.79, 0.78, 0.77, 0.76, 0.75, 0.6, 0.6, 0.6, 0.6];
        let rates = |cooldown| {
            let metric = Metric::Loss;
            let plateau = Plateau { metric, factor: 0.5, patience: 1, threshold: 0.1, cooldown, min_lr: 0.0 };
            let mut state = Reductions::default();
            losses.map(|value| {
                state.observe(&plateau, &loss(value));
                state.factor(&plateau)
            })
        };
        let none = [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125, 0.0625, 0.0625];
        assert_eq!(rates(0), none);
        let two = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125];
        assert_eq!(rates(2), two);
    }

    #[test]
    fn a_training_ends_when_patience_does() {
        let right = |correct| Sums { correct, images: 100, ..Sums::default() };
        let early = EarlyStopping { metric: Metric::Accuracy, patience: 2, min_delta: 0.015 };
        let mut state = Patience::default();
        let over = [50, 51, 51, 53, 54, 54].map(|correct| {
            state.observe(&early, &right(correct));
            state.is_over(&early)
        });
        assert_eq!(over, [false, false, true, false, false, true]);
    }
}
