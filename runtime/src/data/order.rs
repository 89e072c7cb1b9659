//! In which order pictures are taken, how often, and by which of several processes: a function of `(seed, epoch, rank, ranks)`.

use super::rng::{Purpose, Stream};

/// One of the processes that share the pictures of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    rank: usize,
    ranks: usize,
}

impl Rank {
    /// The process that has all pictures for itself.
    pub const ONLY: Rank = Rank { rank: 0, ranks: 1 };

    /// Process `rank`, from 0, of `ranks`.
    ///
    /// # Panics
    /// If `rank` is not below `ranks`.
    pub fn new(rank: usize, ranks: usize) -> Self {
        assert!(rank < ranks, "rank {rank} of {ranks}");
        Rank { rank, ranks }
    }

    /// Its number.
    pub fn number(self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.ranks
    }

    /// How many of `len` positions are its own.
    pub fn share_of(self, len: usize) -> usize {
        len.saturating_sub(self.rank).div_ceil(self.ranks)
    }

    /// Every `ranks`-th position, from its own on: batches of `n` pictures on all ranks are together one batch of `n * ranks`
    /// on a single one. Ranks differ by at most one picture.
    fn part_of<T>(self, order: impl Iterator<Item = T>) -> Vec<T> {
        order.skip(self.rank).step_by(self.ranks).collect()
    }
}

/// A rank's indices of `0..len` in the epoch's random order. All ranks together have each index once.
pub fn shuffled(len: usize, seed: u64, epoch: u64, rank: Rank) -> Vec<u32> {
    rank.part_of(permutation(len, seed, epoch).into_iter())
}

/// A picture's turn in an epoch: what is drawn for it follows from both numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Number of the picture.
    pub picture: u32,
    /// How often it came before in this epoch.
    pub repeat: u32,
}

impl Turn {
    /// The stream that belongs to it: that of the picture's number where it comes once.
    pub fn stream(self) -> u64 {
        u64::from(self.picture) | u64::from(self.repeat) << 32
    }
}

/// The first turn of a picture.
impl From<usize> for Turn {
    fn from(picture: usize) -> Self {
        Turn { picture: picture as u32, repeat: 0 }
    }
}

/// Each picture once.
pub fn once(order: Vec<u32>) -> Vec<Turn> {
    order.into_iter().map(|picture| Turn { picture, repeat: 0 }).collect()
}

/// A rank's turns of an epoch in which each picture stands `repeats` times, one behind the other, so that several ranks have it at the same
/// time (Hoffer et al. 2020; timm's `RepeatAugSampler`). The epoch keeps its length: of `repeats` times `len` turns, all ranks together have
/// the first `len`. So it has one picture in `repeats`, the last of them perhaps less often; once each is [`shuffled`].
///
/// # Panics
/// If `repeats` is 0.
pub fn repeated(len: usize, seed: u64, epoch: u64, rank: Rank, repeats: u32) -> Vec<Turn> {
    let pictures = permutation(len, seed, epoch).into_iter().take(len.div_ceil(repeats as usize));
    let turns = pictures.flat_map(|picture| (0..repeats).map(move |repeat| Turn { picture, repeat }));
    rank.part_of(turns.take(len))
}

/// A rank's indices of `0..len`, ascending. All ranks together have each index once.
pub fn sequential(len: usize, rank: Rank) -> Vec<u32> {
    rank.part_of(0..len as u32)
}

