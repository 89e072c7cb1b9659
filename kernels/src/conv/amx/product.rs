//! The innermost loops: products of tiles, added to sums that stay in registers.

use std::arch::asm;

use super::tiles::Sums;

/// The operands of a product of tiles: `C += sum over blocks k of A_k B_k`.
///
/// Numbers are given as one term of bf16, or as three whose sum they are ([`super::split`]); then six products of terms
/// are added, all but those below the rounding error of f32.
pub struct Product {
    /// First element of each row of tiles of `A`.
    pub a: [*const u8; 4],
    /// Bytes between the rows of a tile of `A`.
    pub a_row: usize,
    /// Bytes between the terms of `A`.
    pub a_term: usize,
    /// Byte offsets in `A` of the blocks.
    pub blocks: *const isize,
    /// Blocks.
    pub count: usize,
    /// `[block][term][column of tiles]`, tiles of 1 KiB.
    pub b: *const u8,
    /// What is fetched meanwhile, by products with two columns of tiles.
    pub fetch: Fetch,
}

/// What is fetched into the second-level cache while tiles are multiplied: loads of tiles from memory would wait for one
/// after the other.
#[derive(Debug, Clone, Copy)]
pub enum Fetch {
    /// Nothing.
    Nothing,
    /// `B` itself, [`AHEAD`] bytes ahead of its use: nobody has fetched it before.
    Ahead,
    /// Half of as many bytes as `B` has, from there on.
    Half(*const u8),
    /// A quarter of as many.
    Quarter(*const u8),
}

/// Loads two tiles of `B`, that many bytes from the block's first, into registers 6 and 7.
macro_rules! pair {
    ($first:literal, $second:literal) => {
        concat!(
            "tileloadd tmm6, [{b} + {line}*1 + ",
            $first,
            "]\n tileloadd tmm7, [{b} + {line}*1 + ",
            $second,
            "]"
        )
    };
}

/// Adds the products of the tiles of `A` in registers 4 and 5 with those of `B` in 6 and 7.
macro_rules! square {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// The same of one tile of `A`, in register 4.
macro_rules! row {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7"
    };
}

/// Four tiles of `A`, offset by a register, by the tile of `B` named.
macro_rules! column {
    ($b:literal) => {
        concat!(
            "lea {t}, [{a0} + {o}]
             tileloadd tmm4, [{t} + {row}*1]
             tdpbf16ps tmm0, tmm4, ",
            $b,
            "
             lea {t}, [{a1} + {o}]
             tileloadd tmm4, [{t} + {row}*1]
             tdpbf16ps tmm1, tmm4, ",
            $b,
            "
             lea {t}, [{a2} + {o}]
             tileloadd tmm4, [{t} + {row}*1]
             tdpbf16ps tmm2, tmm4, ",
            $b,
            "
             lea {t}, [{a3} + {o}]
             tileloadd tmm4, [{t} + {row}*1]
             tdpbf16ps tmm3, tmm4, ",
            $b
        )
    };
}

/// How far ahead of its use `B` is fetched.
const AHEAD: usize = 12 << 10;

/// Fetches four lines from each offset named, and goes on by as many bytes as the last argument says.
macro_rules! fetch {
    ([$($at:literal),+], $bytes:literal) => {
        concat!(
            $(
                "prefetcht1 [{f} + ", $at, "]\n",
                "prefetcht1 [{f} + ", $at, " + 64]\n",
                "prefetcht1 [{f} + ", $at, " + 128]\n",
                "prefetcht1 [{f} + ", $at, " + 192]\n",
            )+
            "add {f}, ", $bytes,
        )
    };
}

/// Fetches a tile's worth.
macro_rules! fetch_ahead {
    () => {
        fetch!(["0", "256", "512", "768"], "1024")
    };
}

/// Fetches half of a tile's worth.
macro_rules! fetch_half {
    () => {
        fetch!(["0", "256"], "512")
    };
}

/// Fetches a quarter of a tile's worth.
macro_rules! fetch_quarter {
    () => {
        fetch!(["0"], "256")
    };
}

