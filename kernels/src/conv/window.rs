//! Which input pixels each output pixel of a convolution reads, as pointers: no im2col, no padded copy of the input.

use std::ops::Range;

/// A row of taps becomes one run of the input while it has at most this many floats: then pointers are worth saving, and
/// copying the runs that cross the image's border costs little.
pub(super) const MERGE_FLOATS: usize = 64;

/// A run of input pixels under an output pixel: one tap of the kernel, or a whole row of taps that lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Rows below `step * output row`.
    row: isize,
    /// Columns right of `step * output column` where the run begins.
    col: isize,
}

/// A tap of the kernel in one dimension: its index, and its place relative to `step * output index`.
pub(super) type Tap = (usize, isize);

/// A dense grid of output pixels with one set of taps: a whole forward convolution, or one phase of a strided
/// backward-data convolution (the input pixels of one residue modulo the stride).
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Images.
    pub images: usize,
    /// Rows and columns of the map that is read.
    pub input: [usize; 2],
    /// Channels of the map that is read.
    pub channels: usize,
    /// Rows and columns of output pixels.
    pub grid: [usize; 2],
    /// Input pixels between neighbours of the grid.
    pub step: [usize; 2],
    /// Rows and columns of the map that is written.
    pub out: [usize; 2],
    /// Where in it the grid begins.
    pub origin: [usize; 2],
    /// Pixels of it between neighbours of the grid.
    pub out_step: [usize; 2],
    /// Runs under each output pixel, in the order of the packed weights.
    segments: Vec<Segment>,
    /// Input pixels in a run: 1, or the width of the kernel.
    run: usize,
    /// Offsets of all taps: rows and columns, first and last.
    reach: [[isize; 2]; 2],
}

