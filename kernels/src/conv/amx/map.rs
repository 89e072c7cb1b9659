//! The map that a convolution reads, copied with its zeros around it so that the inputs of all outputs lie at the same
//! distances: then output pixels in reading order are the rows of a matrix whose columns every tap finds at an offset of
//! its own, and a tile of `A` is loaded straight from the copy.
//!
//! Output rows and images follow each other without a break: a row is `pitch` pixels of the copy long, its zeros on the
//! right are those on the left of the next one, and so with images. The few products between rows and images belong to no
//! output. With a stride the rows of the copy are sorted by their residue, so that the outputs' inputs stay adjacent.

use crate::conv::window::Tap;

/// One dimension of the map.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Input pixels.
    pub size: usize,
    /// Output pixels (of the largest phase).
    pub grid: usize,
    /// Pixels of the copy between output pixels.
    pub step: usize,
    /// Input pixels between pixels of the copy: more than one only where nothing between them is read.
    pub pick: usize,
    /// The input pixel that the copy begins with; negative in the padding.
    pub first: isize,
    /// Largest distance of a tap from the first.
    pub span: usize,
    /// Pixels of the copy from one image or row to the next: a multiple of `step`.
    pub pitch: usize,
    /// Per phase: taps that meet the input somewhere, with their distance from `first`.
    pub phases: Vec<Vec<(usize, usize)>>,
}

impl Axis {
    /// An axis of `size` input pixels under `grid` output pixels that are `step` apart; `phases` are the sets of taps that
    /// are read on it, one for a forward convolution.
    pub fn new(size: usize, grid: usize, step: usize, phases: &[Vec<Tap>]) -> Self {
        let last = ((grid - 1) * step) as isize;
        let meets = |place: isize| place < size as isize && place + last >= 0;
        let met: Vec<Vec<Tap>> =
            phases.iter().map(|taps| taps.iter().copied().filter(|tap| meets(tap.1)).collect()).collect();
        let places = || met.iter().flatten().map(|tap| tap.1);
        let first = places().min().unwrap_or(0);
        let span = (places().max().unwrap_or(first) - first) as usize;
        let phases =
            met.iter().map(|taps| taps.iter().map(|&(k, at)| (k, (at - first) as usize)).collect()).collect();
        // With one tap, what lies between its inputs is not needed.
        let (pick, step) = if span == 0 { (step, 1) } else { (1, step) };
        let need = (grid - 1) * step + span + 1;
        let lead = usize::try_from(-first).unwrap_or(0).div_ceil(pick);
        let end = usize::try_from(size as isize - first).unwrap_or(0).div_ceil(pick);
        let pitch = end.min(need).max(need.saturating_sub(lead)).max(grid * step).next_multiple_of(step);
        Axis { size, grid, step, pick, first, span, pitch, phases }
    }

    /// Output pixels from one image or row to the next.
    pub fn outputs(&self) -> usize {
        self.pitch / self.step
    }

    /// Pixels of the copy that `count` output pixels need.
    pub fn need(&self, count: usize) -> usize {
        (count - 1) * self.step + self.span + 1
    }

    /// The input pixel of pixel `at` of a copy that begins under output pixel `start`.
    #[inline(always)]
    pub fn input(&self, start: usize, at: usize) -> Option<usize> {
        let place = self.first + ((start * self.step + at) * self.pick) as isize;
        usize::try_from(place).ok().filter(|&place| place < self.size)
    }
}

/// Both dimensions of a map, and how many images it has.
#[derive(Debug, Clone)]
pub struct Map {
    /// Images.
    pub images: usize,
    /// Rows.
    pub rows: Axis,
    /// Columns.
    pub cols: Axis,
    /// Channels.
    pub channels: usize,
    /// How its outputs are cut into bands.
    pub cut: Cut,
}

/// How outputs are cut into bands that are worked on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// So many whole images.
    Images(usize),
    /// So many output rows of one image.
    Rows(usize),
}

/// Outputs that are worked on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// First image.
    pub image: usize,
    /// Images.
    pub images: usize,
    /// First output row in each.
    pub row: usize,
    /// Output rows in each.
    pub rows: usize,
}

impl Map {
    /// A map whose bands need at most `budget` pixels of copy, or as few as there can be; as many bands, of sizes as equal,
    /// as keep `threads` busy alike.
    pub fn new(
        images: usize,
        rows: Axis,
        cols: Axis,
        channels: usize,
        budget: usize,
        threads: usize,
    ) -> Self {
        let image = rows.pitch * cols.pitch;
        let fitting = budget / image;
        let cut = if fitting > 0 && images >= threads {
            let share = images.div_ceil(threads);
            Cut::Images(share.div_ceil(share.div_ceil(fitting)))
        } else {
            let bands = rows.grid.div_ceil((budget / cols.pitch / rows.step).max(1));
            let bands = if images.is_multiple_of(threads) { bands } else { bands.next_multiple_of(threads) };
            Cut::Rows(rows.grid.div_ceil(bands))
        };
        Map { images, rows, cols, channels, cut }
    }

    /// Number of bands.
    pub fn bands(&self) -> usize {
        match self.cut {
            Cut::Images(count) => self.images.div_ceil(count),
            Cut::Rows(count) => self.images * self.rows.grid.div_ceil(count),
        }
    }

