//! The innermost loops: register tiles of a convolution; those of its filter gradient are in `correlate`.
//!
//! A tile is `SIZE` scalars (pixels, or input channels in the filter gradient) times `NV` vectors of output channels,
//! all of whose sums stay in registers. Six scalars by four 512-bit vectors take 24 of 32 registers and need 10 loads
//! for 24 multiply-adds; where there are fewer channels, 8 by three, 12 by two or 24 by one do the same with all lanes in
//! use and more loads.

// Loops over constant ranges stay index loops: see `multiply`.
#![allow(clippy::needless_range_loop)]

use std::mem::MaybeUninit;

use super::epilogue::{Map, Maps, Place, TileEpilogue, activate, narrow};
use super::multiply::{add_products, before_later_loads, multiply_add, unroll};
use super::shape::{channels_at_once, fits, one_by_one, with_tile};
use crate::memory::{Ahead, LINE, fetch};
use crate::pointwise::activation;
use crate::simd::{Simd, Vector, Work, load_part, store_part};

/// One tile of a convolution.
#[derive(Clone, Copy)]
pub(in crate::conv) struct Tile {
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
    /// Where its sums go.
    pub to: Place,
    /// What is fetched that later tiles read, in two places, with every few channels.
    pub ahead: [Ahead; 2],
}

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

/// Computes and stores a tile of `size` pixels (one of [`Shape::covering`](super::shape::Shape::covering)) by `vectors`
/// vectors, multiplying floats or pairs.
///
/// # Safety
/// Pointers are valid for the sizes given; where `BF16_DOT`, as [`Vector::dot_bf16`].
#[inline(always)]
pub(in crate::conv) unsafe fn convolve<V: Vector, const BF16_DOT: bool>(
    simd: Simd<V>,
    size: usize,
    vectors: usize,
    tile: &Tile,
    epilogue: &TileEpilogue,
) {
    let late = activation::late(epilogue.act);
    let mut sums = [MaybeUninit::<f32>::uninit(); TILE_FLOATS];
    let sums: *mut f32 = sums.as_mut_ptr().cast();
    let width = vectors * V::LANES;
    // What is stored as bf16 is first a small map of its own: so epilogue it, which is long, stands here once, not with each
    // size of a tile.
    let own = (
        Tile { to: Place { outs: OWN_PIXELS.as_ptr(), channel: 0, width, ..tile.to }, ..*tile },
        TileEpilogue { bias: std::ptr::null(), act: None, channels: width, gap: 0, ..*epilogue },
        Map { y: sums, residual: std::ptr::null() },
    );
    // SAFETY: the caller's promise; there is room for the largest tile.
    unsafe {
        let (inner, sums_epilogue, map) = match epilogue.maps {
            Maps::F32(map) => (*tile, *epilogue, map),
            Maps::Bf16(map) => {
                fetch_results(width, &tile.to, epilogue, &map);
                own
            }
        };
        with_tile!((size, vectors), apart::<V, BF16_DOT>(simd, &inner, &sums_epilogue, &map));
        match (epilogue.maps, late) {
            (Maps::F32(map), Some(act)) => activate::<V>(simd, vectors, &tile.to, epilogue, act, map.y),
            (Maps::F32(_), None) => {}
            (Maps::Bf16(map), _) => narrow::<V>(simd, vectors, &tile.to, epilogue, &map, sums),
        }
    }
}

/// A tile of one size.
struct TileWork<'a, const SIZE: usize, const NV: usize, const BF16_DOT: bool> {
    tile: &'a Tile,
    epilogue: &'a TileEpilogue,
    map: &'a Map<f32>,
}

impl<const SIZE: usize, const NV: usize, const BF16_DOT: bool> Work for TileWork<'_, SIZE, NV, BF16_DOT> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: the promise of `apart`'s caller.
        unsafe { convolve_tile::<V, SIZE, NV, BF16_DOT>(simd, self.tile, self.epilogue, self.map) }
    }
}

