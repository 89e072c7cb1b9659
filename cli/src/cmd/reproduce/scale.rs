//! A published training at another scale: the same curve of the learning rate, over other numbers of epochs and steps.

use resnetc_compiler::spec::train::{By, Schedule, TrainConfig};

/// How long a training is, by how long it was published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Epochs now.
    pub epochs: usize,
    /// Epochs now by epochs then.
    by_epoch: f64,
    /// Updates now by updates then: another data set has other epochs.
    by_step: f64,
}

impl Scale {
    /// Of a training that was published with `images`, and is now on `images_now`.
    pub fn new(train: &TrainConfig, epochs: Option<usize>, images: usize, images_now: usize) -> Self {
        let epochs = epochs.unwrap_or(train.epochs);
        let by_epoch = epochs as f64 / train.epochs.max(1) as f64;
        let by_step = by_epoch * train.updates(images_now) as f64 / train.updates(images).max(1) as f64;
        Scale { epochs, by_epoch, by_step }
    }

    /// The overrides that bring a training to this scale; none at the published one.
    ///
    /// What counts in epochs or steps of its own is scaled: milestones, periods, warm-up. All else follows from the length.
    pub fn sets(&self, train: &TrainConfig) -> Vec<String> {
        if (self.by_epoch, self.by_step) == (1.0, 1.0) {
            return Vec::new();
        }
        let mut sets = vec![format!("train.epochs={}", self.epochs)];
        match &train.schedule {
            Schedule::Step { every, by, .. } => {
                sets.push(format!("train.schedule.step.every={}", self.of(*every, *by)));
            }
            Schedule::Multistep { milestones, by, .. } => {
                let mut scaled: Vec<usize> = milestones.iter().map(|&place| self.of(place, *by)).collect();
                scaled.dedup();
                sets.push(format!("train.schedule.multistep.milestones={scaled:?}"));
            }
            Schedule::CosineRestarts { period, by, .. } => {
                sets.push(format!("train.schedule.cosine_restarts.period={}", self.of(*period, *by)));
            }
            Schedule::Constant
            | Schedule::Cosine { .. }
            | Schedule::Polynomial { .. }
            | Schedule::Exponential { .. }
            | Schedule::Plateau(_)
            | Schedule::OneCycle { .. } => {}
        }
        if let Some(warmup) = &train.warmup {
            sets.push(format!("train.warmup.length={}", self.of(warmup.length, warmup.by)));
        }
        sets
    }

    /// A length at this scale, one at least.
    fn of(&self, length: usize, by: By) -> usize {
        let factor = match by {
            By::Epoch => self.by_epoch,
            By::Step => self.by_step,
        };
        ((length as f64 * factor).round() as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use resnetc::{Spec, SpecOptions};

    use super::*;

    fn train(sets: &[&str]) -> TrainConfig {
        let options = sets.iter().fold(SpecOptions::default(), |options, &set| options.set(set));
        Spec::builtin("resnet110", &options).expect("compiled in").resolved().train.clone()
    }

    const STEPS: [&str; 3] = [
        "train.epochs=164",
        "train.batch_size=128",
        "train.schedule={multistep: {milestones: [32000, 48000], by: step}}",
    ];

    #[test]
    fn the_published_scale_changes_nothing() {
        let train = train(&STEPS);
        assert_eq!(Scale::new(&train, None, 50_000, 50_000).sets(&train), Vec::<String>::new());
        assert_eq!(Scale::new(&train, Some(164), 50_000, 50_000).sets(&train), Vec::<String>::new());
    }

    #[test]
    fn drops_and_warmup_keep_their_share_of_the_training() {
        let train = train(&STEPS);
        let sets = Scale::new(&train, Some(2), 50_000, 50_000).sets(&train);
        assert_eq!(
            sets,
            ["train.epochs=2", "train.schedule.multistep.milestones=[390, 585]", "train.warmup.length=5"]
        );
        // 391 steps an epoch become 157.
        let sets = Scale::new(&train, None, 50_000, 20_000).sets(&train);
        assert_eq!(sets[1], "train.schedule.multistep.milestones=[12849, 19274]");
    }

    /// What is scaled is a spec that is read, and ends where the training does.
    #[test]
    fn scaled_trainings_are_specs() {
        let train_of = train(&["train.epochs=30", "train.schedule={multistep: {milestones: [15, 16, 25]}}"]);
        let sets = Scale::new(&train_of, Some(2), 100, 100).sets(&train_of);
        assert_eq!(sets[1], "train.schedule.multistep.milestones=[1, 2]", "one of two that fell together");
        let mut all = vec!["train.schedule={multistep: {milestones: [15, 16, 25]}}"];
        all.extend(sets.iter().map(String::as_str));
        assert_eq!(train(&all).epochs, 2);
    }
}
