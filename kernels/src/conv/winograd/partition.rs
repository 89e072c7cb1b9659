//! How the work of a convolution is cut up, and what that is expected to cost.

use super::size::{PLANE_PAD, Size};
use crate::choice::Estimate;
use crate::conv::tile::panels::Panels;
use crate::threads::BLOCKS;

/// Bytes of transformed patches, read and written, that are worked on at a time by a thread that multiplies them with all
/// panels.
const BLOCK_BYTES: usize = 512 << 10;

/// The same where threads share the panels: then weights take the time, and are read anew with every block.
const SHARED_BLOCK_BYTES: usize = 1280 << 10;

/// Bytes of weights that a second-level cache keeps from block to block.
const CACHED_BYTES: usize = 768 << 10;

/// What the cost model takes one thread to do: estimates, set by the layers of ResNet-50 and -34 at batch 1 with AVX-512
/// (`benches/NOTES.md`). Only the ratios matter.
mod cost {
    /// Multiply-adds of vectors in a cycle, in the products of transformed patches.
    pub const PRODUCTS: f64 = 1.6;
    /// Cycles to transform a vector of patches by F(4x4, 3x3), either way, and to read or write its pixels.
    pub const PATCH_FOUR: f64 = 400.0;
    /// The same by F(2x2, 3x3).
    pub const PATCH_TWO: f64 = 150.0;
    /// Bytes of transformed weights a cycle, from memory, while products are made.
    pub const WEIGHTS: f64 = 4.0;
}

/// One way of cutting up the work.
pub struct Partition {
    /// Whether the threads share the patches, each multiplying with all panels; else they share the panels.
    pub by_patches: bool,
    /// Patches that are worked on at a time, a multiple of the register tile's.
    pub block: usize,
    /// Expected cycles of the busiest thread.
    pub estimate: Estimate,
}

impl Partition {
    /// The way that is expected to be the fastest, of so many patches.
    pub fn new(size: Size, patches: usize, panels: Panels, threads: usize) -> Self {
        let [shared, own] =
            [false, true].map(|by_patches| Self::of(size, patches, panels, threads, by_patches));
        if own.estimate.cycles() < shared.estimate.cycles() { own } else { shared }
    }

    fn of(size: Size, patches: usize, panels: Panels, threads: usize, by_patches: bool) -> Self {
        let (reads, shape) = (panels.depth, panels.shape);
        let scalars = shape.scalars;
        let (own, columns, bytes, parts) = match by_patches {
            true => (patches.div_ceil(threads), panels.count(), BLOCK_BYTES, BLOCKS),
            false => (patches, panels.count().div_ceil(threads), SHARED_BLOCK_BYTES, 1),
        };
        let fitting = bytes / size_of::<f32>() / size.points() / (reads + shape.width());
        let even = own.div_ceil(parts).next_multiple_of(scalars);
        let block = (fitting / scalars * scalars).clamp(scalars, even);
        let blocks = own.div_ceil(block);

        // A tile has at least the sums that keep the arithmetic busy; smaller ones take as long.
        let tile = |count: usize| shape.covering(count).max(8 / shape.vectors);
        let tiled =
            own / scalars * scalars + if own.is_multiple_of(scalars) { 0 } else { tile(own % scalars) };
        let chunk = reads * shape.vectors * columns * size.points();
        let products = (chunk * tiled) as f64 / cost::PRODUCTS;
        let patch = if size == Size::Four { cost::PATCH_FOUR } else { cost::PATCH_TWO };
        let vectors = reads.div_ceil(shape.lanes) + columns * shape.vectors;
        let transforms = (own * vectors) as f64 * patch;
        let weights = chunk * shape.lanes * size_of::<f32>();
        let again = if weights > CACHED_BYTES { blocks } else { 1 };
        let waits = ((weights * again) as f64 / cost::WEIGHTS - products).max(0.0);
        let parts = vec![("products", products), ("transforms", transforms), ("weights", waits)];
        let algorithm = if size == Size::Four { "winograd" } else { "winograd-2x2" };
        Partition { by_patches, block, estimate: Estimate { algorithm, parts } }
    }

    /// Floats between the planes of two points, of patches read and of those written of one panel.
    pub fn planes(&self, panels: Panels) -> [usize; 2] {
        [panels.depth, panels.shape.width()].map(|channels| self.block * channels + PLANE_PAD)
    }
}
