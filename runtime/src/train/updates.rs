//! Which batches of an epoch make an update.

use resnetc_compiler::spec::train::TrainConfig;

/// The updates of an epoch: so many batches each, the last one those that are left. Batches and updates count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Updates {
    /// Batches of an update.
    size: usize,
    /// Images of a batch.
    batch: usize,
    /// Images of the epoch.
    images: usize,
}

impl Updates {
    /// Of an epoch of so many images, in batches of so many.
    pub fn new(config: &TrainConfig, batch: usize, images: usize) -> Self {
        Updates { size: config.accumulate.max(1), batch: batch.max(1), images }
    }

    /// Batches of the epoch.
    pub fn batches(&self) -> usize {
        self.images.div_ceil(self.batch)
    }

    /// Updates of the epoch.
    pub fn count(&self) -> usize {
        self.batches().div_ceil(self.size)
    }

    /// The update that a batch is part of; of as many batches as the epoch has, the number of its updates.
    pub fn of(&self, batch: usize) -> usize {
        if batch >= self.batches() { self.count() } else { batch / self.size }
    }

    /// Whether a batch is the last one of its update.
    pub fn ends(&self, batch: usize) -> bool {
        (batch + 1).is_multiple_of(self.size) || batch + 1 >= self.batches()
    }

    /// The share of a batch's images among those of its update.
    pub fn share(&self, batch: usize) -> f32 {
        let images = |batches: usize| (batches * self.batch).min(self.images);
        let first = batch / self.size * self.size;
        let of_update = images(first + self.size) - images(first);
        (images(batch + 1) - images(batch)) as f32 / of_update as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tests::config;

    #[test]
    fn the_last_update_has_what_is_left_and_all_images_count_alike() {
        // Five batches of eight and one of four, four batches an update.
        let updates = Updates::new(&TrainConfig { accumulate: 4, ..config() }, 8, 44);
        assert_eq!((updates.batches(), updates.count()), (6, 2));
        let ends: Vec<bool> = (0..6).map(|batch| updates.ends(batch)).collect();
        assert_eq!(ends, [false, false, false, true, false, true]);
        let shares: Vec<f32> = (0..6).map(|batch| updates.share(batch)).collect();
        assert_eq!(shares, [0.25, 0.25, 0.25, 0.25, 8.0 / 12.0, 4.0 / 12.0]);
        assert_eq!([0, 3, 4, 6].map(|batch| updates.of(batch)), [0, 0, 1, 2]);
    }

    #[test]
    fn without_accumulation_each_batch_is_an_update() {
        let updates = Updates::new(&config(), 8, 44);
        assert_eq!((updates.batches(), updates.count()), (6, 6));
        assert!((0..6).all(|batch| updates.ends(batch) && updates.share(batch) == 1.0));
    }
}
