//! Attributes that several operators and kernels share: windows, epilogues, rules.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::activation::Activation;

/// What a convolution, normalisation or product does to its result before storing it: `act(y + residual)`.
/// All absent until the fusing passes run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Epilogue {
    /// The node's last operand, of the result's shape, is added.
    pub residual: bool,
    /// Applied last.
    pub act: Option<Activation>,
}

impl Epilogue {
    /// Whether the gradient of a batch normalisation needs the sign of what the activation was applied to, and can compute
    /// that anew from its input, nothing having been added: a map less to read than with the result.
    pub fn recomputes_sign(&self) -> bool {
        self.act.is_some_and(Activation::keeps_sign) && !self.residual
    }
}

/// Window of a convolution; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvAttrs {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Zeros around the image, the same on both sides.
    pub padding: [usize; 2],
    /// Step between the taps of a window.
    pub dilation: [usize; 2],
    /// Channel groups; both channel counts are multiples of it.
    pub groups: usize,
}

/// Window of a pooling; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolAttrs {
    /// Size of the window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Border around the image, never the maximum.
    pub padding: [usize; 2],
    /// Whether a last, incomplete window counts (PyTorch's `ceil_mode`).
    pub ceil: bool,
    /// Average only: whether the border counts in the divisor (PyTorch's `count_include_pad`).
    pub count_padding: bool,
}

/// How a unit's shortcut makes the input fit the main branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortcutRule {
    /// Always the input itself.
    Identity,
    /// Option A of He et al. 2015: identity; where shapes differ, take every stride-th pixel and pad channels with zeros.
    Pad,
    /// Option B: identity; where shapes differ, 1x1 convolution with the stride, and normalisation.
    Projection,
    /// Option C: always 1x1 convolution and normalisation.
    AlwaysProject,
}

/// What a random operator drops as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropPart {
    /// Each element for itself: dropout (Srivastava et al. 2014).
    Element,
    /// Everything of an image: stochastic depth (Huang et al. 2016), drop path.
    Image,
    /// Squares within each channel of each image: DropBlock (Ghiasi et al. 2018).
    Block {
        /// Rows and columns of a square; where the image is smaller, the image's.
        size: usize,
    },
}

/// `2`, or `2x1` where the two differ.
pub(crate) fn pair([a, b]: [usize; 2]) -> String {
    if a == b { a.to_string() } else { format!("{a}x{b}") }
}

/// `3x3 s1 p1 d2 g32`; no padding, dilation 1 and one group are not written.
impl fmt::Display for ConvAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} s{}", self.kernel[0], self.kernel[1], pair(self.stride))?;
        if self.padding != [0, 0] {
            write!(f, " p{}", pair(self.padding))?;
        }
        if self.dilation != [1, 1] {
            write!(f, " d{}", pair(self.dilation))?;
        }
        if self.groups != 1 {
            write!(f, " g{}", self.groups)?;
        }
        Ok(())
    }
}

/// `3x3 s2 p1 ceil`
impl fmt::Display for PoolAttrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} s{}", self.kernel[0], self.kernel[1], pair(self.stride))?;
        if self.padding != [0, 0] {
            write!(f, " p{}", pair(self.padding))?;
        }
        write!(f, "{}", if self.ceil { " ceil" } else { "" })?;
        write!(f, "{}", if self.count_padding { " count_padding" } else { "" })
    }
}

/// ` +add +relu`
impl fmt::Display for Epilogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.residual { " +add" } else { "" })?;
        self.act.map_or(Ok(()), |act| write!(f, " +{act}"))
    }
}

impl fmt::Display for DropPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropPart::Element => f.write_str("elements"),
            DropPart::Image => f.write_str("images"),
            DropPart::Block { size } => write!(f, "blocks {size}x{size}"),
        }
    }
}

impl fmt::Display for ShortcutRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShortcutRule::Identity => "identity",
            ShortcutRule::Pad => "pad",
            ShortcutRule::Projection => "projection",
            ShortcutRule::AlwaysProject => "always_project",
        })
    }
}
