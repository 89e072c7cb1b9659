//! Drives operations on whole images, one vector of channels at a time: the columns of `[images, pixels, channels]`.

use std::ops::Range;

use crate::cpu::ctx::Ctx;
use crate::cpu::simd::{Access, First, Full, Vector, Work};
use crate::cpu::threads::chunk;

/// Computes one vector of channels of one image, all its pixels.
///
/// # Safety
/// Dispatched as [`Vector`] demands; image and channels exist, `lanes` of them from `c` on, and are this thread's.
pub(in crate::cpu) trait ColumnOp: Sync {
    unsafe fn column<V: Vector>(&self, access: impl Access, image: usize, c: usize, lanes: usize);
}

/// Applies `op` to all columns, each thread to its share of them.
pub(in crate::cpu) fn for_columns(ctx: &Ctx<'_>, [images, pixels, channels]: [usize; 3], op: &impl ColumnOp) {
    ctx.parallel(images * pixels * channels, &|thread| {
        let columns = Columns::chunk(ctx, images, channels, thread);
        ctx.isa.dispatch(ForColumns { columns, channels, op });
    });
}

/// One thread's part of `[images, vectors of channels]`, counted through: a single image is split too.
pub(in crate::cpu) struct Columns {
    /// Columns of this thread.
    pub range: Range<usize>,
    /// Columns of an image.
    pub per_image: usize,
    lanes: usize,
}

impl Columns {
    pub fn chunk(ctx: &Ctx<'_>, images: usize, channels: usize, thread: usize) -> Self {
        let lanes = ctx.isa.lanes();
        let per_image = channels.div_ceil(lanes);
        let range = chunk(images * per_image, 1, thread, ctx.threads.count());
        Columns { range, per_image, lanes }
    }

    /// `(image, first channel)` of column `i`.
    #[inline(always)]
    pub fn place(&self, i: usize) -> (usize, usize) {
        (i / self.per_image, i % self.per_image * self.lanes)
    }
}

struct ForColumns<'a, O> {
    columns: Columns,
    channels: usize,
    op: &'a O,
}

impl<O: ColumnOp> Work for ForColumns<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for i in self.columns.range.clone() {
            let (image, c) = self.columns.place(i);
            let left = self.channels - c;
            // SAFETY: the column is this thread's; no channel beyond the last is touched.
            unsafe {
                if left < V::LANES {
                    self.op.column::<V>(First(left), image, c, left);
                } else {
                    self.op.column::<V>(Full, image, c, V::LANES);
                }
            }
        }
    }
}
