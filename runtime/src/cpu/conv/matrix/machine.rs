//! The processor's matrix unit (Intel AMX): eight tile registers of 16 rows of 64 bytes, and `tdpbf16ps`, which adds the
//! product of two tiles of bf16 to one of f32: `C[16][16] += A[16][32] * B[32][16]`, with pairs of `B`'s rows interleaved
//! as `B[16][16][2]`.
//!
//! Rust's intrinsics for it are not stable, so the instructions are written out. The compiler knows nothing of the tile
//! registers and never touches them: they hold their values from one function here to the next.

use std::arch::asm;
use std::sync::OnceLock;

/// Rows of a tile, and `f32` columns of a tile of sums.
pub const SIDE: usize = 16;

/// Products that one `tdpbf16ps` adds up for each sum: `bf16` columns of a tile of `A`.
pub const DEPTH: usize = 32;

/// Bytes of a tile.
pub const TILE_BYTES: usize = 1024;

/// Whether the processor has the unit, and the operating system lets this process use it.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
            && in_processor()
            && permitted()
    })
}

/// CPUID leaf 7: AMX-BF16 and AMX-TILE.
fn in_processor() -> bool {
    let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
    features & (1 << 22) != 0 && features & (1 << 24) != 0
}

/// Asks Linux for the tile registers: their state is large, so that each process has to (`arch_prctl`,
/// `ARCH_REQ_XCOMP_PERM`). The answer holds for all its threads.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the call reads two numbers and writes no memory of ours.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

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
    /// [`available`], and no other `Tiles` lives on this thread.
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
        // SAFETY: the unit is there; nobody uses the registers of this thread any more.
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

/// The operands of a product of tiles: `C += sum over blocks k of A_k B_k`.
///
/// Numbers are given as one plane of bf16, or as three whose sum they are ([`super::planes`]); then six products of planes
/// are added, all but those below the rounding error of f32.
pub struct Product {
    /// First element of each row of tiles of `A`.
    pub a: [*const u8; 4],
    /// Bytes between the rows of a tile of `A`.
    pub a_row: usize,
    /// Bytes between the planes of `A`.
    pub a_plane: usize,
    /// Byte offsets in `A` of the blocks.
    pub blocks: *const isize,
    /// Blocks.
    pub count: usize,
    /// `[block][plane][column of tiles]`, tiles of 1 KiB.
    pub b: *const u8,
}

