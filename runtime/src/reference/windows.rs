//! Sliding windows as a matrix, and back: convolutions and poolings are plain tensor operations on it.

use candle_core::{Device, Result, Tensor};

/// Windows sliding over the images of a batch; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub images: usize,
    pub channels: usize,
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Rows and columns of windows.
    pub out: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

impl Windows {
    /// Taps of a window.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Windows of all images.
    pub fn count(&self) -> usize {
        self.images * self.out[0] * self.out[1]
    }

    /// Rows (or columns) of the bordered image: all that any window touches, and the image itself.
    fn bordered(&self, axis: usize) -> usize {
        let last = (self.out[axis] - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis];
        (last + 1).max(self.size[axis] + self.padding[axis])
    }

    /// Rows (or columns) of the bordered image that a tap reads, one per window.
    fn positions(&self, axis: usize, tap: usize, device: &Device) -> Result<Tensor> {
        let at = |i: usize| (i * self.stride[axis] + tap * self.dilation[axis]) as u32;
        Tensor::from_vec((0..self.out[axis]).map(at).collect::<Vec<u32>>(), self.out[axis], device)
    }

    /// `[n, c, h, w] -> [c, taps, n * out * out]`; the border reads as `border`.
    pub fn unfold(&self, x: &Tensor, border: f64) -> Result<Tensor> {
        let [h, w] = self.size;
        let mut image = x.reshape((self.images, self.channels, h, w))?.transpose(0, 1)?;
        for axis in 0..2 {
            let (before, dim) = (self.padding[axis], axis + 2);
            let after = self.bordered(axis) - before - self.size[axis];
            image = Tensor::cat(&[filled(&image, dim, before, border)?, image.clone()], dim)?;
            image = Tensor::cat(&[image.clone(), filled(&image, dim, after, border)?], dim)?;
        }
        let image = image.contiguous()?;
        let mut taps = Vec::with_capacity(self.taps());
        for ky in 0..self.kernel[0] {
            let rows = image.index_select(&self.positions(0, ky, x.device())?, 2)?;
            for kx in 0..self.kernel[1] {
                let tap = rows.index_select(&self.positions(1, kx, x.device())?, 3)?;
                taps.push(tap.reshape((self.channels, self.count()))?);
            }
        }
        Tensor::stack(&taps, 1)
    }

    /// The transpose of [`Windows::unfold`] as a linear map: `[c, taps, n * out * out] -> [n, c, h, w]`, each element
    /// added where it was read from.
    pub fn fold(&self, columns: &Tensor) -> Result<Tensor> {
        let (c, n, device) = (self.channels, self.images, columns.device());
        let [height, width] = [self.bordered(0), self.bordered(1)];
        let mut image = Tensor::zeros((c, n, height, width), columns.dtype(), device)?;
        for ky in 0..self.kernel[0] {
            let mut rows = Tensor::zeros((c, n, self.out[0], width), columns.dtype(), device)?;
            for kx in 0..self.kernel[1] {
                let tap = columns.narrow(1, ky * self.kernel[1] + kx, 1)?;
                let tap = tap.contiguous()?.reshape((c, n, self.out[0], self.out[1]))?;
                rows = rows.index_add(&self.positions(1, kx, device)?, &tap, 3)?;
            }
            image = image.index_add(&self.positions(0, ky, device)?, &rows, 2)?;
        }
        let image =
            image.narrow(2, self.padding[0], self.size[0])?.narrow(3, self.padding[1], self.size[1])?;
        image.transpose(0, 1)?.contiguous()
    }
}

/// A tensor like `x`, but with `len` along `dim`, all elements the same.
fn filled(x: &Tensor, dim: usize, len: usize, value: f64) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    dims[dim] = len;
    Tensor::full(value, dims, x.device())?.to_dtype(x.dtype())
}