/// Fetches nothing.
macro_rules! fetch_nothing {
    () => {
        "# {f}"
    };
}

/// Runs `$body` for each block, `{o}` being its offset in `A` and `{b}` its tiles of `B`, `$bytes` of them.
macro_rules! for_blocks {
    ($p:expr, $bytes:literal, [$($body:expr),+ $(,)?], $($operands:tt)*) => {
        asm!(
            "2:",
            "mov {o}, qword ptr [{blocks}]",
            $($body,)+
            concat!("add {b}, ", $bytes),
            "add {blocks}, 8",
            "dec {count}",
            "jnz 2b",
            o = out(reg) _,
            b = inout(reg) $p.b => _,
            blocks = inout(reg) $p.blocks => _,
            count = inout(reg) $p.count => _,
            row = in(reg) $p.a_row,
            line = in(reg) 64usize,
            $($operands)*
            options(nostack, readonly),
        )
    };
}

/// A square of tiles of one term.
macro_rules! square_loop {
    ($p:expr, $from:expr, $fetch:ident) => {
        for_blocks!($p, "2048", [
            "tileloadd tmm6, [{b} + {line}*1]",
            "lea {t}, [{a0} + {o}]",
            "tileloadd tmm4, [{t} + {row}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line}*1 + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            $fetch!(),
            "lea {t}, [{a1} + {o}]",
            "tileloadd tmm5, [{t} + {row}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            $fetch!(),
        ], a0 = in(reg) $p.a[0], a1 = in(reg) $p.a[1], t = out(reg) _, f = inout(reg) $from => _,)
    };
}

/// A square of tiles of three terms. Split of `A` by terms of `B`: 0 2, 0 0, 2 0, 1 0, 1 1, 0 1; each step keeps the
/// operand that the next one shares, so that only one pair of tiles is loaded twice.
macro_rules! square_split_loop {
    ($p:expr, $from:expr, $fetch:ident) => {
        for_blocks!($p, "6144", [
            "lea {t}, [{a0} + {o}]",
            "add {o}, {a1}",
            "tileloadd tmm4, [{t} + {row}*1]",
            pair!("4096", "5120"),
            "tileloadd tmm5, [{o} + {row}*1]",
            square!(),
            $fetch!(),
            pair!("0", "1024"),
            square!(),
            $fetch!(),
            "lea {t}, [{t} + {term}*2]",
            "lea {o}, [{o} + {term}*2]",
            "tileloadd tmm4, [{t} + {row}*1]",
            "tileloadd tmm5, [{o} + {row}*1]",
            square!(),
            $fetch!(),
            "sub {t}, {term}",
            "sub {o}, {term}",
            "tileloadd tmm4, [{t} + {row}*1]",
            "tileloadd tmm5, [{o} + {row}*1]",
            square!(),
            $fetch!(),
            pair!("2048", "3072"),
            square!(),
            $fetch!(),
            "sub {t}, {term}",
            "sub {o}, {term}",
            "tileloadd tmm4, [{t} + {row}*1]",
            "tileloadd tmm5, [{o} + {row}*1]",
            square!(),
            $fetch!(),
        ], a0 = in(reg) $p.a[0], a1 = in(reg) $p.a[1], term = in(reg) $p.a_term, t = out(reg) _,
            f = inout(reg) $from => _,)
    };
}

impl Product {
    /// Adds the product to the sums in registers. `terms` is 1 or 3.
    ///
    /// # Safety
    /// Tiles are configured; `A` and `B` are readable as the fields say, `A` for as many rows of tiles as `sums` has.
    #[inline(always)]
    pub unsafe fn add_to(&self, sums: Sums, terms: usize) {
        if self.count == 0 {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            match (sums, terms) {
                (Sums::Square, 1) => self.square(),
                (Sums::Square, _) => self.square_split(),
                (Sums::Row, 1) => self.row(),
                (Sums::Row, _) => self.row_split(),
                (Sums::Column, 1) => self.column(),
                (Sums::Column, _) => self.column_split(),
                (Sums::Single, 1) => self.single(),
                (Sums::Single, _) => self.single_split(),
            }
        }
    }