    /// The `i`-th band.
    pub fn band(&self, i: usize) -> Band {
        let grid = self.rows.grid;
        match self.cut {
            Cut::Images(count) => {
                let image = i * count;
                Band { image, images: count.min(self.images - image), row: 0, rows: grid }
            }
            Cut::Rows(count) => {
                let per_image = grid.div_ceil(count);
                let row = i % per_image * count;
                Band { image: i / per_image, images: 1, row, rows: count.min(grid - row) }
            }
        }
    }

    /// The largest band.
    pub fn largest(&self) -> Band {
        self.band(0)
    }

    /// Output positions of a band, those between rows and images included.
    pub fn positions(&self, band: Band) -> usize {
        self.positions_of(band, band.rows)
    }

    /// The same up to the end of output row `rows` of the band's last image.
    pub fn positions_of(&self, band: Band, rows: usize) -> usize {
        if rows == 0 {
            return 0;
        }
        ((band.images - 1) * self.rows.outputs() + rows - 1) * self.cols.outputs() + self.cols.grid
    }

    /// Rows of the copy of a band.
    pub fn copy_rows(&self, band: Band) -> usize {
        let rows = (band.images - 1) * self.rows.pitch + self.rows.need(band.rows);
        rows.next_multiple_of(self.rows.step)
    }

    /// Image and input row of row `at` of a band's copy; nothing where it is zeros.
    #[inline(always)]
    pub fn input_row(&self, band: Band, at: usize) -> Option<(usize, usize)> {
        let image = (at / self.rows.pitch).min(band.images - 1);
        let row = self.rows.input(band.row, at - image * self.rows.pitch)?;
        Some((band.image + image, row))
    }

    /// For each output position of the largest band its pixel, relative to the band's first one, in a map of `out` rows and
    /// columns where the outputs of a phase are `step` apart from `origin` on; negative where it is none.
    pub fn outputs(
        &self,
        grid: [usize; 2],
        out: [usize; 2],
        origin: [usize; 2],
        step: [usize; 2],
    ) -> Vec<i32> {
        let band = self.largest();
        let pixel = |position: usize| {
            let (row, col) = (position / self.cols.outputs(), position % self.cols.outputs());
            let (image, row) = (row / self.rows.outputs(), row % self.rows.outputs());
            let limit = if matches!(self.cut, Cut::Images(_)) { grid[0] } else { band.rows };
            let inside = row < limit && col < grid[1];
            let (row, col) = (row * step[0] + origin[0], col * step[1] + origin[1]);
            if inside { ((image * out[0] + row) * out[1] + col) as i32 } else { -1 }
        };
        (0..self.positions(band)).map(pixel).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every tap of every output finds its input, or a zero, in the copy.
    #[test]
    fn every_tap_finds_its_input() {
        for size in 1..9_usize {
            for kernel in 1..5 {
                for (step, padding, dilation) in
                    [(1, 0, 1), (1, 1, 1), (1, 3, 1), (2, 0, 1), (2, 1, 1), (2, 3, 1), (3, 1, 1), (2, 2, 2)]
                {
                    let Some(room) = (size + 2 * padding).checked_sub((kernel - 1) * dilation + 1) else {
                        continue;
                    };
                    let taps: Vec<Tap> =
                        (0..kernel).map(|k| (k, (k * dilation) as isize - padding as isize)).collect();
                    check(&Axis::new(size, room / step + 1, step, &[taps]), step, padding, dilation);
                }
            }
        }
    }

    fn check(axis: &Axis, step: usize, padding: usize, dilation: usize) {
        assert!(axis.outputs() >= axis.grid && axis.pitch.is_multiple_of(axis.step), "{axis:?}");
        // Two rows, one behind the other, as in a map.
        let copy = axis.pitch + axis.need(axis.grid);
        let found = |at: usize| {
            let row = (at / axis.pitch).min(1);
            axis.input(0, at - row * axis.pitch).map(|place| (row, place))
        };
        for row in 0..2 {
            for output in 0..axis.grid {
                for &(k, at) in &axis.phases[0] {
                    let place =
                        (output * step + k * dilation).checked_sub(padding).filter(|&p| p < axis.size);
                    let at = row * axis.pitch + output * axis.step + at;
                    assert!(at < copy);
                    assert_eq!(found(at), place.map(|place| (row, place)), "{axis:?} {output} {k}");
                }
            }
        }
    }

    #[test]
    fn bands_cover_all_outputs_and_share_them_evenly() {
        let axis = || Axis::new(14, 14, 1, &[vec![(0, -1), (1, 0), (2, 1)]]);
        for (images, budget, threads, bands) in
            [(1, 1 << 20, 2, 2), (8, 700, 2, 4), (1, 60, 1, 4), (3, 1 << 20, 2, 2)]
        {
            let map = Map::new(images, axis(), axis(), 8, budget, threads);
            assert_eq!(map.bands(), bands, "{images} {budget}");
            let rows: usize = (0..bands).map(|i| map.band(i)).map(|band| band.images * band.rows).sum();
            assert_eq!(rows, images * 14);
        }
    }
}
