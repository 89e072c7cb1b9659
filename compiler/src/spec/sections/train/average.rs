//! Averages of the weights over a training.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of an exponential moving average.
pub const EMA: Section = Section {
    what: "`ema`",
    keys: &[
        Key::new("decay", Shape::Number(0.0, 0.999_999), "What the average keeps of itself at each update.")
            .default("0.9998"),
        Key::new(
            "warmup",
            Shape::Flag,
            "Whether the average keeps less of itself at first: `1 - (1 + t)^(-2/3)` after `t` updates, `decay` at most.",
        )
        .default("false"),
    ],
};

/// Keys of an average over epochs.
pub const SWA: Section = Section {
    what: "`swa`",
    keys: &[
        Key::new(
            "start",
            Shape::Number(0.0, MOST),
            "When it begins: below 1 a share of the epochs, else the first epoch whose weights count.",
        )
        .default("0.75"),
        Key::new("lr", Shape::Number(0.0, 1e6), "Learning rate from then on, in place of the schedule's.")
            .default_is("the schedule's"),
    ],
};

/// The latest epoch that it may begin at.
const MOST: f64 = 1e6;

/// The mean of the weights at the ends of the last epochs (stochastic weight averaging, Izmailov et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Swa {
    /// Below 1 the share of the epochs before it begins, else the first epoch that counts, from 1.
    pub start: f32,
    /// Learning rate from then on.
    pub lr: Option<f32>,
}

/// As specs spell it.
impl fmt::Display for Swa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lr = self.lr.map_or(String::new(), |lr| format!(", lr: {lr}"));
        write!(f, "{{start: {}{lr}}}", self.start)
    }
}

impl Swa {
    /// The first epoch whose weights count, from 1, of a training of so many. A share is as near as `f32` comes to what was written: 0.7 of
    /// ten epochs are seven, not what lies just below.
    pub fn first_epoch(&self, epochs: usize) -> usize {
        let share = f64::from(self.start) * (1.0 + f64::from(f32::EPSILON));
        match self.start < 1.0 {
            true => (share * epochs as f64).floor() as usize + 1,
            false => self.start as usize,
        }
    }

    /// What the average keeps of itself after an epoch, counted from 1: `n / (n + 1)` after `n` epochs that counted; all of itself
    /// where the epoch does not count.
    pub fn decay_after(&self, epoch: usize, epochs: usize) -> f32 {
        match epoch.checked_sub(self.first_epoch(epochs)) {
            Some(before) => (before as f64 / (before as f64 + 1.0)) as f32,
            None => 1.0,
        }
    }

    /// The learning rate in an epoch, counted from 0, where it is not the schedule's.
    pub fn lr_in(&self, epoch: usize, epochs: usize) -> Option<f32> {
        self.lr.filter(|_| epoch + 1 >= self.first_epoch(epochs))
    }
}

/// An exponential moving average of the weights over updates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    /// What the average keeps of itself.
    pub decay: f32,
    /// Whether it keeps less at first.
    pub warmup: bool,
}

/// As specs spell it.
impl fmt::Display for Ema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{decay: {}, warmup: {}}}", self.decay, self.warmup)
    }
}

impl Ema {
    /// What the average keeps of itself at an update, counted from 0: nothing at the first one.
    ///
    /// `min(decay, 1 - (1 + t)^(-2/3))` with a warm-up, `decay` without one: timm's `ModelEmaV3` with its own `gamma` and `power`.
    /// PyTorch's `AveragedModel` with `get_ema_multi_avg_fn(decay)` and `use_buffers=True` is the same without a warm-up.
    pub fn decay_at(&self, update: u64) -> f32 {
        let decay = f64::from(self.decay);
        match update {
            0 => 0.0,
            t if self.warmup => decay.min(1.0 - (1.0 + t as f64).powf(-2.0 / 3.0)) as f32,
            _ => self.decay,
        }
    }
}

/// The average that a spec asks for.
pub fn ema(reader: &mut Reader<'_>, node: &Node) -> Ema {
    let fields = Fields::read(reader, Some(node), &EMA);
    Ema { decay: fields.number(reader, "decay"), warmup: fields.flag(reader, "warmup") }
}

/// The average over epochs that a spec asks for.
pub fn swa(reader: &mut Reader<'_>, node: &Node) -> Swa {
    let fields = Fields::read(reader, Some(node), &SWA);
    let lr = fields.get("lr").and_then(|node| reader.number(node, "`lr`", SWA.number("lr")));
    Swa { start: fields.number(reader, "start"), lr }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_count_from_the_start_on_and_all_alike() {
        let swa = |start| Swa { start, lr: None };
        assert_eq!([0.0, 0.75, 0.5, 1.0, 3.0].map(|start| swa(start).first_epoch(8)), [1, 7, 5, 1, 3]);
        // Every share of a hundred epochs, as it is written.
        for before in 0..100 {
            assert_eq!(swa(format!("0.{before:02}").parse().expect("a number")).first_epoch(100), before + 1);
        }
        assert_eq!(swa(0.7).first_epoch(10), 8);
        let decays = [1, 6, 7, 8].map(|epoch| swa(0.75).decay_after(epoch, 8));
        assert_eq!(decays, [1.0, 1.0, 0.0, 0.5]);
        let slow = Swa { start: 3.0, lr: Some(0.5) };
        assert_eq!([0, 1, 2, 7].map(|epoch| slow.lr_in(epoch, 8)), [None, None, Some(0.5), Some(0.5)]);
    }

    /// The numbers of timm 1.0's `ModelEmaV3.get_decay(step)`, whose step is one more.
    #[test]
    fn the_decay_is_timms() {
        let warm = Ema { decay: 0.9, warmup: true };
        let expected = [0.0, 0.370_039_5, 0.519_250_2, 0.603_149_7];
        for (update, expected) in (0..).zip(expected).chain([(30, 0.898_665_1)]) {
            assert!((warm.decay_at(update) - expected).abs() < 1e-6, "{update}: {}", warm.decay_at(update));
        }
        assert_eq!([31, 1000].map(|update| warm.decay_at(update)), [0.9, 0.9]);
        let plain = Ema { decay: 0.9, warmup: false };
        assert_eq!([0, 1, 1000].map(|update| plain.decay_at(update)), [0.0, 0.9, 0.9]);
    }
}
