//! Convolutions and linear layers (convolutions of 1x1 images), their gradients, and the sum that a bias' gradient is.

use serde::{Deserialize, Serialize};

use super::geometry::ConvGeometry;
use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands, product};
use super::text::{after, flag, matrix, pair, window};
use crate::ir::attrs::{ConvAttrs, Epilogue};
use crate::ir::types::DType;

/// Forward. All sums of an element are complete before its residual is read, and the result may be stored over it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Sizes.
    pub geometry: ConvGeometry,
    /// Whether there is a bias.
    pub bias: bool,
    /// Applied before the store.
    pub epilogue: Epilogue,
}

impl KernelInfo for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, weight, y] = maps(&self.geometry)?;
        let residual = Operand { name: "residual", slice: false, ..y };
        let bias = Operand::new("bias", Content::Bias, [self.geometry.cout]);
        let operands = Operands::new([x, weight], [y.slice()]).input(self.bias.then_some(bias));
        Some(operands.input(self.epilogue.residual.then_some(residual)).in_place(&[("y", "residual")]))
    }

    fn geometry(&self) -> String {
        format!("{}{}{}", conv(&self.geometry), flag(self.bias, "bias"), after(&self.epilogue))
    }

    fn flops(&self) -> u64 {
        2 * self.geometry.macs()
    }
}

/// Gradient of the input. May lie on the residual, as [`Conv`] may.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConvBackwardData {
    /// Sizes of the forward convolution.
    pub geometry: ConvGeometry,
    /// Whether a further gradient is added.
    pub residual: bool,
}

impl KernelInfo for ConvBackwardData {
    fn name(&self) -> &'static str {
        "conv_backward_data"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, weight, y] = maps(&self.geometry)?;
        // What is multiplied is in group 0, what is added and stored in group 1.
        let dy = Operand { name: "dy", narrow: x.narrow, ..y };
        let dx = Operand { name: "dx", narrow: y.narrow, ..x };
        let residual = Operand { name: "residual", ..dx };
        let operands = Operands::new([dy, weight], [dx]).input(self.residual.then_some(residual));
        Some(operands.in_place(&[("dx", "residual")]))
    }

    fn geometry(&self) -> String {
        format!("{}{}", conv(&self.geometry), flag(self.residual, "+ residual"))
    }

    fn flops(&self) -> u64 {
        2 * self.geometry.macs()
    }
}

/// Gradient of the weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConvBackwardFilter {
    /// Sizes of the forward convolution.
    pub geometry: ConvGeometry,
}

impl KernelInfo for ConvBackwardFilter {
    fn name(&self) -> &'static str {
        "conv_backward_filter"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, weight, y] = maps(&self.geometry)?;
        let (dy, dweight) = (Operand { name: "dy", ..y }, Operand { name: "dweight", ..weight });
        Some(Operands::new([x, dy], [dweight]))
    }

    fn geometry(&self) -> String {
        conv(&self.geometry)
    }

    fn flops(&self) -> u64 {
        2 * self.geometry.macs()
    }
}

/// `db[c] = sum of dy[.., c]`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChannelSum {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
}

impl KernelInfo for ChannelSum {
    fn name(&self) -> &'static str {
        "channel_sum"
    }

    fn operands(&self) -> Option<Operands> {
        product([self.rows, self.channels])?;
        let dy = Operand::map("dy", [self.rows, self.channels, 1, 1]);
        Some(Operands::new([dy], [Operand::new("db", Content::Sum, [self.channels])]))
    }

    fn geometry(&self) -> String {
        matrix(self.rows, self.channels)
    }
}

/// `x, weight, y`; where factors are rounded to a narrow type, `x` (and a gradient that is multiplied) may be stored so, and
/// what is added or stored as a group of its own.
fn maps(g: &ConvGeometry) -> Option<[Operand; 3]> {
    let a = &g.attrs;
    let out = |i: usize, size| conv_out(size, a.kernel[i], a.stride[i], a.padding[i], a.dilation[i]);
    let fits = a.groups > 0
        && g.cin.is_multiple_of(a.groups)
        && g.cout.is_multiple_of(a.groups)
        && a.dilation.iter().all(|&d| d > 0)
        && [out(0, g.h)?, out(1, g.w)?] == g.out;
    if !fits || product([g.n, g.h, g.w, g.cin, g.out[0], g.out[1], g.cout]).is_none_or(|len| len == 0) {
        return None;
    }
    let group = |group: u8| g.precision.is_narrow().then_some(group);
    let weight = [g.cout, g.cin / a.groups, a.kernel[0], a.kernel[1]];
    product(weight)?;
    Some([
        Operand::map("x", [g.n, g.cin, g.h, g.w]).narrow(group(0)),
        Operand::new("weight", Content::Weight, weight),
        Operand::map("y", [g.n, g.cout, g.out[0], g.out[1]]).narrow(group(1)),
    ])
}

/// Output size of one dimension.
fn conv_out(size: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Option<usize> {
    let reach = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    let room = padding.checked_mul(2)?.checked_add(size)?.checked_sub(reach)?;
    Some(room.checked_div(stride)? + 1)
}

fn conv(geometry: &ConvGeometry) -> String {
    let ConvGeometry { h, w, cin, cout, out, attrs, precision, .. } = geometry;
    let ConvAttrs { kernel, stride, padding, dilation, groups } = attrs;
    let mut text = window(*kernel, *stride, *padding);
    if *dilation != [1, 1] {
        text += &format!(" d{}", pair(*dilation));
    }
    if *groups != 1 {
        text += &format!(" g{groups}");
    }
    if *precision != DType::F32 {
        text += &format!(" {precision}");
    }
    format!("{text} {cin}x{h}x{w} -> {cout}x{}x{}", out[0], out[1])
}
