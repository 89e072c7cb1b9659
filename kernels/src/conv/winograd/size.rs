//! The two sizes of patches.

/// Size of the patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// F(4x4, 3x3): 4x4 output pixels of 6x6 input pixels.
    Four,
    /// F(2x2, 3x3): 2x2 output pixels of 4x4 input pixels.
    Two,
}

impl Size {
    /// Rows and columns of output pixels of a patch.
    pub const fn output(self) -> usize {
        match self {
            Size::Four => 4,
            Size::Two => 2,
        }
    }

    /// Elements of a transformed patch: as many as it has input pixels.
    pub const fn points(self) -> usize {
        (self.output() + 2).pow(2)
    }
}

/// Floats between the planes of two points beyond their contents: planes whose distance is a power of two would meet in
/// the same few sets of the first-level cache.
pub const PLANE_PAD: usize = 16;
