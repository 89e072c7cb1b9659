//! Where the pixels of patches lie: the 4x4 or 2x2 pixels of a convolution's result, and the 6x6 or 4x4 of its input that they
//! are made of.

// Loops over constant ranges stay index loops, as in the register tiles: LLVM unrolls those early.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::size::Size;
use crate::error::Result;
use crate::memory::{LINE, Memory, fetch};
use crate::simd::{Simd, Vector};

/// Rows of patches, yielded evenly over the steps of the work meanwhile.
pub struct Spread {
    rows: Range<usize>,
    count: usize,
    due: usize,
    steps: usize,
    size: Size,
}

impl Spread {
    /// The rows of these patches over so many steps.
    pub fn new(patches: &Range<usize>, size: Size, steps: usize) -> Self {
        let rows = patches.start * size.output()..patches.end * size.output();
        Spread { count: rows.len(), rows, due: 0, steps, size }
    }

    /// Calls `f` with the patches and rows that are due in the next step.
    #[inline(always)]
    pub fn step(&mut self, mut f: impl FnMut(usize, usize)) {
        self.due += self.count;
        while self.due >= self.steps {
            self.due -= self.steps;
            let Some(row) = self.rows.next() else { return };
            f(row / self.size.output(), row % self.size.output());
        }
    }
}

/// The patches of a 3x3 convolution of stride 1, image by image and row by row.
pub struct Patches {
    size: Size,
    images: usize,
    /// Rows and columns of the map that is read.
    input: [usize; 2],
    /// Rows and columns of the result.
    output: [usize; 2],
    /// Zeros around the map that is read.
    padding: [usize; 2],
    /// Rows and columns of patches in an image.
    grid: [usize; 2],
    /// Stands for the pixels that a map does not have.
    zeros: Memory,
}

impl Patches {
    /// Patches of maps of at most `channels` channels.
    pub fn new(
        size: Size,
        images: usize,
        input: [usize; 2],
        output: [usize; 2],
        padding: [usize; 2],
        channels: usize,
    ) -> Result<Self> {
        let grid = output.map(|pixels| pixels.div_ceil(size.output()));
        Ok(Patches { size, images, input, output, padding, grid, zeros: Memory::floats(channels)? })
    }

    /// Patches of all images.
    pub fn count(&self) -> usize {
        self.images * self.grid[0] * self.grid[1]
    }

    /// Pixels of the map that is read, and of the result.
    pub fn pixels(&self) -> [usize; 2] {
        [self.input, self.output].map(|[rows, cols]| self.images * rows * cols)
    }

    /// Rows and columns of the result.
    pub fn output(&self) -> [usize; 2] {
        self.output
    }

    /// Image, first row and first column of the output pixels of a patch.
    #[inline(always)]
    pub fn place(&self, patch: usize) -> [usize; 3] {
        let [rows, cols] = self.grid;
        let out = self.size.output();
        [patch / cols / rows, patch / cols % rows * out, patch % cols * out]
    }

    /// The pixels under a patch, of the map of so many channels that is read.
    #[inline(always)]
    pub fn inputs<const IN: usize>(
        &self,
        map: *const f32,
        channels: usize,
        patch: usize,
    ) -> [[*const f32; IN]; IN] {
        let [image, row, col] = self.place(patch);
        // Above the image these wrap, and are too large as well.
        let first = [row.wrapping_sub(self.padding[0]), col.wrapping_sub(self.padding[1])];
        self.around(map, channels, image, first, self.input)
    }

    /// The pixels of a patch of the result, or of its gradient, of so many channels.
    #[inline(always)]
    pub fn outputs<const OUT: usize>(
        &self,
        map: *const f32,
        channels: usize,
        patch: usize,
    ) -> [[*const f32; OUT]; OUT] {
        let [image, row, col] = self.place(patch);
        self.around(map, channels, image, [row, col], self.output)
    }

    /// The pixel of the map that is read, and that of the result, at the first pixel of a patch's row of patches.
    pub fn firsts(&self, patch: usize) -> [usize; 2] {
        let [image, row, _] = self.place(patch);
        [self.input, self.output].map(|[rows, cols]| (image * rows + row) * cols)
    }

    /// Asks for a row of the pixels at a patch's place in the map that is read. What else a patch has lies at the places of
    /// other patches.
    #[inline(always)]
    pub fn fetch_input(&self, map: *const f32, channels: usize, patch: usize, row: usize) {
        self.fetch(map, channels, 0..channels, patch, row, self.input);
    }

    /// The same for some channels of a map as large as the result, whose pixels are `stride` floats apart.
    #[inline(always)]
    pub fn fetch_output(
        &self,
        map: *const f32,
        stride: usize,
        channels: Range<usize>,
        patch: usize,
        row: usize,
    ) {
        self.fetch(map, stride, channels, patch, row, self.output);
    }

    #[inline(always)]
    fn fetch(
        &self,
        map: *const f32,
        stride: usize,
        channels: Range<usize>,
        patch: usize,
        y: usize,
        size: [usize; 2],
    ) {
        let [image, row, col] = self.place(patch);
        if row + y >= size[0] {
            return;
        }
        let first = (image * size[0] + row + y) * size[1] + col;
        for pixel in first..first + self.size.output().min(size[1].saturating_sub(col)) {
            let pixel = map.wrapping_add(pixel * stride);
            for c in channels.clone().step_by(LINE) {
                fetch(pixel.wrapping_add(c));
            }
        }
    }

    /// The pixels of a square; zeros where the map of this size has none.
    #[inline(always)]
    fn around<const N: usize>(
        &self,
        map: *const f32,
        channels: usize,
        image: usize,
        first: [usize; 2],
        size: [usize; 2],
    ) -> [[*const f32; N]; N] {
        let zeros: *const f32 = self.zeros.bytes().as_ptr().cast();
        let mut pixels = [[zeros; N]; N];
        for (y, pixels) in pixels.iter_mut().enumerate() {
            let y = first[0].wrapping_add(y);
            for (x, pixel) in pixels.iter_mut().enumerate() {
                let x = first[1].wrapping_add(x);
                if y < size[0] && x < size[1] {
                    *pixel = map.wrapping_add(((image * size[0] + y) * size[1] + x) * channels);
                }
            }
        }
        pixels
    }
}

/// A vector of each pixel, from channel `c` on.
///
/// # Safety
/// The pixels have these channels.
#[inline(always)]
pub unsafe fn load_pixels<V: Vector, const N: usize>(
    simd: Simd<V>,
    pixels: &[[*const f32; N]; N],
    c: usize,
) -> [[V; N]; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut vectors = [[simd.zero(); N]; N];
        for y in 0..N {
            for x in 0..N {
                vectors[y][x] = simd.load(pixels[y][x].add(c));
            }
        }
        vectors
    }
}
