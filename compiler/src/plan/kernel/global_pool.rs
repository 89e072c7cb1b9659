//! Mean and maximum over whole images, and their gradients.

use serde::{Deserialize, Serialize};

use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands, product};
use super::text::{flag, matrix};

/// Mean of `x [images, pixels, channels]` over the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GlobalAvgPool {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
}

impl KernelInfo for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global_avg_pool"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps([self.images, self.pixels, self.channels])?;
        Some(Operands::new([x], [y]))
    }

    fn geometry(&self) -> String {
        matrix(self.pixels, self.channels)
    }
}

/// `dx[p] = dy / pixels`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GlobalAvgPoolBackward {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
}

impl KernelInfo for GlobalAvgPoolBackward {
    fn name(&self) -> &'static str {
        "global_avg_pool_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps([self.images, self.pixels, self.channels])?;
        Some(Operands::new([Operand { name: "dy", ..y }], [Operand { name: "dx", ..x }]))
    }

    fn geometry(&self) -> String {
        matrix(self.pixels, self.channels)
    }
}

/// Maximum of `x [images, pixels, channels]` over the pixels, and at which pixel each lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GlobalMaxPool {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
    /// Whether positions are wanted.
    pub positions: bool,
}

impl KernelInfo for GlobalMaxPool {
    fn name(&self) -> &'static str {
        "global_max_pool"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps([self.images, self.pixels, self.channels])?;
        let operands = Operands::new([x.content(Content::Compared)], [y]);
        Some(operands.output(self.positions.then_some(positions(self.pixels, y))))
    }

    fn geometry(&self) -> String {
        format!("{}{}", matrix(self.pixels, self.channels), flag(self.positions, "positions"))
    }
}

/// `dx[p] = dy` where `p` is the maximum's pixel, 0 elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GlobalMaxPoolBackward {
    /// Batch.
    pub images: usize,
    /// Rows times columns.
    pub pixels: usize,
    /// Channels.
    pub channels: usize,
}

impl KernelInfo for GlobalMaxPoolBackward {
    fn name(&self) -> &'static str {
        "global_max_pool_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps([self.images, self.pixels, self.channels])?;
        let (dy, dx) = (Operand { name: "dy", ..y }, Operand { name: "dx", ..x });
        Some(Operands::new([dy, positions(self.pixels, y)], [dx]))
    }

    fn geometry(&self) -> String {
        matrix(self.pixels, self.channels)
    }
}

/// `x, y`; the few numbers of `y` stay `f32`.
fn maps([images, pixels, channels]: [usize; 3]) -> Option<[Operand; 2]> {
    product([images, pixels, channels])?;
    let y = Operand::map("y", [images, channels, 1, 1]).narrow(None);
    Some([Operand::map("x", [images, channels, pixels, 1]), y])
}

fn positions(pixels: usize, y: Operand) -> Operand {
    Operand { name: "positions", ..y }.content(Content::Index(pixels))
}
