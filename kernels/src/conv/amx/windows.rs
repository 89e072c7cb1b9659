//! Rows of taps as channels, for filter gradients of maps with few channels: the channels under a row of taps lie side by side in
//! memory, so a kernel of `[kh, kw]` over `c` channels is one of `[kh, 1]` over `kw * c`, each pixel of which begins
//! a stride behind the one before. Tiles of 16 channels are then nearly full.

use bytemuck::Pod;
use resnetc_compiler::plan::ConvGeometry;

use super::tiles::SIDE;
use crate::ctx::Ctx;
use crate::memory::{Dst, Src};
use crate::threads::chunk;

/// A map's rows, copied with zeros around them, so that windows at the borders lie in memory too.
pub struct Windows {
    /// Rows of all images.
    rows: usize,
    /// Elements of a row of the map.
    size: usize,
    /// Zeros before it.
    lead: usize,
    /// Elements from one window to the next.
    pub step: usize,
    /// Elements of a copied row.
    pub pitch: usize,
}

impl Windows {
    /// The windows of a convolution, and the convolution over them; nothing where tiles are as full without.
    pub fn new(g: &ConvGeometry) -> Option<(Self, ConvGeometry)> {
        let a = &g.attrs;
        let [_, taps] = a.kernel;
        let tiles = |channels: usize| channels.div_ceil(SIDE);
        if a.dilation[1] != 1 || taps * tiles(g.cin) <= tiles(taps * g.cin) {
            return None;
        }
        let step = a.stride[1] * g.cin;
        let windows = Windows {
            rows: g.n * g.h,
            size: g.w * g.cin,
            lead: a.padding[1] * g.cin,
            step,
            pitch: (g.out[1] - 1) * step + taps * g.cin,
        };
        let mut over = *g;
        (over.w, over.cin) = (g.out[1], taps * g.cin);
        (over.attrs.kernel[1], over.attrs.stride[1], over.attrs.padding[1]) = (1, 1, 0);
        Some((windows, over))
    }

    /// Elements of the copy.
    pub fn len(&self) -> usize {
        self.rows * self.pitch
    }

    /// Makes the copy.
    pub fn copy<E: Pod + Sync + Send>(&self, ctx: &Ctx<'_>, map: Src<'_, E>, to: Dst<'_, E>) {
        assert_eq!((map.len(), to.len()), (self.rows * self.size, self.len()), "a map and its windows");
        let threads = ctx.threads.count();
        ctx.threads.run(&|thread| {
            for row in chunk(self.rows, 1, thread, threads) {
                // SAFETY: the row is this thread's, and nothing writes the map.
                let (map, to) = unsafe { (map.slice(), to.slice(row * self.pitch..(row + 1) * self.pitch)) };
                let (before, rest) = to.split_at_mut(self.lead.min(self.pitch));
                let (inside, behind) = rest.split_at_mut(self.size.min(rest.len()));
                before.fill(E::zeroed());
                inside.copy_from_slice(&map[row * self.size..][..inside.len()]);
                behind.fill(E::zeroed());
            }
        });
    }
}
