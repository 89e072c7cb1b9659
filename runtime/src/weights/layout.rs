//! Between logical row-major order and the order in memory, and between `f32` and a buffer's element type.

use std::borrow::Cow;

use bytemuck::AnyBitPattern;
use half::{bf16, f16};
use resnetc_compiler::ir::types::{DType, Layout, Shape};
use resnetc_compiler::plan::Buffer;

use super::recipe::{Values, scaled_by};
use crate::error::{Error, Result};

/// The bytes of a buffer that holds `data`, given in logical row-major order.
///
/// # Errors
/// See [`encode_into`].
pub fn encode(buffer: &Buffer, data: &[f32]) -> Result<Vec<u8>> {
    let mut bytes = vec![0; buffer.bytes];
    encode_into(buffer, &Values { data: Cow::Borrowed(data), factors: None }, &mut bytes)?;
    Ok(bytes)
}

/// Writes a buffer's values where they lie, all of `bytes`: scaled, put in order and rounded in one pass.
///
/// # Errors
/// Where there are more or fewer values than elements, or elements are no floating-point numbers.
pub fn encode_into(buffer: &Buffer, values: &Values<'_>, bytes: &mut [u8]) -> Result<()> {
    if Some(values.data.len()) != buffer.shape.numel() {
        return Err(Error::Incompatible(format!(
            "`{}` has shape {}, so it takes {} elements, not {}",
            buffer.name,
            buffer.shape,
            buffer.shape.numel().unwrap_or(usize::MAX),
            values.data.len()
        )));
    }
    let runs = Runs::of(&buffer.shape, buffer.layout);
    match buffer.dtype {
        DType::F32 => runs.write(values, bytes, f32::to_ne_bytes),
        DType::Bf16 => runs.write(values, bytes, |value| bf16::from_f32(value).to_ne_bytes()),
        DType::F16 => runs.write(values, bytes, |value| f16::from_f32(value).to_ne_bytes()),
        DType::U8 | DType::U32 | DType::U64 => return Err(no_floats(buffer)),
    }
    Ok(())
}

/// The elements of a buffer with these bytes, in logical row-major order.
pub fn decode(buffer: &Buffer, bytes: &[u8]) -> Result<Vec<f32>> {
    let stored: Vec<f32> = match buffer.dtype {
        DType::F32 => elements(bytes),
        DType::Bf16 => {
            let halves: Vec<bf16> = elements(bytes);
            halves.into_iter().map(bf16::to_f32).collect()
        }
        DType::F16 => {
            let halves: Vec<f16> = elements(bytes);
            halves.into_iter().map(f16::to_f32).collect()
        }
        DType::U8 | DType::U32 | DType::U64 => return Err(no_floats(buffer)),
    };
    Ok(load(&buffer.shape, buffer.layout, &stored))
}

/// The elements in bytes of any alignment.
pub(super) fn elements<T: AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

fn no_floats(buffer: &Buffer) -> Error {
    Error::Incompatible(format!("`{}` holds {}, no floating-point numbers", buffer.name, buffer.dtype))
}

/// From the order in memory to logical order.
pub fn load(shape: &Shape, layout: Layout, data: &[f32]) -> Vec<f32> {
    let Some(axes) = axes(shape, layout) else { return data.to_vec() };
    let logical = dims(shape);
    let stored = axes.map(|axis| logical[axis]);
    let mut inverse = [0; 4];
    for (position, axis) in axes.into_iter().enumerate() {
        inverse[axis] = position;
    }
    permute(&stored, inverse, data)
}

/// Elements that are written side by side: a cache line of `f32`. Those that are read for them lie far apart, and the next such run reads
/// their neighbours.
const RUN: usize = 16;

/// A tensor's elements from logical order to the order in memory.
struct Runs {
    /// Sizes by axis.
    dims: [usize; 4],
    /// The axis at each position in memory, outermost first.
    axes: [usize; 4],
}

impl Runs {
    fn of(shape: &Shape, layout: Layout) -> Self {
        match axes(shape, layout) {
            Some(axes) => Runs { dims: dims(shape), axes },
            // In order: the first axis, which factors are of, and all others.
            None => {
                let first = shape.0.first().copied().unwrap_or(1);
                let rest = shape.0.iter().skip(1).product();
                Runs { dims: [first, 1, 1, rest], axes: [0, 1, 2, 3] }
            }
        }
    }

    /// Scales, orders and rounds.
    fn write<const N: usize>(&self, values: &Values<'_>, bytes: &mut [u8], round: impl Fn(f32) -> [u8; N]) {
        let (elements, data) = (bytes.as_chunks_mut::<N>().0, &*values.data);
        match &values.factors {
            None => self.visit(|Run { to, from, step, .. }, count| {
                let from = data[from..].iter().step_by(step);
                for (to, &value) in elements[to..to + count].iter_mut().zip(from) {
                    *to = round(value);
                }
            }),
            Some(factors) => self.visit(|Run { to, from, step, first }, count| {
                let from = data[from..].iter().step_by(step);
                // A run goes along the first axis, or lies at one index of it.
                let along = usize::from(self.axes[3] == 0);
                for (index, (to, &value)) in elements[to..to + count].iter_mut().zip(from).enumerate() {
                    *to = round(scaled_by(value, factors[first + index * along]));
                }
            }),
        }
    }

