//! Drives operations on whole images, one vector of channels at a time: the columns of `[images, pixels, channels]`.

use std::ops::Range;

use super::strided::{Strided, StridedMut, strided, strided_mut};
use crate::ctx::Ctx;
use crate::memory::{Dst, Src};
use crate::simd::{Access, Element, First, Full, Simd, Vector, Work};
use crate::threads::chunk;

/// Computes one vector of channels of one image, all its pixels.
pub(crate) trait ColumnOp: Sync {
    /// Computes it. Maps are `[images, pixels, channels]`, of which the column gives access to its own elements.
    fn column<V: Vector>(&self, column: Column<V, impl Access>);
}

/// A vector of channels of one image. It is its thread's alone, so there may be one value only for each.
pub(crate) struct Column<V, A> {
    /// What makes vectors.
    pub simd: Simd<V>,
    access: A,
    image: usize,
    c: usize,
    /// Of an image, and channels.
    size: [usize; 2],
}

impl<V: Vector, A: Access> Column<V, A> {
    /// Which elements of `[images, channels]` these are.
    #[inline(always)]
    pub fn range(&self) -> Range<usize> {
        let first = self.image * self.size[1] + self.c;
        first..first + self.access.count::<V>()
    }

    /// The vector of a view `[images, channels]`.
    ///
    /// # Panics
    /// When it is shorter.
    #[inline(always)]
    pub fn load<E: Element>(&self, view: Src<'_, E>) -> V {
        let part = view.part(self.range());
        // SAFETY: as many elements as the column has.
        unsafe { self.access.load(self.simd, part.ptr()) }
    }

    /// Stores the vector of a view `[images, channels]`.
    ///
    /// # Panics
    /// When it is shorter.
    #[inline(always)]
    pub fn store<E: Element>(&self, view: Dst<'_, E>, v: V) {
        let part = view.part(self.range());
        // SAFETY: as many elements as the column has, and this thread's.
        unsafe { self.access.store(v, part.ptr()) }
    }

    /// The vectors of some pixels of a map.
    ///
    /// # Panics
    /// When it is shorter.
    #[inline(always)]
    pub fn pixels<'a, E: Element>(&self, map: Src<'a, E>, pixels: Range<usize>) -> Strided<'a, V, A, E> {
        let [per_image, channels] = self.size;
        let first = (self.image * per_image + pixels.start) * channels + self.c;
        strided(self.simd, self.access, map, [first, channels, pixels.len()])
    }

    /// The places of all pixels of a map.
    ///
    /// # Panics
    /// When it is shorter.
    #[inline(always)]
    pub fn pixels_mut<'a, E: Element>(&self, map: Dst<'a, E>) -> StridedMut<'a, V, A, E> {
        let [pixels, channels] = self.size;
        let first = self.image * pixels * channels + self.c;
        // SAFETY: the column is this thread's.
        unsafe { strided_mut(self.access, map, [first, channels, pixels]) }
    }
}

/// Applies `op` to all columns, each thread to its share of them.
pub(crate) fn for_columns(ctx: &Ctx<'_>, [images, pixels, channels]: [usize; 3], op: &impl ColumnOp) {
    ctx.parallel(images * pixels * channels, &|thread| {
        let columns = Columns::chunk(ctx, images, channels, thread);
        ctx.isa.dispatch(ForColumns { columns, size: [pixels, channels], op });
    });
}

/// One thread's part of `[images, vectors of channels]`, counted through: a single image is split too.
pub(crate) struct Columns {
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
    /// Pixels of an image, and channels.
    size: [usize; 2],
    op: &'a O,
}

impl<O: ColumnOp> Work for ForColumns<'_, O> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, simd: Simd<V>) {
        let size @ [_, channels] = self.size;
        for i in self.columns.range.clone() {
            let (image, c) = self.columns.place(i);
            let left = channels - c;
            if left < V::LANES {
                self.op.column(Column { simd, access: First::new::<V>(left), image, c, size });
            } else {
                self.op.column(Column { simd, access: Full, image, c, size });
            }
        }
    }
}
