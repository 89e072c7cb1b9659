//! The innermost loops: register tiles of a convolution; those of its filter gradient are in `filter_tile`.
//!
//! A tile is `SIZE` scalars (pixels, or input channels in the filter gradient) times `NV` vectors of output channels,
//! all of whose sums stay in registers. Six scalars by four 512-bit vectors take 24 of 32 registers and need 10 loads
//! for 24 multiply-adds; where there are fewer channels, 8 by three, 12 by two or 24 by one do the same with all lanes in
//! use and more loads.

// Loops over constant ranges stay index loops: LLVM unrolls those early enough to keep the sums in registers, while
// iterators over the same arrays leave them in memory (measured: ResNet-50 64 ms instead of 40).
#![allow(clippy::needless_range_loop)]

use std::mem::MaybeUninit;

use super::finish::{Finish, Map, Maps, activate, load_part, narrow, store_part};
use crate::cpu::activation;
use crate::cpu::isa::Isa;
use crate::cpu::memory::{Ahead, fetch};
use crate::cpu::stream::LINE;
use crate::cpu::vector::Vector;

/// Repeats a block with a constant index below `$n <= 24`. LLVM declines to unroll bodies of this size, and sums that are
/// indexed by a variable live in memory, not in registers.
macro_rules! unroll {
    ($i:ident < $n:ident; $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23)
    };
    (@ $i:ident, $n:ident, $body:block, $($k:literal)*) => {
        $(if $k < $n {
            let $i: usize = $k;
            $body
        })*
    };
}

/// Adds to the sums of a tile, `$sums`, the products of `$step` channels, the first of row `$i` being at `$row`, with their
/// weights at `$weights`. Where vectors are few, a row's are all multiplied at once, whose pointer is then looked up once;
/// where they are many, one channel after another, so that weights take few registers. `$ordered` is [`in_order`]'s, `$pairs`
/// [`multiply_add`]'s. No function: a closure would not be compiled for the caller's instructions.
macro_rules! add_products {
    (
        $V:ident, $sums:ident[$size:ident][$vectors:ident], $step:ident, $weights:expr, $ordered:literal, $pairs:tt,
        |$i:ident| $row:expr
    ) => {
        if const { one_by_one(<$V as Vector>::REGISTERS, $vectors) } {
            unroll!(@ j, $step, {
                let mut weights = [$V::zero(); $vectors];
                for v in 0..$vectors {
                    weights[v] = $V::load($weights.add((j * $vectors + v) * $V::LANES));
                }
                unroll!($i < $size; {
                    let x = $V::splat(*$row.add(j));
                    for v in 0..$vectors {
                        $sums[$i][v] = in_order::<$V, $ordered>(multiply_add::<$V, $pairs>(x, weights[v], $sums[$i][v]));
                    }
                });
            }, 0 1 2 3);
        } else {
            let mut weights = [[$V::zero(); $vectors]; $step];
            for j in 0..$step {
                for v in 0..$vectors {
                    weights[j][v] = $V::load($weights.add((j * $vectors + v) * $V::LANES));
                }
            }
            unroll!($i < $size; {
                let row = $row;
                for j in 0..$step {
                    let x = $V::splat(*row.add(j));
                    for v in 0..$vectors {
                        $sums[$i][v] = in_order::<$V, $ordered>(multiply_add::<$V, $pairs>(x, weights[j][v], $sums[$i][v]));
                    }
                }
            });
        }
    };
}

pub(super) use {add_products, unroll};

/// Shape of the tiles of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
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

/// One tile of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Pointers to the runs: `[segment][scalars]`.
    pub rows: *const *const f32,
    /// Runs under a pixel.
    pub segments: usize,
    /// Floats of a run that are multiplied.
    pub len: usize,
    /// First of them (a group's first channel).
    pub from: usize,
    /// Packed weights: `[segment][len][vectors * lanes]`.
    pub weights: *const f32,
    /// Pixels that are stored, the first of the tile.
    pub count: usize,
    /// Their indices in the output map.
    pub outs: *const usize,
    /// First output channel.
    pub channel: usize,
    /// Output channels of the panel, at most `vectors * lanes`.
    pub width: usize,
    /// What is fetched that later tiles read, in two places, with every few channels.
    pub ahead: [Ahead; 2],
}