/// Loads the tiles of `A` named, adds products with the tiles of `B` that registers 6 and 7 hold.
macro_rules! square {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// One tile of `A` by two of `B`.
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

/// How far ahead of its use `B` is fetched: of weights that were not read for long, loads of tiles would wait for memory
/// one after the other.
const AHEAD: usize = 12 << 10;

/// Fetches the next tile's worth of `B`.
macro_rules! fetch {
    () => {
        "prefetcht0 [{f}]
         prefetcht0 [{f} + 64]
         prefetcht0 [{f} + 128]
         prefetcht0 [{f} + 192]
         prefetcht0 [{f} + 256]
         prefetcht0 [{f} + 320]
         prefetcht0 [{f} + 384]
         prefetcht0 [{f} + 448]
         prefetcht0 [{f} + 512]
         prefetcht0 [{f} + 576]
         prefetcht0 [{f} + 640]
         prefetcht0 [{f} + 704]
         prefetcht0 [{f} + 768]
         prefetcht0 [{f} + 832]
         prefetcht0 [{f} + 896]
         prefetcht0 [{f} + 960]
         add {f}, 1024"
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

impl Product {
    /// Adds the product to the sums in registers. `planes` is 1 or 3.
    ///
    /// # Safety
    /// [`Tiles`] are configured; `A` and `B` are readable as the fields say, `A` for as many rows of tiles as `sums` has.
    #[inline(always)]
    pub unsafe fn add_to(&self, sums: Sums, planes: usize) {
        if self.count == 0 {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            match (sums, planes) {
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
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "2048", [
                "tileloadd tmm6, [{b} + {line}*1]",
                "lea {t}, [{a0} + {o}]",
                "tileloadd tmm4, [{t} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                fetch!(),
                "lea {t}, [{a1} + {o}]",
                "tileloadd tmm5, [{t} + {row}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                fetch!(),
            ], a0 = in(reg) self.a[0], a1 = in(reg) self.a[1], t = out(reg) _,
                f = inout(reg) self.b.wrapping_add(AHEAD) => _,);
        }
    }

    /// Planes of `A` by planes of `B`: 0 0, 0 1, 1 1, 1 0, 2 0, 0 2; each step keeps the operand that the next one shares.
    #[inline(always)]
    unsafe fn square_split(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "6144", [
                "lea {t}, [{a0} + {o}]",
                "add {o}, {a1}",
                "tileloadd tmm4, [{t} + {row}*1]",
                "tileloadd tmm6, [{b} + {line}*1]",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                "tileloadd tmm5, [{o} + {row}*1]",
                square!(),
                fetch!(),
                "tileloadd tmm6, [{b} + {line}*1 + 2048]",
                "tileloadd tmm7, [{b} + {line}*1 + 3072]",
                square!(),
                fetch!(),
                "add {t}, {plane}",
                "add {o}, {plane}",
                "tileloadd tmm4, [{t} + {row}*1]",
                "tileloadd tmm5, [{o} + {row}*1]",
                square!(),
                fetch!(),
                "tileloadd tmm6, [{b} + {line}*1]",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                square!(),
                fetch!(),
                "add {t}, {plane}",
                "add {o}, {plane}",
                "tileloadd tmm4, [{t} + {row}*1]",
                "tileloadd tmm5, [{o} + {row}*1]",
                square!(),
                fetch!(),
                "sub {t}, {plane}",
                "sub {o}, {plane}",
                "sub {t}, {plane}",
                "sub {o}, {plane}",
                "tileloadd tmm4, [{t} + {row}*1]",
                "tileloadd tmm5, [{o} + {row}*1]",
                "tileloadd tmm6, [{b} + {line}*1 + 4096]",
                "tileloadd tmm7, [{b} + {line}*1 + 5120]",
                square!(),
                fetch!(),
            ], a0 = in(reg) self.a[0], a1 = in(reg) self.a[1], plane = in(reg) self.a_plane, t = out(reg) _,
                f = inout(reg) self.b.wrapping_add(AHEAD) => _,);
        }
    }

    #[inline(always)]
    unsafe fn row(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            for_blocks!(self, "2048", [
                "add {o}, {a0}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tileloadd tmm6, [{b} + {line}*1]",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
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
                "tileloadd tmm6, [{b} + {line}*1]",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                row!(),
                "tileloadd tmm6, [{b} + {line}*1 + 2048]",
                "tileloadd tmm7, [{b} + {line}*1 + 3072]",
                row!(),
                "tileloadd tmm6, [{b} + {line}*1 + 4096]",
                "tileloadd tmm7, [{b} + {line}*1 + 5120]",
                row!(),
                "add {o}, {plane}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tileloadd tmm6, [{b} + {line}*1]",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                row!(),
                "tileloadd tmm6, [{b} + {line}*1 + 2048]",
                "tileloadd tmm7, [{b} + {line}*1 + 3072]",
                row!(),
                "add {o}, {plane}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tileloadd tmm6, [{b} + {line}*1]",
                "tileloadd tmm7, [{b} + {line}*1 + 1024]",
                row!(),
            ], a0 = in(reg) self.a[0], plane = in(reg) self.a_plane,);
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
                "add {o}, {plane}",
                column!("tmm5"),
                column!("tmm6"),
                "add {o}, {plane}",
                column!("tmm5"),
            ],
                a0 = in(reg) self.a[0], a1 = in(reg) self.a[1], a2 = in(reg) self.a[2], a3 = in(reg) self.a[3],
                plane = in(reg) self.a_plane, t = out(reg) _,);
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
                "add {o}, {plane}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm5",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "add {o}, {plane}",
                "tileloadd tmm4, [{o} + {row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm5",
            ], a0 = in(reg) self.a[0], plane = in(reg) self.a_plane,);
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
