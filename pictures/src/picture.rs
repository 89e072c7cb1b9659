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

    /// All of it.
    pub fn view(&self) -> View<'_> {
        View::new(self.width, self.height, &self.pixels)
    }

    /// `[height][width][3]`
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The window of that size whose upper left corner is at `left`, `top`.
    ///
    /// # Panics
    /// Where the window is not within the picture.
    pub fn crop(&self, left: usize, top: usize, width: usize, height: usize) -> Picture {
        self.view().part(left, top, width, height).to_picture()
    }

    /// Left and right exchanged.
    pub fn mirrored(&self) -> Picture {
        let rows = self.pixels.chunks_exact(self.width * Self::CHANNELS);
        let pixels = rows.flat_map(|row| row.chunks_exact(Self::CHANNELS).rev().flatten()).copied().collect();
        Picture::new(self.width, self.height, pixels)
    }
}

/// A rectangle of pixels, where they lie.
#[derive(Debug, Clone, Copy)]
pub struct View<'p> {
    width: usize,
    height: usize,
    /// Pixels from a row to the next.
    stride: usize,
    /// From the first pixel on.
    pixels: &'p [u8],
}

impl<'p> View<'p> {
    /// `[height][width][3]` bytes.
    ///
    /// # Panics
    /// Where the bytes are not that many, or there are none.
    pub fn new(width: usize, height: usize, pixels: &'p [u8]) -> Self {
        assert_eq!(pixels.len(), width * height * Picture::CHANNELS, "bytes of {width}x{height} pixels");
        assert!(!pixels.is_empty(), "a picture has pixels");
        View { width, height, stride: width, pixels }
    }

    /// Pixels from left to right.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels from top to bottom.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The window of that size whose upper left corner is at `left`, `top`.
    ///
    /// # Panics
    /// Where the window is empty or not within the rectangle.
    pub fn part(&self, left: usize, top: usize, width: usize, height: usize) -> View<'p> {
        assert!(left + width <= self.width && top + height <= self.height, "the window lies in the picture");
        assert!(width > 0 && height > 0, "a picture has pixels");
        let first = (top * self.stride + left) * Picture::CHANNELS;
        View { width, height, stride: self.stride, pixels: &self.pixels[first..] }
    }

    /// The rows, `[width][3]` each.
    pub fn rows(&self) -> impl Iterator<Item = &'p [u8]> + use<'p> {
        let (pixels, width) = (self.pixels, self.width * Picture::CHANNELS);
        let stride = self.stride * Picture::CHANNELS;
        (0..self.height).map(move |y| &pixels[y * stride..y * stride + width])
    }

    /// A copy.
    pub fn to_picture(&self) -> Picture {
        let mut pixels = Vec::with_capacity(self.width * self.height * Picture::CHANNELS);
        self.rows().for_each(|row| pixels.extend_from_slice(row));
        Picture::new(self.width, self.height, pixels)
    }
}