impl Window {
    /// Completes a window whose taps are all pairs of `rows` and `cols`, each ordered by place. With `merge`, taps
    /// that lie side by side become one run.
    pub fn with_taps(mut self, rows: &[Tap], cols: &[Tap], merge: bool) -> Self {
        let adjacent = cols.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1);
        self.run = if merge && adjacent { cols.len().max(1) } else { 1 };
        self.segments = rows
            .iter()
            .flat_map(|&(_, row)| cols.iter().step_by(self.run).map(move |&(_, col)| Segment { row, col }))
            .collect();
        let ends = |taps: &[Tap]| [taps.first().map_or(0, |t| t.1), taps.last().map_or(0, |t| t.1)];
        self.reach = [ends(rows), ends(cols)];
        self
    }

    /// A window without taps yet.
    #[allow(clippy::too_many_arguments)] // the fields, by name at the two callers
    pub fn new(
        images: usize,
        input: [usize; 2],
        channels: usize,
        grid: [usize; 2],
        step: [usize; 2],
        out: [usize; 2],
        origin: [usize; 2],
        out_step: [usize; 2],
    ) -> Self {
        let (segments, run, reach) = (Vec::new(), 1, [[0; 2]; 2]);
        Window { images, input, channels, grid, step, out, origin, out_step, segments, run, reach }
    }

    /// Output pixels of all images.
    pub fn pixels(&self) -> usize {
        self.images * self.grid[0] * self.grid[1]
    }

    /// Runs under an output pixel.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Input pixels in a run.
    pub fn run(&self) -> usize {
        self.run
    }

    /// Floats between the inputs of neighbouring output pixels, if those are the map's pixels one by one.
    pub fn contiguous(&self) -> Option<usize> {
        let own = self.step == [1, 1] && self.reach == [[0; 2]; 2] && self.grid == self.input;
        (own && self.segments.len() == 1).then_some(self.channels)
    }

    /// Floats of the border buffer that `pixels` output pixels need in [`Window::fill`].
    pub fn edge_len(&self, pixels: usize) -> usize {
        if self.run == 1 { 0 } else { pixels * self.segments.len() * self.run * self.channels }
    }

    /// Floats of the row of zeros that [`Window::fill`] points to.
    pub fn zeros_len(&self) -> usize {
        self.run * self.channels
    }

    /// Calls `f` with each pixel's position in `range`, image, row and column.
    #[inline(always)]
    fn each(&self, range: Range<usize>, mut f: impl FnMut(usize, usize, usize, usize)) {
        let [rows, cols] = self.grid;
        let mut col = range.start % cols;
        let mut row = range.start / cols % rows;
        let mut image = range.start / cols / rows;
        for i in 0..range.len() {
            f(i, image, row, col);
            col += 1;
            if col == cols {
                (col, row) = (0, row + 1);
            }
            if row == rows {
                (row, image) = (0, image + 1);
            }
        }
    }

    /// Writes, for pixel `i` of `pixels` and run `s`, a pointer to the run's first channel to `rows[s * stride + i]`.
    /// Outside of the image it points to `zeros`; a run that is partly outside is copied to `edge`.
    ///
    /// # Safety
    /// `x` is the whole input; `rows` has room for `segments * stride` pointers with `stride >= pixels.len()`, `edge`
    /// for [`Window::edge_len`] floats; `zeros` has [`Window::zeros_len`] of them.
    #[inline(always)]
    pub unsafe fn fill(
        &self,
        pixels: Range<usize>,
        x: *const f32,
        zeros: *const f32,
        rows: *mut *const f32,
        stride: usize,
        edge: *mut f32,
    ) {
        let [h, w] = self.input.map(|size| size as isize);
        let [[top, bottom], [left, right]] = self.reach;
        let channels = self.channels as isize;
        self.each(pixels, |i, image, row, col| {
            let (row, col) = ((row * self.step[0]) as isize, (col * self.step[1]) as isize);
            let image = x.wrapping_add(image * self.input[0] * self.input[1] * self.channels);
            let at = |s: Segment| image.wrapping_offset(((row + s.row) * w + col + s.col) * channels);
            if row + top >= 0 && row + bottom < h && col + left >= 0 && col + right < w {
                for (s, &segment) in self.segments.iter().enumerate() {
                    // SAFETY: `s < segments`, `i < stride`.
                    unsafe { rows.add(s * stride + i).write(at(segment)) };
                }
                return;
            }
            for (s, &segment) in self.segments.iter().enumerate() {
                let first = col + segment.col;
                let inside = row + segment.row >= 0 && row + segment.row < h;
                let pointer = if !inside || first + self.run as isize <= 0 || first >= w {
                    zeros
                } else if first >= 0 && first + self.run as isize <= w {
                    at(segment)
                } else {
                    // SAFETY: one slot per pixel and run; at least one pixel of the run is inside of the row.
                    unsafe {
                        let copy = edge.add((i * self.segments.len() + s) * self.run * self.channels);
                        self.copy_run(at(segment), first, copy);
                        copy
                    }
                };
                // SAFETY: as above.
                unsafe { rows.add(s * stride + i).write(pointer) };
            }
        });
    }

    /// Copies a run that begins at column `first`, zeros for pixels outside of the row.
    #[inline(always)]
    unsafe fn copy_run(&self, from: *const f32, first: isize, to: *mut f32) {
        for k in 0..self.run {
            let column = first + k as isize;
            // SAFETY: the copy has room for `run * channels` floats; pixels inside of the row are readable.
            unsafe {
                let to = to.add(k * self.channels);
                if column >= 0 && column < self.input[1] as isize {
                    from.wrapping_add(k * self.channels).copy_to_nonoverlapping(to, self.channels);
                } else {
                    to.write_bytes(0, self.channels);
                }
            }
        }
    }

    /// Writes the index of each output pixel of `pixels` in the map that is written.
    ///
    /// # Safety
    /// `outs` has room for them.
    #[inline(always)]
    pub unsafe fn fill_outs(&self, pixels: Range<usize>, outs: *mut usize) {
        self.each(pixels, |i, image, row, col| {
            let row = row * self.out_step[0] + self.origin[0];
            let col = col * self.out_step[1] + self.origin[1];
            // SAFETY: `i` counts the pixels.
            unsafe { outs.add(i).write((image * self.out[0] + row) * self.out[1] + col) };
        });
    }
}

/// Taps that meet the input pixels of a phase in one dimension, ordered by place: input pixel `i` and tap `k` belong to
/// the output pixel `(i + padding - k * dilation) / stride` where that is whole; `i = phase + stride * grid index`.
pub(super) fn phase_taps(
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    phase: usize,
) -> Vec<Tap> {
    let place = |k: usize| {
        let distance = (phase + padding) as isize - (k * dilation) as isize;
        let stride = stride as isize;
        (distance % stride == 0).then(|| (k, distance / stride))
    };
    (0..kernel).rev().filter_map(place).collect()
}
