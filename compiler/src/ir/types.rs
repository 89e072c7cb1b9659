//! Shapes, element types and layouts of the values in the graph.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// bfloat16: the upper half of an `F32`.
    Bf16,
    /// IEEE half precision.
    F16,
    /// Unsigned byte: indices within a pooling window.
    U8,
    /// Class indices.
    U32,
    /// Counters and seeds.
    U64,
}

impl DType {
    /// The types of 16 bits that maps may be stored as where a network multiplies in them.
    pub const NARROW: [DType; 2] = [DType::Bf16, DType::F16];

    /// Whether it is one of [`DType::NARROW`].
    pub fn is_narrow(self) -> bool {
        DType::NARROW.contains(&self)
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::F32 | DType::U32 => 4,
            DType::U64 => 8,
            DType::Bf16 | DType::F16 => 2,
            DType::U8 => 1,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
            DType::U8 => "u8",
            DType::U32 => "u32",
            DType::U64 => "u64",
        })
    }
}

/// Order of a tensor's elements in memory. [`Shape`]s stay in logical order whatever the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Row-major in the order of the shape: vectors, matrices, and everything before the layout pass.
    Plain,
    /// Feature maps of logical shape `[n, c, h, w]`, stored `[n][h][w][c]`.
    Nhwc,
    /// Convolution weights of logical shape `[cout, cin / groups, kh, kw]`, stored `[kh][kw][cin / groups][cout]`.
    /// Linear weights of logical shape `[out, in]`, stored `[in][out]`, use it too.
    Hwio,
    /// Convolution weights of logical shape `[cout, cin / groups, kh, kw]`, stored `[cout][kh][kw][cin / groups]`; linear
    /// weights `[out, in]` as they are.
    Ohwi,
}

/// Sizes of a tensor, in logical order: feature maps `[n, c, h, w]`, convolution weights `[cout, cin / groups, kh,
/// kw]`, linear weights `[out, in]`, per-channel vectors `[c]`, scalars `[]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(pub Vec<usize>);

impl Shape {
    /// Number of elements; `None` on overflow.
    pub fn numel(&self) -> Option<usize> {
        self.0.iter().try_fold(1usize, |acc, &d| acc.checked_mul(d))
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// `[n, c, h, w]` of a feature map.
    pub fn nchw(&self) -> Option<[usize; 4]> {
        self.0.as_slice().try_into().ok()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(dims.to_vec())
    }
}

/// `64x56x56`; a scalar is `scalar`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("scalar");
        }
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("x")?;
            }
            write!(f, "{d}")?;
        }
        Ok(())
    }
}

/// Type of one value: what the verifier compares.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorType {
    /// Sizes in logical order.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Order in memory.
    pub layout: Layout,
}

impl TensorType {
    /// An `f32` tensor in [`Layout::Plain`].
    pub fn f32(shape: impl Into<Shape>) -> Self {
        TensorType { shape: shape.into(), dtype: DType::F32, layout: Layout::Plain }
    }

    /// Bytes in memory; `None` on overflow.
    pub fn bytes(&self) -> Option<usize> {
        self.shape.numel()?.checked_mul(self.dtype.size())
    }
}

/// `f32 1x64x56x56 nhwc`; the plain layout is not written.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.dtype, self.shape)?;
        match self.layout {
            Layout::Plain => Ok(()),
            Layout::Nhwc => f.write_str(" nhwc"),
            Layout::Hwio => f.write_str(" hwio"),
            Layout::Ohwi => f.write_str(" ohwi"),
        }
    }
}
