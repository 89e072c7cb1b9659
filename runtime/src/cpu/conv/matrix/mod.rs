//! Convolutions on the processor's matrix unit: in bf16, and in f32 as products of three bf16 planes ([`planes`]).
//!
//! A band of the map that is read is copied to bf16 with zeros around it ([`map`]); tiles of `A` are then loaded straight
//! from the copy, 16 output pixels by 32 channels (or, of maps with few channels, by a row of taps that lie side by side),
//! tiles of `B` from packed weights. `forward` runs the forward convolution and the gradient of the input, `filter` the
//! gradient of the weights, of maps with few channels over [`windows`] of them.

mod element;
mod filter;
mod forward;
mod machine;
mod map;
mod planes;
mod product;
mod weights;
mod windows;

pub use filter::MatrixFilter;
pub use forward::MatrixConvolution;
pub use machine::available;

use machine::{DEPTH, SIDE, Sums, TILE_BYTES, Tiles};
use product::{Fetch, Product};

/// How convolutions multiply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Planes {
    /// Factors are rounded to bf16.
    One,
    /// Factors are f32, split exactly into three bf16.
    Three,
}

impl Planes {
    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Planes::One => 1,
            Planes::Three => 3,
        }
    }

    /// Products of planes that make a product.
    pub fn products(self) -> usize {
        match self {
            Planes::One => 1,
            Planes::Three => 6,
        }
    }
}

/// Operations of a block of [`multiply_tiles`]: of four products of tiles.
pub const TILES_OPERATIONS: usize = 4 * 2 * SIDE * SIDE * DEPTH;

/// Adds up `blocks` blocks, a multiple of 4, of four products of tiles, whose factors stay in the first-level cache: what the
/// unit does at most.
///
/// # Panics
/// Where there is no unit.
pub fn multiply_tiles(blocks: usize) {
    assert!(available(), "this machine has no matrix unit");
    /// Rows of tiles are lines of the cache.
    #[repr(align(64))]
    struct Factors([u8; 16 * TILE_BYTES]);
    let factors = Factors([0; 16 * TILE_BYTES]);
    let a = factors.0.as_ptr();
    let offsets = [0, 1, 2, 3].map(|block| block * 2 * TILE_BYTES as isize);
    // SAFETY: the unit is there; two rows of tiles of four blocks, and as many columns, are in the factors.
    unsafe {
        let _tiles = Tiles::configure();
        Sums::Square.clear();
        for _ in 0..blocks / offsets.len() {
            let product = Product {
                a: [a, a.wrapping_add(TILE_BYTES), a, a],
                a_row: TILE_BYTES / SIDE,
                a_plane: 0,
                blocks: offsets.as_ptr(),
                count: offsets.len(),
                b: a.wrapping_add(8 * TILE_BYTES),
                fetch: Fetch::Nothing,
            };
            product.add_to(Sums::Square, 1);
        }
    }
}
