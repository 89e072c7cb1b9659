//! Feature maps as they are stored: `f32` or bf16, which a plan says of each.

use crate::memory::{Dst, Src};

/// A map to be read.
#[derive(Clone, Copy)]
pub enum MapSrc<'a> {
    /// Single precision.
    F32(Src<'a, f32>),
    /// The upper halves of `f32`.
    Bf16(Src<'a, u16>),
}

/// A map to be written.
#[derive(Clone, Copy)]
pub enum MapDst<'a> {
    /// Single precision.
    F32(Dst<'a, f32>),
    /// The upper halves of `f32`, rounded to nearest, ties to even.
    Bf16(Dst<'a, u16>),
}

impl<'a> MapSrc<'a> {
    /// Number of elements.
    pub fn len(self) -> usize {
        match self {
            MapSrc::F32(view) => view.len(),
            MapSrc::Bf16(view) => view.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// For kernels that know maps in `f32` only.
    ///
    /// # Panics
    /// On any other, which is refused when a plan is loaded.
    pub fn f32(self) -> Src<'a, f32> {
        match self {
            MapSrc::F32(view) => view,
            MapSrc::Bf16(_) => panic!("a map in bf16 for a kernel that takes f32"),
        }
    }

    /// For kernels whose result is in bf16.
    ///
    /// # Panics
    /// On any other map.
    pub fn bf16(self) -> Src<'a, u16> {
        match self {
            MapSrc::Bf16(view) => view,
            MapSrc::F32(_) => panic!("a map in f32 for a kernel that takes bf16"),
        }
    }
}

impl<'a> MapDst<'a> {
    /// Number of elements.
    pub fn len(self) -> usize {
        match self {
            MapDst::F32(view) => view.len(),
            MapDst::Bf16(view) => view.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// As [`MapSrc::f32`].
    ///
    /// # Panics
    /// Likewise.
    pub fn f32(self) -> Dst<'a, f32> {
        match self {
            MapDst::F32(view) => view,
            MapDst::Bf16(_) => panic!("a map in bf16 for a kernel that makes f32"),
        }
    }
}

impl<'a> From<Src<'a, f32>> for MapSrc<'a> {
    fn from(view: Src<'a, f32>) -> Self {
        MapSrc::F32(view)
    }
}

impl<'a> From<&'a [f32]> for MapSrc<'a> {
    fn from(slice: &'a [f32]) -> Self {
        MapSrc::F32(slice.into())
    }
}

impl<'a> From<Dst<'a, f32>> for MapDst<'a> {
    fn from(view: Dst<'a, f32>) -> Self {
        MapDst::F32(view)
    }
}

impl<'a> From<&'a mut [f32]> for MapDst<'a> {
    fn from(slice: &'a mut [f32]) -> Self {
        MapDst::F32(slice.into())
    }
}