    #[inline(always)]
    unsafe fn square(&self) {
        // SAFETY: the caller's promise; fetching needs no memory to be there.
        unsafe {
            match self.fetch {
                Fetch::Nothing => square_loop!(self, self.b, fetch_nothing),
                Fetch::Ahead => square_loop!(self, self.b.wrapping_add(AHEAD), fetch_ahead),
                Fetch::Half(from) => square_loop!(self, from, fetch_half),
                Fetch::Quarter(from) => square_loop!(self, from, fetch_quarter),
            }
        }
    }

    #[inline(always)]
    unsafe fn square_split(&self) {
        // SAFETY: as in `square`.
        unsafe {
            match self.fetch {
                Fetch::Nothing => square_split_loop!(self, self.b, fetch_nothing),
                Fetch::Ahead => square_split_loop!(self, self.b.wrapping_add(AHEAD), fetch_ahead),
                Fetch::Half(from) => square_split_loop!(self, from, fetch_half),
                Fetch::Quarter(from) => square_split_loop!(self, from, fetch_quarter),
            }
        }
    }

    #[inline(always)]
    unsafe fn row(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "2048", [
                "add {o}, {a0}",
                "tileloadd tmm4, [{o} + {row}*1]",
                pair!("0", "1024"),
                row!(),
            ], a0 = in(reg) self.a[0],);
        }
    }

    #[inline(always)]
    unsafe fn row_split(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "6144", [
                "add {o}, {a0}",
                "tileloadd tmm4, [{o} + {row}*1]",
                pair!("0", "1024"),
                row!(),
                pair!("2048", "3072"),
                row!(),
                pair!("4096", "5120"),
                row!(),
                "add {o}, {term}",
                "tileloadd tmm4, [{o} + {row}*1]",
                pair!("0", "1024"),
                row!(),
                pair!("2048", "3072"),
                row!(),
                "add {o}, {term}",
                "tileloadd tmm4, [{o} + {row}*1]",
                pair!("0", "1024"),
                row!(),
            ], a0 = in(reg) self.a[0], term = in(reg) self.a_term,);
        }
    }

    #[inline(always)]
    unsafe fn column(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "1024", ["tileloadd tmm5, [{b} + {line}*1]", column!("tmm5")],
                a0 = in(reg) self.a[0], a1 = in(reg) self.a[1], a2 = in(reg) self.a[2], a3 = in(reg) self.a[3],
                t = out(reg) _,);
        }
    }

    #[inline(always)]
    unsafe fn column_split(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "3072", [
                "tileloadd tmm5, [{b} + {line}*1]",
                column!("tmm5"),
                "tileloadd tmm6, [{b} + {line}*1 + 1024]",
                column!("tmm6"),
                "tileloadd tmm7, [{b} + {line}*1 + 2048]",
                column!("tmm7"),
                "add {o}, {term}",
                column!("tmm5"),
                column!("tmm6"),
                "add {o}, {term}",
                column!("tmm5"),
            ],
                a0 = in(reg) self.a[0], a1 = in(reg) self.a[1], a2 = in(reg) self.a[2], a3 = in(reg) self.a[3],
                term = in(reg) self.a_term, t = out(reg) _,);
        }
    }

    #[inline(always)]
    unsafe fn single(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "1024", [
                "add {o}, {a0}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tileloadd tmm6, [{b} + {line}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
            ], a0 = in(reg) self.a[0],);
        }
    }

    #[inline(always)]
    unsafe fn single_split(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "3072", [
                "add {o}, {a0}",
                "tileloadd tmm5, [{b} + {line}*1]",
                "tileloadd tmm6, [{b} + {line}*1 + 1024]",
                "tileloadd tmm7, [{b} + {line}*1 + 2048]",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm5",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm0, tmm4, tmm7",
                "add {o}, {term}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm5",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "add {o}, {term}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm5",
            ], a0 = in(reg) self.a[0], term = in(reg) self.a_term,);
        }
    }
}