/// Channels that a tile of `vectors` multiplies with each turn of a loop: as many as leave registers for their weights or,
/// where it is one channel after another, as share what comes with a turn.
pub(super) const fn channels_at_once(registers: usize, vectors: usize) -> usize {
    match (registers >= 32, vectors) {
        (true, 2) | (false, 1) => 2,
        _ => 4,
    }
}

/// Whether a tile of `vectors` has registers for the weights of one channel only.
pub(super) const fn one_by_one(registers: usize, vectors: usize) -> bool {
    vectors > if registers >= 32 { 2 } else { 1 }
}

/// See [`Vector::in_order`]: what it is for is needed where registers are few. Where they are not, it is `ORDERED` that says
/// whether it gains, which differs from loop to loop.
#[inline(always)]
pub(super) unsafe fn in_order<V: Vector, const ORDERED: bool>(sum: V) -> V {
    // SAFETY: the caller's promise.
    if ORDERED || V::REGISTERS < 32 { unsafe { sum.in_order() } } else { sum }
}

/// `x * weight + sum`, of floats or of pairs of bf16.
#[inline(always)]
pub(super) unsafe fn multiply_add<V: Vector, const PAIRS: bool>(x: V, weight: V, sum: V) -> V {
    // SAFETY: the caller's promise.
    unsafe { if PAIRS { x.add_pairs(weight, sum) } else { x.mul_add(weight, sum) } }
}

/// Whether any [`Shape`] has so large a tile: all that is left out need not be compiled.
pub(super) const fn fits<V: Vector>(scalars: usize, vectors: usize) -> bool {
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

pub(super) use with_tile;

/// Floats of the largest tile.
const TILE_FLOATS: usize = 24 * 16;

/// Where the pixels of a tile lie in a map that is the tile.
static OWN_PIXELS: [usize; 24] = {
    let mut pixels = [0; 24];
    let mut i = 0;
    while i < pixels.len() {
        pixels[i] = i;
        i += 1;
    }
    pixels
};

/// Computes and stores a tile of `size` pixels (one of [`Shape::covering`]) by `vectors` vectors, multiplying floats or pairs.
///
/// # Safety
/// Dispatched as [`Vector`] demands; pointers valid for the sizes given.
#[inline(always)]
pub(super) unsafe fn convolve<V: Vector, const PAIRS: bool>(
    size: usize,
    vectors: usize,
    tile: &Tile,
    finish: &Finish,
) {
    let late = activation::late(finish.act);
    let mut sums = [MaybeUninit::<f32>::uninit(); TILE_FLOATS];
    let sums: *mut f32 = sums.as_mut_ptr().cast();
    let width = vectors * V::LANES;
    // What is stored as bf16 is first a small map of its own: so finishing it, which is long, stands here once, not with each
    // size of a tile.
    let own = (
        Tile { outs: OWN_PIXELS.as_ptr(), channel: 0, width, ..*tile },
        Finish { bias: std::ptr::null(), act: None, channels: width, gap: 0, ..*finish },
        Map { y: sums, residual: std::ptr::null() },
    );
    // SAFETY: the caller's promise; there is room for the largest tile.
    unsafe {
        let (inner, sums_finish, map) = match finish.maps {
            Maps::F32(map) => (*tile, *finish, map),
            Maps::Bf16(map) => {
                fetch_results(width, tile, finish, &map);
                own
            }
        };
        with_tile!((size, vectors), convolve_tile::<V, PAIRS>(&inner, &sums_finish, &map));
        match (finish.maps, late) {
            (Maps::F32(map), Some(act)) => activate::<V>(vectors, tile, finish, act, map.y),
            (Maps::F32(_), None) => {}
            (Maps::Bf16(map), _) => narrow::<V>(vectors, tile, finish, &map, sums),
        }
    }
}

#[inline(always)]
unsafe fn convolve_tile<V: Vector, const SIZE: usize, const NV: usize, const PAIRS: bool>(
    tile: &Tile,
    finish: &Finish,
    map: &Map<f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[V::zero(); NV]; SIZE];
        let (mut w, mut ahead) = (tile.weights, tile.ahead);
        fetch_results(NV * V::LANES, tile, finish, map);
        for segment in 0..tile.segments {
            let rows = tile.rows.add(segment * SIZE);
            w = match channels_at_once(V::REGISTERS, NV) {
                4 => channels::<V, SIZE, NV, 4, PAIRS>(&mut sums, rows, tile, w, &mut ahead),
                2 => channels::<V, SIZE, NV, 2, PAIRS>(&mut sums, rows, tile, w, &mut ahead),
                _ => channels::<V, SIZE, NV, 1, PAIRS>(&mut sums, rows, tile, w, &mut ahead),
            };
        }
        store::<V, SIZE, NV>(&sums, tile, finish, map);
    }
}

