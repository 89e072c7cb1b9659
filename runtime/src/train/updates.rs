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
    /// Updates from one synchronisation of the ranks to the next.
    sync_every: usize,
}

impl Updates {
    /// Of an epoch of so many images, in batches of so many on each rank.
    pub fn new(config: &TrainConfig, batch: usize, images: usize, rank: Rank) -> Self {
        // One that is alone has nobody to be apart from.
        let sync_every = if rank.count() > 1 { config.parallel.sync_every } else { 1 };
        Updates { size: config.accumulate.max(1), batch: batch.max(1), images, rank, sync_every }
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
        self.between(self.rank, batch, batch + 1)
    }

    /// Whether ranks update by their own gradients, and have other weights meanwhile.
    pub fn is_local(&self) -> bool {
        self.sync_every > 1
    }

    /// Whether all ranks have the same weights behind a batch.
    pub fn syncs(&self, batch: usize) -> bool {
        let is_last = batch + 1 >= self.batches();
        self.ends(batch) && (is_last || (self.of(batch) + 1).is_multiple_of(self.sync_every))
    }

    /// Whether ranks tell each other what has come of the batches, behind this one.
    pub fn tells(&self, batch: usize) -> bool {
        !self.is_local() || self.syncs(batch)
    }

    /// The share of the rank's images in a batch among those of its update: those of all ranks, or where they update on their own, the rank's.
    pub fn share(&self, batch: usize) -> f32 {
        let first = batch / self.size * self.size;
        let of = |rank| self.between(rank, first, first + self.size);
        let of_update: usize = if self.is_local() { of(self.rank) } else { self.ranks().map(of).sum() };
        self.images(batch) as f32 / of_update.max(1) as f32
    }

    /// Whether the rank has no image in a batch's update, which it then does not make.
    pub fn skips(&self, batch: usize) -> bool {
        let first = batch / self.size * self.size;
        self.is_local() && self.between(self.rank, first, first + self.size) == 0
    }

    /// The weight of the rank in the mean behind a batch: the share of its images among those that all ranks had since the last one.
    pub fn weight(&self, batch: usize) -> f32 {
        let first = self.of(batch) / self.sync_every * self.sync_every * self.size;
        let of = |rank| self.between(rank, first, batch + 1);
        of(self.rank) as f32 / self.ranks().map(of).sum::<usize>() as f32
    }

    fn ranks(&self) -> impl Iterator<Item = Rank> {
        let count = self.rank.count();
        (0..count).map(move |rank| Rank::new(rank, count))
    }

    /// A rank's images from one batch up to another.
    fn between(&self, rank: Rank, first: usize, end: usize) -> usize {
        self.before(rank, end) - self.before(rank, first)
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

    /// A training that synchronises its ranks behind so many updates.
    fn local(sync_every: usize) -> TrainConfig {
        let mut config = config();
        config.parallel.sync_every = sync_every;
        config
    }

    #[test]
    fn ranks_on_their_own_meet_behind_so_many_updates_and_at_the_end_of_the_epoch() {
        // Five batches of four on each of two ranks; the last has two images on the first rank and one on the second.
        let of = |rank| Updates::new(&local(2), 4, 35, Rank::new(rank, 2));
        let syncs: Vec<bool> = (0..5).map(|batch| of(0).syncs(batch)).collect();
        assert_eq!((of(0).batches(), syncs), (5, vec![false, true, false, true, true]));
        assert_eq!(
            [0, 1].map(|rank| [1, 3, 4].map(|batch| of(rank).weight(batch))),
            [[0.5, 0.5, 2.0 / 3.0], [0.5, 0.5, 1.0 / 3.0],]
        );
        // An update's mean is over the rank's own images.
        assert!((0..5).all(|batch| of(1).share(batch) == 1.0 && !of(1).skips(batch)));
        // Alone there is nobody to meet.
        let alone = Updates::new(&local(2), 4, 35, Rank::ONLY);
        assert!(!alone.is_local() && (0..9).all(|batch| alone.tells(batch) && alone.syncs(batch)));
    }

    #[test]
    fn a_rank_without_an_image_in_the_last_update_counts_with_those_before_it() {
        // 17 images: eight and one, and eight. Three updates between two means, which are the whole epoch.
        let of = |rank| Updates::new(&local(3), 8, 17, Rank::new(rank, 2));
        assert_eq!([0, 1].map(|rank| of(rank).weight(1)), [9.0 / 17.0, 8.0 / 17.0]);
        assert_eq!([0, 1].map(|rank| (of(rank).skips(1), of(rank).share(1))), [(false, 1.0), (true, 0.0)]);
        // Where each update is a mean, it does not count at all.
        let of = |rank| Updates::new(&TrainConfig { accumulate: 2, ..local(2) }, 2, 9, Rank::new(rank, 2));
        assert_eq!((of(0).batches(), of(0).count()), (3, 2));
        assert_eq!([0, 1].map(|rank| of(rank).weight(2)), [5.0 / 9.0, 4.0 / 9.0]);
        assert_eq!([0, 1].map(|rank| of(rank).share(1)), [0.5; 2]);
    }
}
