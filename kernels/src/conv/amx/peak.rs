//! What AMX does at most.

use super::product::{Fetch, Product};
use super::tiles::{DEPTH, SIDE, Sums, TILE_BYTES, Tiles};
use crate::simd::amx::available;

/// Operations of a block of [`multiply_tiles`]: of four products of tiles.
pub const TILES_OPERATIONS: usize = 4 * 2 * SIDE * SIDE * DEPTH;

/// Adds up `blocks` blocks, a multiple of 4, of four products of tiles, whose factors stay in the first-level cache: what the
/// AMX does at most.
///
/// # Panics
/// Where there is no AMX.
pub fn multiply_tiles(blocks: usize) {
    assert!(available(), "this machine has no AMX");
    /// Rows of tiles are lines of the cache.
    #[repr(align(64))]
    struct Factors([u8; 16 * TILE_BYTES]);
    let factors = Factors([0; 16 * TILE_BYTES]);
    let a = factors.0.as_ptr();
    let offsets = [0, 1, 2, 3].map(|block| block * 2 * TILE_BYTES as isize);
    // SAFETY: AMX is there; two rows of tiles of four blocks, and as many columns, are in the factors.
    unsafe {
        let _tiles = Tiles::configure();
        Sums::Square.clear();
        for _ in 0..blocks / offsets.len() {
            let product = Product {
                a: [a, a.wrapping_add(TILE_BYTES), a, a],
                a_row: TILE_BYTES / SIDE,
                a_term: 0,
                blocks: offsets.as_ptr(),
                count: offsets.len(),
                b: a.wrapping_add(8 * TILE_BYTES),
                fetch: Fetch::Nothing,
            };
            product.add_to(Sums::Square, 1);
        }
    }
}
