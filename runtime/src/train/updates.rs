//! Which batches of an epoch make an update.

use resnetc_compiler::spec::train::TrainConfig;

use crate::data::order::Rank;

/// The updates of an epoch: so many batches each, the last one those that are left. Batches and updates count from 0. All ranks have as many
/// batches; a rank may have no image in the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Updates {
    /// Batches of an update.
    size: usize,
    /// Images of a rank's batch.
    batch: usize,
    /// Images of the epoch, of all ranks.
    images: usize,
    rank: Rank,
}

impl Updates {
    /// Of an epoch of so many images, in batches of so many on each rank.
    pub fn new(config: &TrainConfig, batch: usize, images: usize, rank: Rank) -> Self {
        Updates { size: config.accumulate.max(1), batch: batch.max(1), images, rank }
    }

    /// Batches of the epoch: as many as the first rank needs, which has the most images.
    pub fn batches(&self) -> usize {
        Rank::new(0, self.rank.count()).share_of(self.images).div_ceil(self.batch)
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

    /// The rank's images in a batch.
    pub fn images(&self, batch: usize) -> usize {
        self.before(self.rank, batch + 1) - self.before(self.rank, batch)
    }

    /// The share of the rank's images in a batch among those that all ranks have in its update.
    pub fn share(&self, batch: usize) -> f32 {
        let first = batch / self.size * self.size;
        let ranks = (0..self.rank.count()).map(|rank| Rank::new(rank, self.rank.count()));
        let of_update: usize =
            ranks.map(|rank| self.before(rank, first + self.size) - self.before(rank, first)).sum();
        self.images(batch) as f32 / of_update as f32
    }

    /// A rank's images in the first batches.
    fn before(&self, rank: Rank, batches: usize) -> usize {
        (batches * self.batch).min(rank.share_of(self.images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tests::config;

    #[test]
    fn the_last_update_has_what_is_left_and_all_images_count_alike() {
        // Five batches of eight and one of four, four batches an update.
        let updates = Updates::new(&TrainConfig { accumulate: 4, ..config() }, 8, 44, Rank::ONLY);
        assert_eq!((updates.batches(), updates.count()), (6, 2));
        let ends: Vec<bool> = (0..6).map(|batch| updates.ends(batch)).collect();
        assert_eq!(ends, [false, false, false, true, false, true]);
        let shares: Vec<f32> = (0..6).map(|batch| updates.share(batch)).collect();
        assert_eq!(shares, [0.25, 0.25, 0.25, 0.25, 8.0 / 12.0, 4.0 / 12.0]);
        assert_eq!([0, 3, 4, 6].map(|batch| updates.of(batch)), [0, 0, 1, 2]);
    }

    #[test]
    fn without_accumulation_each_batch_is_an_update() {
        let updates = Updates::new(&config(), 8, 44, Rank::ONLY);
        assert_eq!((updates.batches(), updates.count()), (6, 6));
        assert!((0..6).all(|batch| updates.ends(batch) && updates.share(batch) == 1.0));
    }

    #[test]
    fn ranks_have_as_many_batches_and_all_images_count_alike() {
        // Two ranks with nine and eight images: the second has none in the last batch.
        let of = |rank| Updates::new(&config(), 8, 17, Rank::new(rank, 2));
        assert_eq!(
            [0, 1].map(|rank| (of(rank).batches(), of(rank).images(0), of(rank).images(1))),
            [(2, 8, 1), (2, 8, 0)]
        );
        assert_eq!([0, 1].map(|rank| [0, 1].map(|batch| of(rank).share(batch))), [[0.5, 1.0], [0.5, 0.0]]);
        // Three ranks with four, four and three; two batches an update.
        let of = |rank| Updates::new(&TrainConfig { accumulate: 2, ..config() }, 2, 11, Rank::new(rank, 3));
        let shares = [0, 1, 2].map(|rank| [0, 1].map(|batch| of(rank).share(batch)));
        assert_eq!(shares, [[2.0 / 11.0; 2], [2.0 / 11.0; 2], [2.0 / 11.0, 1.0 / 11.0]]);
        assert!((0..3).all(|rank| (of(rank).count(), of(rank).ends(1)) == (1, true)));
    }
}
