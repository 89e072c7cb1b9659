//! Layers that are more than one operator of ONNX, or need other borders than they say here.

use resnetc_compiler::ir::graph::{NodeId, Value};
use resnetc_compiler::ir::op::PoolAttrs;

use crate::builder::{Attributes, Builder};
use crate::error::Error;
use crate::proto::Attribute::{self, Int, Ints, Text};
use crate::proto::Values;

/// The filter `[1, 2, 1]` in both directions, its sum 1.
const BLUR: [f32; 9] = [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625];

/// Borders as ONNX has them: both at the beginning, then both at the end.
pub fn pads(begin: [usize; 2], end: [usize; 2]) -> Attribute {
    Ints([begin, end].concat().iter().map(|&size| size as i64).collect())
}

fn pair(sizes: [usize; 2]) -> Attribute {
    Ints(sizes.map(|size| size as i64).to_vec())
}

/// The border at the end that gives as many windows as the result has. With `ceil` the last window may reach further than the
/// border does; runtimes differ in what they make of ONNX's own `ceil_mode` there, so the border is written out.
fn end_border(attrs: &PoolAttrs, x: &[usize], y: &[usize]) -> [usize; 2] {
    [0, 1].map(|i| {
        let reach = (y[i + 2] - 1) * attrs.stride[i] + attrs.kernel[i];
        reach.saturating_sub(x[i + 2] + attrs.padding[i]).max(attrs.padding[i])
    })
}

/// Maximum over windows; the border is never the maximum.
pub fn max_pool(b: &mut Builder<'_>, id: NodeId, attrs: &PoolAttrs, x: Value) -> String {
    let end = end_border(attrs, b.shape(x), b.shape(id.into()));
    let attributes = window(attrs, pads(attrs.padding, end));
    b.emit(id, "MaxPool", vec![b.name(x)], attributes)
}

/// Mean over windows. Where the border counts, it is put around the image before: what lies beyond it, where the last window
/// reaches further, never counts.
pub fn avg_pool(b: &mut Builder<'_>, id: NodeId, attrs: &PoolAttrs, x: Value) -> String {
    let end = end_border(attrs, b.shape(x), b.shape(id.into()));
    let mut name = b.name(x);
    let mut borders = (attrs.padding, end);
    let mut counted = 0;
    if attrs.count_padding && attrs.padding != [0, 0] {
        if end == attrs.padding {
            counted = 1;
        } else {
            name = pad(b, id, name, attrs.padding, "constant");
            borders = ([0, 0], [0, 1].map(|i| end[i] - attrs.padding[i]));
        }
    }
    let mut attributes = window(attrs, pads(borders.0, borders.1));
    attributes.insert(0, ("count_include_pad", Int(counted)));
    b.emit(id, "AveragePool", vec![name], attributes)
}

fn window(attrs: &PoolAttrs, pads: Attribute) -> Attributes {
    vec![("kernel_shape", pair(attrs.kernel)), ("pads", pads), ("strides", pair(attrs.stride))]
}

/// An image with a border on all sides, of zeros or mirrored.
fn pad(b: &mut Builder<'_>, id: NodeId, x: String, border: [usize; 2], mode: &'static str) -> String {
    let [h, w] = border.map(|size| size as i64);
    let list = b.list(&[0, 0, h, w, 0, 0, h, w]);
    b.emit(id, "Pad", vec![x, list], vec![("mode", Text(mode))])
}

/// The blur with the image mirrored at its border: a convolution of each channel by itself.
pub fn blur(b: &mut Builder<'_>, id: NodeId, stride: [usize; 2], x: Value) -> String {
    let channels = b.shape(x)[1];
    let filter = b.constant(&format!("const/blur{channels}"), vec![channels, 1, 3, 3], || {
        Values::Floats(BLUR.repeat(channels))
    });
    let y = pad(b, id, b.name(x), [1, 1], "reflect");
    let attributes = vec![
        ("dilations", pair([1, 1])),
        ("group", Int(channels as i64)),
        ("kernel_shape", pair([3, 3])),
        ("pads", pads([0, 0], [0, 0])),
        ("strides", pair(stride)),
    ];
    b.emit(id, "Conv", vec![y, filter], attributes)
}

/// The convolution along channels: these become the columns of one row.
///
/// # Errors
/// Where the weight cannot be had.
pub fn channel_conv(b: &mut Builder<'_>, id: NodeId, operands: &[Value]) -> Result<String, Error> {
    let kernel = b.shape(operands[1])[2] as i64;
    let weight = b.param(operands[1])?;
    let border = kernel / 2;
    let (row, column) = (b.list(&[0, 1, -1]), b.list(&[0, -1, 1, 1]));
    let y = b.emit(id, "Reshape", vec![b.name(operands[0]), row], Vec::new());
    let attributes = vec![
        ("dilations", Ints(vec![1])),
        ("group", Int(1)),
        ("kernel_shape", Ints(vec![kernel])),
        ("pads", Ints(vec![border, border])),
        ("strides", Ints(vec![1])),
    ];
    let y = b.emit(id, "Conv", vec![y, weight], attributes);
    Ok(b.emit(id, "Reshape", vec![y, column], Vec::new()))
}

/// Every `stride`-th pixel.
pub fn every(b: &mut Builder<'_>, id: NodeId, stride: [usize; 2], x: String) -> String {
    if stride == [1, 1] {
        return x;
    }
    let [down, right] = stride.map(|step| step as i64);
    // To the end, however far that is.
    let ends = b.list(&[i64::from(i32::MAX); 2]);
    let (starts, axes, steps) = (b.list(&[0, 0]), b.list(&[2, 3]), b.list(&[down, right]));
    b.emit(id, "Slice", vec![x, starts, ends, axes, steps], Vec::new())
}

/// Zeros around the channels of `x`, called `y` by now: so many before, so many channels in all.
pub fn pad_channels(
    b: &mut Builder<'_>,
    id: NodeId,
    [before, channels]: [usize; 2],
    x: Value,
    y: String,
) -> String {
    let after = channels - before - b.shape(x)[1];
    if before + after == 0 {
        return y;
    }
    let list = b.list(&[0, before as i64, 0, 0, 0, after as i64, 0, 0]);
    b.emit(id, "Pad", vec![y, list], vec![("mode", Text("constant"))])
}

/// The sizes `[n, groups, rest]` as an operand.
pub fn reshape_to_groups(b: &mut Builder<'_>, groups: i64) -> String {
    b.list(&[0, groups, -1])
}

/// The sizes `[n, c, h, w]` of a map as an operand, `n` whatever it is.
pub fn reshape_to_map(b: &mut Builder<'_>, x: Value) -> String {
    let mut sizes = vec![-1];
    sizes.extend(b.shape(x)[1..].iter().map(|&size| size as i64));
    b.list(&sizes)
}

/// Ones and zeros as scale and shift of a normalisation that has none.
pub fn unit_scale(b: &mut Builder<'_>, groups: usize) -> (String, String) {
    let mut vector = |value: f32| {
        b.constant(&format!("const/{value:?}x{groups}"), vec![groups], || Values::Floats(vec![value; groups]))
    };
    (vector(1.0), vector(0.0))
}
