//! Kernels that move channels: concatenation, taking some out, option A's shortcut.

use serde::{Deserialize, Serialize};

use super::geometry::PadGeometry;
use super::info::KernelInfo;
use super::operand::{Operand, Operands, product};
use super::pooling::sized;
use super::text::{matrix, pair};

/// Channels of all inputs after one another: what could not be made slices of `y` to begin with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concat {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels of each input.
    pub channels: Vec<usize>,
}

impl KernelInfo for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn operands(&self) -> Option<Operands> {
        let total = self.channels.iter().try_fold(0usize, |sum, &c| sum.checked_add(c))?;
        product([self.rows, total])?;
        let part = |&c: &usize| rows("part", self.rows, c);
        Some(Operands {
            inputs: self.channels.iter().map(part).collect(),
            outputs: vec![rows("y", self.rows, total).slice()],
            in_place: Vec::new(),
        })
    }

    fn geometry(&self) -> String {
        let parts: Vec<String> = self.channels.iter().map(usize::to_string).collect();
        format!("[{}, {}]", self.rows, parts.join(" + "))
    }
}

/// The channels from `start` on, where they cannot be a slice of `x`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChannelSlice {
    /// Pixels of all images.
    pub rows: usize,
    /// Channels of the input.
    pub channels: usize,
    /// First channel taken.
    pub start: usize,
    /// Channels of the output.
    pub taken: usize,
}

impl KernelInfo for ChannelSlice {
    fn name(&self) -> &'static str {
        "channel_slice"
    }

    fn operands(&self) -> Option<Operands> {
        product([self.rows, self.channels])?;
        let inside = self.start.checked_add(self.taken)? <= self.channels;
        let (x, y) = (rows("x", self.rows, self.channels), rows("y", self.rows, self.taken));
        inside.then(|| Operands::new([x], [y]))
    }

    fn geometry(&self) -> String {
        format!("{} {}..{}", matrix(self.rows, self.channels), self.start, self.start + self.taken)
    }
}

/// Strided pixels, channels padded with zeros on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PadShortcut {
    /// Sizes.
    pub geometry: PadGeometry,
}

impl KernelInfo for PadShortcut {
    fn name(&self) -> &'static str {
        "pad_shortcut"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps(&self.geometry)?;
        Some(Operands::new([x], [y]))
    }

    fn geometry(&self) -> String {
        pad(&self.geometry)
    }
}

/// `dx = dy` of the middle channels at the pixels taken, 0 elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PadShortcutBackward {
    /// Sizes of the forward shortcut.
    pub geometry: PadGeometry,
}

impl KernelInfo for PadShortcutBackward {
    fn name(&self) -> &'static str {
        "pad_shortcut_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps(&self.geometry)?;
        Some(Operands::new([Operand { name: "dy", ..y }], [Operand { name: "dx", ..x }]))
    }

    fn geometry(&self) -> String {
        pad(&self.geometry)
    }
}

/// A matrix of channels. There may be any number of parts, so none is stored in a narrow type.
fn rows(name: &'static str, rows: usize, channels: usize) -> Operand {
    Operand::map(name, [rows, channels, 1, 1]).narrow(None)
}

fn maps(g: &PadGeometry) -> Option<[Operand; 2]> {
    let fits = g.stride.iter().all(|&s| s > 0)
        && g.out == [g.h.div_ceil(g.stride[0]), g.w.div_ceil(g.stride[1])]
        && g.before.checked_add(g.cin)? <= g.cout;
    if !fits {
        return None;
    }
    sized([g.n, g.cin, g.h, g.w], [g.n, g.cout, g.out[0], g.out[1]])
}

fn pad(geometry: &PadGeometry) -> String {
    let PadGeometry { h, w, cin, cout, before, stride, out, .. } = geometry;
    format!("/{} {cin}x{h}x{w} -> {cout}x{}x{} before {before}", pair(*stride), out[0], out[1])
}
