//! AMX (Intel): eight tile registers of 16 rows of 64 bytes, and `tdpbf16ps`, which adds the
//! product of two tiles of bf16 to one of f32: `C[16][16] += A[16][32] * B[32][16]`, with pairs of `B`'s rows interleaved
//! as `B[16][16][2]`.
//!
//! Rust's intrinsics for it are not stable, so the instructions are written out. The compiler knows nothing of the tile
//! registers and never touches them: they hold their values from one function here to the next.

use std::arch::asm;

/// Rows of a tile, and `f32` columns of a tile of sums.
pub const SIDE: usize = 16;

/// Products that one `tdpbf16ps` adds up for each sum: `bf16` columns of a tile of `A`.
pub const DEPTH: usize = 32;

/// Bytes of a tile.
pub const TILE_BYTES: usize = 1024;

/// Configuration of the tile registers: all of them full.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The tile registers of a thread, configured while this lives.
pub struct Tiles(());

impl Tiles {
    /// Configures the registers of the current thread.
    ///
    /// # Safety
    /// [`available`](crate::simd::amx::available), and no other `Tiles` lives on this thread.
    pub unsafe fn configure() -> Self {
        let mut configuration =
            Configuration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        configuration.row_bytes[..8].fill(64);
        configuration.rows[..8].fill(SIDE as u8);
        // SAFETY: reads the 64 bytes of the configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
        Tiles(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: AMX is there; nobody uses the registers of this thread any more.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}

/// Shape of the sums that are held in registers, in tiles: 2 x 2 where there are columns enough, else a column of 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// Two rows and two columns of tiles.
    Square,
    /// One row and two columns.
    Row,
    /// Four rows and one column.
    Column,
    /// One tile.
    Single,
}

impl Sums {
    /// Rows of tiles.
    pub fn rows(self) -> usize {
        match self {
            Sums::Column => 4,
            Sums::Square => 2,
            Sums::Row | Sums::Single => 1,
        }
    }

    /// Columns of tiles.
    pub fn columns(self) -> usize {
        match self {
            Sums::Square | Sums::Row => 2,
            Sums::Column | Sums::Single => 1,
        }
    }
}

impl Sums {
    /// Sets the sums in registers to zero.
    ///
    /// # Safety
    /// [`Tiles`] are configured.
    #[inline(always)]
    pub unsafe fn clear(self) {
        // SAFETY: the caller's promise.
        unsafe {
            asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nomem, nostack));
        }
    }

    /// Loads the sums: `c[i]` is the first element of a row of tiles, whose rows are `row` bytes apart.
    ///
    /// # Safety
    /// [`Tiles`] are configured; the memory is readable.
    #[inline(always)]
    pub unsafe fn load(self, c: &[*mut f32; 4], row: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Sums::Square => asm!(
                    "tileloadd tmm0, [{0} + {row}*1]",
                    "tileloadd tmm1, [{0} + {row}*1 + 64]",
                    "tileloadd tmm2, [{1} + {row}*1]",
                    "tileloadd tmm3, [{1} + {row}*1 + 64]",
                    in(reg) c[0], in(reg) c[1], row = in(reg) row, options(nostack, readonly),
                ),
                Sums::Row => asm!(
                    "tileloadd tmm0, [{0} + {row}*1]",
                    "tileloadd tmm1, [{0} + {row}*1 + 64]",
                    in(reg) c[0], row = in(reg) row, options(nostack, readonly),
                ),
                Sums::Column => asm!(
                    "tileloadd tmm0, [{0} + {row}*1]",
                    "tileloadd tmm1, [{1} + {row}*1]",
                    "tileloadd tmm2, [{2} + {row}*1]",
                    "tileloadd tmm3, [{3} + {row}*1]",
                    in(reg) c[0], in(reg) c[1], in(reg) c[2], in(reg) c[3], row = in(reg) row,
                    options(nostack, readonly),
                ),
                Sums::Single => asm!(
                    "tileloadd tmm0, [{0} + {row}*1]",
                    in(reg) c[0], row = in(reg) row, options(nostack, readonly),
                ),
            }
        }
    }

    /// Stores the sums where [`Sums::load`] would find them.
    ///
    /// # Safety
    /// [`Tiles`] are configured; the memory is writable.
    #[inline(always)]
    pub unsafe fn store(self, c: &[*mut f32; 4], row: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Sums::Square => asm!(
                    "tilestored [{0} + {row}*1], tmm0",
                    "tilestored [{0} + {row}*1 + 64], tmm1",
                    "tilestored [{1} + {row}*1], tmm2",
                    "tilestored [{1} + {row}*1 + 64], tmm3",
                    in(reg) c[0], in(reg) c[1], row = in(reg) row, options(nostack),
                ),
                Sums::Row => asm!(
                    "tilestored [{0} + {row}*1], tmm0",
                    "tilestored [{0} + {row}*1 + 64], tmm1",
                    in(reg) c[0], row = in(reg) row, options(nostack),
                ),
                Sums::Column => asm!(
                    "tilestored [{0} + {row}*1], tmm0",
                    "tilestored [{1} + {row}*1], tmm1",
                    "tilestored [{2} + {row}*1], tmm2",
                    "tilestored [{3} + {row}*1], tmm3",
                    in(reg) c[0], in(reg) c[1], in(reg) c[2], in(reg) c[3], row = in(reg) row, options(nostack),
                ),
                Sums::Single => asm!(
                    "tilestored [{0} + {row}*1], tmm0",
                    in(reg) c[0], row = in(reg) row, options(nostack),
                ),
            }
        }
    }
}
