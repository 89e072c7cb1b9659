//! A decoded picture.

/// Pixels of three bytes each: red, green, blue, as the file has them (in no linear space).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    /// `[height][width][3]`
    pixels: Vec<u8>,
}

impl Picture {
    /// Channels of a pixel.
    pub const CHANNELS: usize = 3;

    /// A picture of `[height][width][3]` bytes.
    ///
    /// # Panics
    /// Where the bytes are not that many, or there are none.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width * height * Self::CHANNELS, "bytes of {width}x{height} pixels");
        assert!(!pixels.is_empty(), "a picture has pixels");
        Picture { width, height, pixels }
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `[height][width][3]`
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The window of that size whose upper left corner is at `left`, `top`.
    ///
    /// # Panics
    /// Where the window is not within the picture.
    pub fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Picture {
        assert!(left + width <= self.width && top + height <= self.height, "the window lies in the picture");
        let row = |y: usize| {
            let start = (y * self.width + left) * Self::CHANNELS;
            &self.pixels[start..start + width * Self::CHANNELS]
        };
        let pixels = (top..top + height).flat_map(row).copied().collect();
        Picture::new(width, height, pixels)
    }
}