#[inline(always)]
unsafe fn apart<V: Vector, const SIZE: usize, const NV: usize, const BF16_DOT: bool>(
    simd: Simd<V>,
    tile: &Tile,
    epilogue: &TileEpilogue,
    map: &Map<f32>,
) {
    let work = TileWork::<SIZE, NV, BF16_DOT> { tile, epilogue, map };
    if BF16_DOT {
        // SAFETY: the caller's promise.
        unsafe { V::apart_with_pairs(simd, work) }
    } else {
        V::apart(simd, work);
    }
}

#[inline(always)]
unsafe fn convolve_tile<V: Vector, const SIZE: usize, const NV: usize, const BF16_DOT: bool>(
    simd: Simd<V>,
    tile: &Tile,
    epilogue: &TileEpilogue,
    map: &Map<f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[simd.zero(); NV]; SIZE];
        let (mut w, mut ahead) = (tile.weights, tile.ahead);
        fetch_results(NV * V::LANES, &tile.to, epilogue, map);
        for segment in 0..tile.segments {
            let rows = tile.rows.add(segment * SIZE);
            w = match channels_at_once(V::REGISTERS, NV) {
                4 => channels::<V, SIZE, NV, 4, BF16_DOT>(&mut sums, rows, tile, w, &mut ahead),
                2 => channels::<V, SIZE, NV, 2, BF16_DOT>(&mut sums, rows, tile, w, &mut ahead),
                _ => channels::<V, SIZE, NV, 1, BF16_DOT>(&mut sums, rows, tile, w, &mut ahead),
            };
        }
        store::<V, SIZE, NV>(simd, &sums, &tile.to, epilogue, map);
    }
}

/// Asks for the elements of `channels` that epilogue will add and write, which the multiplications give time to arrive.
#[inline(always)]
unsafe fn fetch_results<E>(channels: usize, place: &Place, epilogue: &TileEpilogue, map: &Map<E>) {
    for px in 0..place.count {
        // SAFETY: the caller's promise.
        let pixel = unsafe { *place.outs.add(px) };
        let at = pixel * epilogue.channels + place.channel;
        for c in (0..channels).step_by(LINE * size_of::<f32>() / size_of::<E>()) {
            fetch(map.y.wrapping_add(at + pixel * epilogue.gap + c));
            if !map.residual.is_null() {
                fetch(map.residual.wrapping_add(at + c));
            }
        }
    }
}

/// Adds the products of one run, `STEP` channels at a time; returns where the next run's weights begin.
#[inline(always)]
unsafe fn channels<V: Vector, const SIZE: usize, const NV: usize, const STEP: usize, const BF16_DOT: bool>(
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
            add_products!(V, sums[SIZE][NV], STEP, w, false, BF16_DOT, |px| starts[px].add(c));
            w = w.add(STEP * NV * V::LANES);
            c += STEP;
        }
        while c < end {
            const ONE: usize = 1;
            add_products!(V, sums[SIZE][NV], ONE, w, false, BF16_DOT, |px| starts[px].add(c));
            w = w.add(NV * V::LANES);
            c += 1;
        }
    }
    w
}

/// Finishes and stores the sums.
#[inline(always)]
unsafe fn store<V: Vector, const SIZE: usize, const NV: usize>(
    simd: Simd<V>,
    sums: &[[V; NV]; SIZE],
    place: &Place,
    epilogue: &TileEpilogue,
    map: &Map<f32>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut bias = [simd.zero(); NV];
        if !epilogue.bias.is_null() {
            for (v, bias) in bias.iter_mut().enumerate() {
                *bias = load_part(simd, epilogue.bias.add(place.channel), v, place.width);
            }
        }
        let floor = simd.splat(activation::floor(epilogue.act));
        unroll!(px < SIZE; {
            if px < place.count {
                let pixel = *place.outs.add(px);
                let at = pixel * epilogue.channels + place.channel;
                let to = map.y.add(at + pixel * epilogue.gap);
                for v in 0..NV {
                    let mut y = sums[px][v].add(bias[v]);
                    if !map.residual.is_null() {
                        y = y.add(load_part(simd, map.residual.add(at), v, place.width));
                    }
                    store_part(to, v, place.width, floor.max(y));
                }
            }
        });
    }
}
