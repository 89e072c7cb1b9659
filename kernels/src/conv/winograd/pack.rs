//! Transformed weights: `[panel][point][channel read][channel written]`.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::size::Size;
use super::transform::weights_patch;
use crate::conv::problem::Operation;
use crate::conv::tile::panels::Panels;
use crate::memory::{Dst, Src};
use crate::simd::{Simd, Vector, Work};

/// One thread's share of packing: `items` are pairs of a panel and a channel read.
pub struct Packing<'a> {
    /// Of the patches.
    pub size: Size,
    /// Which convolution the weights are for.
    pub operation: Operation,
    /// Channels written, the depth being those read.
    pub panels: Panels,
    /// HWIO weights.
    pub weight: Src<'a, f32>,
    /// As the convolution reads them.
    pub packed: Dst<'a, f32>,
    /// What is packed.
    pub items: Range<usize>,
}

impl Work for Packing<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        // SAFETY: lengths were checked where the work was made.
        unsafe {
            match self.size {
                Size::Four => self.pack::<V, 6>(simd),
                Size::Two => self.pack::<V, 4>(simd),
            }
        }
    }
}

impl Packing<'_> {
    #[inline(always)]
    unsafe fn pack<V: Vector, const IN: usize>(&self, simd: Simd<V>) {
        let Packing { panels, .. } = *self;
        let reads = panels.depth;
        for item in self.items.clone() {
            let (panel, read) = (item / reads, item % reads);
            let (_, vectors) = panels.size(panel);
            for v in 0..vectors {
                let first = panel * panels.shape.width() + v * V::LANES;
                let to = IN * IN * panels.offset(0, panel) + (read * vectors + v) * V::LANES;
                // SAFETY: the channels are below those written, whose number fills vectors.
                unsafe {
                    let taps = self.taps::<V>(simd, read, first);
                    let to = self.packed.ptr().add(to);
                    let points = weights_patch::<V, IN>(&taps);
                    for point in 0..IN * IN {
                        let plane = point * reads * vectors * V::LANES;
                        points[point / IN][point % IN].store(to.add(plane));
                    }
                }
            }
        }
    }

    /// The kernels from channel `read` to those from `first` on, one vector per tap.
    #[inline(always)]
    unsafe fn taps<V: Vector>(&self, simd: Simd<V>, read: usize, first: usize) -> [[V; 3]; 3] {
        let Panels { channels: writes, depth: reads, .. } = self.panels;
        let weight = self.weight.ptr();
        // SAFETY: the caller's promise.
        unsafe {
            let mut taps = [[simd.zero(); 3]; 3];
            for (row, taps) in taps.iter_mut().enumerate() {
                for (col, tap) in taps.iter_mut().enumerate() {
                    *tap = match self.operation {
                        Operation::Forward => {
                            simd.load(weight.add(((row * 3 + col) * reads + read) * writes + first))
                        }
                        Operation::BackwardData => {
                            let turned = (2 - row) * 3 + 2 - col;
                            let mut lanes = [0.0; 16];
                            for (i, lane) in lanes.iter_mut().enumerate().take(V::LANES) {
                                *lane = *weight.add((turned * writes + first + i) * reads + read);
                            }
                            simd.load(lanes.as_ptr())
                        }
                    };
                }
            }
            taps
        }
    }
}