/// Asks for the elements of `channels` that finishing will add and write, which the multiplications give time to arrive.
#[inline(always)]
unsafe fn fetch_results<E>(channels: usize, tile: &Tile, finish: &Finish, map: &Map<E>) {
    for px in 0..tile.count {
        // SAFETY: the caller's promise.
        let pixel = unsafe { *tile.outs.add(px) };
        let at = pixel * finish.channels + tile.channel;
        for c in (0..channels).step_by(LINE * size_of::<f32>() / size_of::<E>()) {
            fetch(map.y.wrapping_add(at + pixel * finish.gap + c));
            if !map.residual.is_null() {
                fetch(map.residual.wrapping_add(at + c));
            }
        }
    }
}

/// Adds the products of one run, `STEP` channels at a time; returns where the next run's weights begin.
#[inline(always)]
unsafe fn channels<V: Vector, const SIZE: usize, const NV: usize, const STEP: usize, const PAIRS: bool>(
    sums: &mut [[V; NV]; SIZE],
    rows: *const *const f32,
    tile: &Tile,
    mut w: *const f32,
    ahead: &mut [Ahead; 2],
) -> *const f32 {
    let end = tile.from + tile.len;
    let mut c = tile.from;
    // SAFETY: the caller's promise; channels stay below the run's end.
    unsafe {
        // Read once, even where nothing may move across a row's products.
        let mut starts = [std::ptr::null(); SIZE];
        for px in 0..SIZE {
            starts[px] = *rows.add(px);
        }
        while c + STEP <= end {
            ahead[0].fetch();
            ahead[1].fetch();
            add_products!(V, sums[SIZE][NV], STEP, w, false, PAIRS, |px| starts[px].add(c));
            w = w.add(STEP * NV * V::LANES);
            c += STEP;
        }
        while c < end {
            const ONE: usize = 1;
            add_products!(V, sums[SIZE][NV], ONE, w, false, PAIRS, |px| starts[px].add(c));
            w = w.add(NV * V::LANES);
            c += 1;
        }
    }
    w
}

/// Finishes and stores the sums.
#[inline(always)]
unsafe fn store<V: Vector, const SIZE: usize, const NV: usize>(
    sums: &[[V; NV]; SIZE],
    tile: &Tile,
    finish: &Finish,
    map: &Map<f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut bias = [V::zero(); NV];
        if !finish.bias.is_null() {
            for (v, bias) in bias.iter_mut().enumerate() {
                *bias = load_part(finish.bias.add(tile.channel), v, tile.width);
            }
        }
        let floor = V::splat(activation::floor(finish.act));
        unroll!(px < SIZE; {
            if px < tile.count {
                let pixel = *tile.outs.add(px);
                let at = pixel * finish.channels + tile.channel;
                let to = map.y.add(at + pixel * finish.gap);
                for v in 0..NV {
                    let mut y = sums[px][v].add(bias[v]);
                    if !map.residual.is_null() {
                        y = y.add(load_part(map.residual.add(at), v, tile.width));
                    }
                    store_part(to, v, tile.width, floor.max(y));
                }
            }
        });
    }
}