/// A permutation of `0..len`, drawn by Fisher and Yates' method from `(seed, epoch)`.
fn permutation(len: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    let mut stream = Stream::new(seed, Purpose::Order, epoch, 0);
    for i in (1..len).rev() {
        order.swap(i, stream.below(i as u32 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_epoch_has_every_index_once_and_changes_with_seed_and_epoch() {
        let order = shuffled(1000, 7, 3, Rank::ONLY);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, sequential(1000, Rank::ONLY));
        assert_eq!(order, shuffled(1000, 7, 3, Rank::ONLY));
        assert_ne!(order, shuffled(1000, 7, 4, Rank::ONLY));
        assert_ne!(order, shuffled(1000, 8, 3, Rank::ONLY));
        assert_ne!(order, sorted);
    }

    /// Checkpoints in mid-epoch go on with this order.
    #[test]
    fn the_order_of_a_seed_stays_what_it_is() {
        assert_eq!(shuffled(10, 5, 2, Rank::ONLY), PINNED);
        assert_eq!(shuffled(10, 5, 2, Rank::new(1, 3)), [PINNED[1], PINNED[4], PINNED[7]]);
    }

    const PINNED: [u32; 10] = [2, 1, 8, 3, 7, 4, 9, 5, 6, 0];

    #[test]
    fn every_position_is_as_likely_for_an_element() {
        let mut counts = [0u32; 6];
        for epoch in 0..6000 {
            let order = shuffled(6, 1, epoch, Rank::ONLY);
            counts[order.iter().position(|&i| i == 0).expect("0 is in 0..6")] += 1;
        }
        // 1000 expected, standard deviation 29.
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }

    #[test]
    fn repeated_pictures_stand_together_and_the_epoch_keeps_its_length() {
        let turns = repeated(10, 5, 2, Rank::ONLY, 3);
        let [a, b, c, d] = [PINNED[0], PINNED[1], PINNED[2], PINNED[3]];
        let expected = [(a, 0), (a, 1), (a, 2), (b, 0), (b, 1), (b, 2), (c, 0), (c, 1), (c, 2), (d, 0)];
        assert_eq!(turns, expected.map(|(picture, repeat)| Turn { picture, repeat }));
        assert_eq!(repeated(10, 5, 2, Rank::ONLY, 1), once(shuffled(10, 5, 2, Rank::ONLY)));
        // Three ranks have the same picture at the same time.
        let ranks: Vec<_> = (0..3).map(|rank| repeated(10, 5, 2, Rank::new(rank, 3), 3)).collect();
        assert_eq!(ranks.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 3]);
        assert!((0..3).all(|step| ranks.iter().all(|turns| turns[step].picture == PINNED[step])));
        let mut all: Vec<_> = ranks.concat();
        let mut whole = turns.clone();
        all.sort_unstable();
        whole.sort_unstable();
        assert_eq!(all, whole);
    }

    #[test]
    fn turns_have_streams_of_their_own() {
        let streams: std::collections::BTreeSet<u64> =
            repeated(300, 1, 0, Rank::ONLY, 4).into_iter().map(Turn::stream).collect();
        assert_eq!(streams.len(), 300);
        assert_eq!(Turn::from(7).stream(), 7);
    }

    #[test]
    #[should_panic(expected = "rank 2 of 2")]
    fn ranks_count_from_zero() {
        Rank::new(2, 2);
    }

    proptest! {
        #[test]
        fn ranks_share_an_epoch(len in 0usize..300, ranks in 1usize..9, seed: u64, epoch in 0u64..1000) {
            let whole = shuffled(len, seed, epoch, Rank::ONLY);
            let parts: Vec<_> = (0..ranks).map(|r| shuffled(len, seed, epoch, Rank::new(r, ranks))).collect();
            // No index twice, none left out: sorted, they are all.
            let mut all = parts.concat();
            all.sort_unstable();
            prop_assert_eq!(all, sequential(len, Rank::ONLY));
            let sizes = || parts.iter().map(Vec::len);
            prop_assert!(sizes().max() <= sizes().min().map(|least| least + 1), "{:?}", parts);
            // The ranks' steps together are the steps of a single process with the batches of all.
            for (step, batch) in whole.chunks(4 * ranks).enumerate() {
                let mut together: Vec<u32> =
                    parts.iter().flat_map(|part| part.chunks(4).nth(step).unwrap_or_default()).copied().collect();
                let mut batch = batch.to_vec();
                together.sort_unstable();
                batch.sort_unstable();
                prop_assert_eq!(together, batch);
            }
            let mut ascending: Vec<_> =
                (0..ranks).flat_map(|r| sequential(len, Rank::new(r, ranks))).collect();
            ascending.sort_unstable();
            prop_assert_eq!(ascending, sequential(len, Rank::ONLY));
        }
    }
}
