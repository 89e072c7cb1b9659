//! Between logical row-major order and the order in memory, and between `f32` and a buffer's element type.

use bytemuck::AnyBitPattern;
use half::{bf16, f16};
use resnetc_compiler::ir::types::{DType, Layout, Shape};
use resnetc_compiler::plan::Buffer;

use crate::error::{Error, Result};

/// The bytes of a buffer that holds `data`, given in logical row-major order.
pub fn encode(buffer: &Buffer, data: &[f32]) -> Result<Vec<u8>> {
    if Some(data.len()) != buffer.shape.numel() {
        return Err(Error::Incompatible(format!(
            "`{}` has shape {}, so it takes {} elements, not {}",
            buffer.name,
            buffer.shape,
            buffer.shape.numel().unwrap_or(usize::MAX),
            data.len()
        )));
    }
    let stored = store(&buffer.shape, buffer.layout, data);
    match buffer.dtype {
        DType::F32 => Ok(bytemuck::cast_slice(&stored).to_vec()),
        DType::Bf16 => {
            let halves: Vec<bf16> = stored.into_iter().map(bf16::from_f32).collect();
            Ok(bytemuck::cast_slice(&halves).to_vec())
        }
        DType::F16 => {
            let halves: Vec<f16> = stored.into_iter().map(f16::from_f32).collect();
            Ok(bytemuck::cast_slice(&halves).to_vec())
        }
        DType::U8 | DType::U32 | DType::U64 => Err(no_floats(buffer)),
    }
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

/// From logical order to the order in memory.
pub fn store(shape: &Shape, layout: Layout, data: &[f32]) -> Vec<f32> {
    match axes(shape, layout) {
        None => data.to_vec(),
        Some(axes) => permute(&dims(shape), axes, data),
    }
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
