//! How large a picture may be.

/// Bounds on a file and on what it becomes. A few kilobytes may say that they are a picture of gigabytes; both are looked at
/// before a pixel is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a file.
    pub bytes: u64,
    /// Most pixels of a picture, width by height.
    pub pixels: u64,
}

impl Limits {
    /// Bytes of memory per pixel that decoding may take: four channels of 16 bits.
    const PER_PIXEL: u64 = 8;

    /// Bytes that a decoded picture may have.
    pub(crate) fn memory(&self) -> u64 {
        self.pixels.saturating_mul(Self::PER_PIXEL)
    }
}

/// Files of 256 MiB, and pictures of 128 million pixels: above cameras', below what fills a machine's memory.
impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 256 << 20, pixels: 128_000_000 }
    }
}