    /// All runs, in such an order that reading goes on where it was.
    fn visit(&self, mut run: impl FnMut(Run, usize)) {
        let [from, to] = [strides(self.dims, [0, 1, 2, 3]), strides(self.dims, self.axes)];
        let last = self.axes[3];
        // What is read side by side needs no cutting.
        let most = if from[last] == 1 { self.dims[last].max(1) } else { RUN };
        let mut outer = [self.axes[0], self.axes[1], self.axes[2]];
        outer.sort_unstable();
        let [a, b, c] = outer;
        for begin in (0..self.dims[last]).step_by(most) {
            let count = most.min(self.dims[last] - begin);
            for i in 0..self.dims[a] {
                for j in 0..self.dims[b] {
                    for k in 0..self.dims[c] {
                        let at = |by: &[usize; 4]| i * by[a] + j * by[b] + k * by[c] + begin * by[last];
                        let first = if last == 0 { begin } else { i };
                        run(Run { to: at(&to), from: at(&from), step: from[last], first }, count);
                    }
                }
            }
        }
    }
}

/// Elements that are written side by side.
struct Run {
    /// Where the first of them is written.
    to: usize,
    /// Where it is read.
    from: usize,
    /// From one that is read to the next.
    step: usize,
    /// Its index on the first axis.
    first: usize,
}

/// Elements from one index of an axis to the next, by axis, where axes lie in that order, outermost first.
fn strides(dims: [usize; 4], order: [usize; 4]) -> [usize; 4] {
    let (mut strides, mut step) = ([0; 4], 1);
    for axis in order.into_iter().rev() {
        strides[axis] = step;
        step *= dims[axis];
    }
    strides
}

/// The logical axis at each position in memory, outermost first; `None` where they are in order.
fn axes(shape: &Shape, layout: Layout) -> Option<[usize; 4]> {
    match (layout, shape.rank()) {
        (Layout::Nhwc, 4) => Some([0, 2, 3, 1]),
        (Layout::Ohwi, 4) => Some([0, 2, 3, 1]),
        // `[cout, cin, kh, kw]` as `[kh][kw][cin][cout]`, `[out, in]` as `[in][out]`.
        (Layout::Hwio, 4 | 2) => Some([2, 3, 1, 0]),
        _ => None,
    }
}

/// Four sizes; missing ones are 1.
fn dims(shape: &Shape) -> [usize; 4] {
    let mut dims = [1; 4];
    dims[..shape.rank()].copy_from_slice(&shape.0);
    dims
}

/// `out[i0][i1][i2][i3]` where the position `p` runs over the axis `axes[p]` of `data`.
fn permute(dims: &[usize; 4], axes: [usize; 4], data: &[f32]) -> Vec<f32> {
    let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let [s0, s1, s2, s3] = axes.map(|axis| strides[axis]);
    let [n0, n1, n2, n3] = axes.map(|axis| dims[axis]);
    let mut out = Vec::with_capacity(data.len());
    for i0 in 0..n0 {
        for i1 in 0..n1 {
            for i2 in 0..n2 {
                let row = i0 * s0 + i1 * s1 + i2 * s2;
                out.extend((0..n3).map(|i3| data[row + i3 * s3]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| i as f32).collect()
    }

    /// In memory's order, read back as if there were none.
    fn store(shape: &Shape, layout: Layout, data: &[f32]) -> Vec<f32> {
        stored(shape, layout, &Values { data: Cow::Borrowed(data), factors: None })
    }

    fn stored(shape: &Shape, layout: Layout, values: &Values<'_>) -> Vec<f32> {
        let mut bytes = vec![0; values.data.len() * size_of::<f32>()];
        Runs::of(shape, layout).write(values, &mut bytes, f32::to_ne_bytes);
        elements(&bytes)
    }

    #[test]
    fn factors_are_of_the_first_axis() {
        for (shape, layout) in [
            ([37, 3, 2, 5], Layout::Hwio),
            ([37, 3, 2, 5], Layout::Plain),
            ([2, 40, 3, 1], Layout::Ohwi),
            ([1, 1, 1, 1], Layout::Hwio),
        ] {
            let shape = Shape::from(shape);
            let (data, first) = (numbers(shape.numel().expect("small")), shape.0[0]);
            let factors: Vec<f64> = (0..first).map(|i| 1.0 / (i as f64 + 1.5)).collect();
            let each = data.len() / first;
            let scaled: Vec<f32> =
                data.iter().enumerate().map(|(i, &x)| scaled_by(x, factors[i / each])).collect();
            let values = Values { data: Cow::Borrowed(&data), factors: Some(factors) };
            assert_eq!(stored(&shape, layout, &values), store(&shape, layout, &scaled), "{shape} {layout:?}");
        }
    }

    #[test]
    fn feature_maps_put_channels_last() {
        // Two channels of a 1x2 image: c0 = [0, 1], c1 = [2, 3].
        let stored = store(&Shape::from([1, 2, 1, 2]), Layout::Nhwc, &numbers(4));
        assert_eq!(stored, [0.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn weights_put_outputs_last() {
        // [cout 2][cin 1][kh 1][kw 2] -> [kh][kw][cin][cout]
        let stored = store(&Shape::from([2, 1, 1, 2]), Layout::Hwio, &numbers(4));
        assert_eq!(stored, [0.0, 2.0, 1.0, 3.0]);
        // [out 2][in 3] -> [in][out]
        let stored = store(&Shape::from([2, 3]), Layout::Hwio, &numbers(6));
        assert_eq!(stored, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    }

    #[test]
    fn every_layout_goes_there_and_back() {
        let shapes = [
            Shape::from([2, 3, 4, 5]),
            Shape::from([7, 3]),
            Shape::from([6]),
            Shape::from([]),
            Shape::from([8, 1, 3, 3]),
        ];
        for shape in shapes {
            let data = numbers(shape.numel().expect("small"));
            for layout in [Layout::Plain, Layout::Nhwc, Layout::Hwio] {
                assert_eq!(load(&shape, layout, &store(&shape, layout, &data)), data, "{shape} {layout:?}");
            }
        }
    }
}
