//! Sizes of register tiles.
//!
//! A tile is some scalars (pixels, or input channels in the filter gradient) times some vectors of output channels.

use crate::simd::{Isa, Vector};

/// Shape of the tiles of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conv) struct Shape {
    /// `f32` lanes of a vector.
    pub lanes: usize,
    /// Vectors of output channels: 1 to 4.
    pub vectors: usize,
    /// Scalars: pixels or input channels.
    pub scalars: usize,
}

/// Numbers of scalars that there are tiles for; one larger than a [`Shape`] allows is not used with it.
const SIZES: [usize; 8] = [24, 16, 12, 8, 6, 4, 2, 1];

/// Scalars of the tile of one vector, of two, and so on.
const fn tiles(registers: usize) -> &'static [usize] {
    match registers {
        32.. => &[24, 12, 8, 6],
        16.. => &[12, 6],
        _ => &[6, 2],
    }
}

impl Shape {
    /// The tile for a number of output channels (of one group).
    pub fn new(isa: Isa, channels: usize) -> Self {
        let lanes = isa.lanes();
        let all = channels.div_ceil(lanes).max(1);
        let tiles = tiles(isa.registers());
        // Loads per pixel and channel: a panel's vectors are loaded for so many scalars, each of which is loaded once.
        let loads =
            |&(vectors, scalars): &(usize, usize)| (all.div_ceil(vectors) * scalars + all) * 24 / scalars;
        let tiles = tiles.iter().enumerate().map(|(i, &scalars)| (i + 1, scalars)).filter(|t| t.0 <= all);
        let (vectors, scalars) = tiles.min_by_key(loads).unwrap_or((1, 1));
        Shape { lanes, vectors, scalars }
    }

    /// Output channels of a full panel.
    pub fn width(self) -> usize {
        self.lanes * self.vectors
    }

    /// The smallest tile that holds `count` scalars, at most a full one.
    pub fn covering(self, count: usize) -> usize {
        SIZES.into_iter().filter(|&size| size >= count && size <= self.scalars).min().unwrap_or(self.scalars)
    }

    /// The largest tile of at most `count >= 1` scalars.
    pub fn within(self, count: usize) -> usize {
        SIZES.into_iter().find(|&size| size <= count && size <= self.scalars).unwrap_or(1)
    }
}

/// Channels that a tile of `vectors` multiplies with each turn of a loop: as many as leave registers for their weights or,
/// where it is one channel after another, as share what comes with a turn.
pub(in crate::conv) const fn channels_at_once(registers: usize, vectors: usize) -> usize {
    match (registers >= 32, vectors) {
        (true, 2) | (false, 1) => 2,
        _ => 4,
    }
}

/// Whether a tile of `vectors` has registers for the weights of one channel only.
pub(in crate::conv) const fn one_by_one(registers: usize, vectors: usize) -> bool {
    vectors > if registers >= 32 { 2 } else { 1 }
}

/// Whether any [`Shape`] has so large a tile: all that is left out need not be compiled.
pub(in crate::conv) const fn fits<V: Vector>(scalars: usize, vectors: usize) -> bool {
    let tiles = tiles(V::REGISTERS);
    vectors <= tiles.len() && scalars <= tiles[vectors - 1]
}

/// Calls a kernel that is generic over the numbers of scalars and of vectors of a tile, with those of `$tile`; those that no
/// [`Shape`] of the instruction set has are not even compiled.
macro_rules! with_tile {
    ($tile:expr, $kernel:ident::<$V:ident $(, $more:ident)?> $arguments:tt) => {
        match $tile {
            (6, 4) if const { fits::<$V>(6, 4) } => $kernel::<$V, 6, 4 $(, $more)?> $arguments,
            (4, 4) if const { fits::<$V>(4, 4) } => $kernel::<$V, 4, 4 $(, $more)?> $arguments,
            (2, 4) if const { fits::<$V>(2, 4) } => $kernel::<$V, 2, 4 $(, $more)?> $arguments,
            (1, 4) if const { fits::<$V>(1, 4) } => $kernel::<$V, 1, 4 $(, $more)?> $arguments,
            (8, 3) if const { fits::<$V>(8, 3) } => $kernel::<$V, 8, 3 $(, $more)?> $arguments,
            (6, 3) if const { fits::<$V>(6, 3) } => $kernel::<$V, 6, 3 $(, $more)?> $arguments,
            (4, 3) if const { fits::<$V>(4, 3) } => $kernel::<$V, 4, 3 $(, $more)?> $arguments,
            (2, 3) if const { fits::<$V>(2, 3) } => $kernel::<$V, 2, 3 $(, $more)?> $arguments,
            (1, 3) if const { fits::<$V>(1, 3) } => $kernel::<$V, 1, 3 $(, $more)?> $arguments,
            (12, 2) if const { fits::<$V>(12, 2) } => $kernel::<$V, 12, 2 $(, $more)?> $arguments,
            (8, 2) if const { fits::<$V>(8, 2) } => $kernel::<$V, 8, 2 $(, $more)?> $arguments,
            (6, 2) if const { fits::<$V>(6, 2) } => $kernel::<$V, 6, 2 $(, $more)?> $arguments,
            (4, 2) if const { fits::<$V>(4, 2) } => $kernel::<$V, 4, 2 $(, $more)?> $arguments,
            (2, 2) if const { fits::<$V>(2, 2) } => $kernel::<$V, 2, 2 $(, $more)?> $arguments,
            (1, 2) if const { fits::<$V>(1, 2) } => $kernel::<$V, 1, 2 $(, $more)?> $arguments,
            (24, 1) if const { fits::<$V>(24, 1) } => $kernel::<$V, 24, 1 $(, $more)?> $arguments,
            (16, 1) if const { fits::<$V>(16, 1) } => $kernel::<$V, 16, 1 $(, $more)?> $arguments,
            (12, 1) if const { fits::<$V>(12, 1) } => $kernel::<$V, 12, 1 $(, $more)?> $arguments,
            (8, 1) if const { fits::<$V>(8, 1) } => $kernel::<$V, 8, 1 $(, $more)?> $arguments,
            (6, 1) if const { fits::<$V>(6, 1) } => $kernel::<$V, 6, 1 $(, $more)?> $arguments,
            (4, 1) if const { fits::<$V>(4, 1) } => $kernel::<$V, 4, 1 $(, $more)?> $arguments,
            (2, 1) if const { fits::<$V>(2, 1) } => $kernel::<$V, 2, 1 $(, $more)?> $arguments,
            (1, 1) if const { fits::<$V>(1, 1) } => $kernel::<$V, 1, 1 $(, $more)?> $arguments,
            (scalars, vectors) => unreachable!("no tile of {scalars} x {vectors}"),
        }
    };
}

pub(in crate::conv) use with_tile;
