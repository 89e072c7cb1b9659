//! Pooling over windows, blurs, and their gradients.

use serde::{Deserialize, Serialize};

use super::geometry::{BlurGeometry, PoolGeometry};
use super::info::KernelInfo;
use super::operand::{Content, Operand, Operands, product};
use super::text::{flag, window};

/// Maximum over windows, and where in its window each lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Sizes.
    pub geometry: PoolGeometry,
    /// Whether positions are wanted.
    pub positions: bool,
}

impl KernelInfo for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = max_maps(&self.geometry)?;
        let positions = taps(&self.geometry, y);
        let operands = Operands::new([x.content(Content::Compared)], [y.slice()]);
        Some(operands.output(self.positions.then_some(positions)))
    }

    fn geometry(&self) -> String {
        format!("{}{}", pool(&self.geometry), flag(self.positions, "positions"))
    }
}

/// `dx[p] = sum of dy over the windows whose maximum lies at p`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MaxPoolBackward {
    /// Sizes of the forward pooling.
    pub geometry: PoolGeometry,
}

impl KernelInfo for MaxPoolBackward {
    fn name(&self) -> &'static str {
        "max_pool_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = max_maps(&self.geometry)?;
        let (dy, dx) = (Operand { name: "dy", ..y }, Operand { name: "dx", ..x });
        Some(Operands::new([dy, taps(&self.geometry, y)], [dx]))
    }

    fn geometry(&self) -> String {
        pool(&self.geometry)
    }
}

/// Mean over windows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Sizes.
    pub geometry: PoolGeometry,
}

impl KernelInfo for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps(&self.geometry)?;
        Some(Operands::new([x], [y.slice()]))
    }

    fn geometry(&self) -> String {
        pool(&self.geometry)
    }
}

/// `dx[p] = sum over the windows that hold p of dy / divisor of the window`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AvgPoolBackward {
    /// Sizes of the forward pooling.
    pub geometry: PoolGeometry,
}

impl KernelInfo for AvgPoolBackward {
    fn name(&self) -> &'static str {
        "avg_pool_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = maps(&self.geometry)?;
        Some(Operands::new([Operand { name: "dy", ..y }], [Operand { name: "dx", ..x }]))
    }

    fn geometry(&self) -> String {
        pool(&self.geometry)
    }
}

/// Binomial blur at every `stride`-th pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlurPool {
    /// Sizes.
    pub geometry: BlurGeometry,
}

impl KernelInfo for BlurPool {
    fn name(&self) -> &'static str {
        "blur_pool"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = blur_maps(&self.geometry)?;
        Some(Operands::new([x], [y]))
    }

    fn geometry(&self) -> String {
        blur(&self.geometry)
    }
}

/// Every `dy` goes to the pixels of its window by the filter's weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlurPoolBackward {
    /// Sizes of the forward blur.
    pub geometry: BlurGeometry,
}

impl KernelInfo for BlurPoolBackward {
    fn name(&self) -> &'static str {
        "blur_pool_backward"
    }

    fn operands(&self) -> Option<Operands> {
        let [x, y] = blur_maps(&self.geometry)?;
        Some(Operands::new([Operand { name: "dy", ..y }], [Operand { name: "dx", ..x }]))
    }

    fn geometry(&self) -> String {
        blur(&self.geometry)
    }
}

/// `x, y`. Positions of the maxima fit a byte.
fn max_maps(g: &PoolGeometry) -> Option<[Operand; 2]> {
    if product(g.attrs.kernel)? <= 256 { maps(g) } else { None }
}

/// `x, y`. Every window touches the image.
fn maps(g: &PoolGeometry) -> Option<[Operand; 2]> {
    let a = &g.attrs;
    for (i, size) in [(0, g.h), (1, g.w)] {
        let last = g.out[i].checked_sub(1)?.checked_mul(a.stride[i])?;
        let outside = last >= size.checked_add(a.padding[i])?;
        if a.kernel[i] == 0 || a.stride[i] == 0 || a.padding[i] >= a.kernel[i] || outside {
            return None;
        }
    }
    sized([g.n, g.c, g.h, g.w], [g.n, g.c, g.out[0], g.out[1]])
}

/// `x, y`. The image can be mirrored at its border.
fn blur_maps(g: &BlurGeometry) -> Option<[Operand; 2]> {
    let fits = g.stride.iter().all(|&s| s > 0)
        && g.h >= 2
        && g.w >= 2
        && g.out == [g.h.div_ceil(g.stride[0]), g.w.div_ceil(g.stride[1])];
    if !fits {
        return None;
    }
    sized([g.n, g.c, g.h, g.w], [g.n, g.c, g.out[0], g.out[1]])
}

/// Maps `x, y` of sizes that can be counted.
pub(super) fn sized(x: [usize; 4], y: [usize; 4]) -> Option<[Operand; 2]> {
    product(x)?;
    product(y)?;
    Some([Operand::map("x", x), Operand::map("y", y)])
}

fn taps(g: &PoolGeometry, y: Operand) -> Operand {
    Operand { name: "positions", ..y }.content(Content::Tap(*g)).narrow(None)
}

fn pool(geometry: &PoolGeometry) -> String {
    let PoolGeometry { h, w, c, out, attrs, .. } = geometry;
    let count = attrs.count_padding && attrs.padding != [0, 0];
    let flags = format!("{}{}", flag(attrs.ceil, "ceil"), flag(count, "count_padding"));
    let window = window(attrs.kernel, attrs.stride, attrs.padding);
    format!("{window}{flags} {c}x{h}x{w} -> {c}x{}x{}", out[0], out[1])
}

fn blur(geometry: &BlurGeometry) -> String {
    let BlurGeometry { h, w, c, stride, out, .. } = geometry;
    format!("{} {c}x{h}x{w} -> {c}x{}x{}", window([3, 3], *stride, [0, 0]), out[0], out[1])
}
