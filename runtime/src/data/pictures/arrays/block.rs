//! Pictures of one size in one piece of bytes.

use std::ops::Range;
use std::sync::Arc;

use resnetc_weights::Content;

use crate::data::source::Picture;

/// Pictures side by side, where they lie in a file or in memory.
#[derive(Debug, Clone)]
pub(super) struct Block {
    content: Arc<Content>,
    range: Range<usize>,
    /// Number of pictures.
    count: usize,
    /// `[height, width, channels]`
    size: [usize; 3],
    /// Whether a picture is `[channel][row][column]`.
    planes: bool,
}

impl Block {
    /// So many pictures of `[height, width, channels]` from a byte on; in planes they are `[channel][row][column]`. `None` where they do
    /// not lie within the content, or have no pixels.
    pub fn new(
        content: &Arc<Content>,
        start: usize,
        count: usize,
        size: [usize; 3],
        planes: bool,
    ) -> Option<Self> {
        let bytes =
            size.iter().try_fold(1usize, |all, &side| all.checked_mul(side)).filter(|&bytes| bytes > 0)?;
        let end = bytes.checked_mul(count).and_then(|bytes| start.checked_add(bytes))?;
        let inside = end <= content.len() && u32::try_from(count).is_ok();
        inside.then(|| Block { content: Arc::clone(content), range: start..end, count, size, planes })
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.count
    }

    /// A picture: where it lies, unless it comes in planes.
    pub fn picture(&self, index: usize) -> Picture<'_> {
        let bytes = self.size.iter().product::<usize>();
        let whole = &self.content[self.range.clone()];
        let pixels = &whole[index * bytes..(index + 1) * bytes];
        let [height, width, channels] = self.size;
        if !self.planes || channels == 1 {
            return Picture::new(self.size, pixels);
        }
        let plane = height * width;
        let pixel = |at: usize| (0..channels).map(move |channel| pixels[channel * plane + at]);
        Picture::new(self.size, (0..plane).flat_map(pixel).collect::<Vec<u8>>())
    }

    /// All pictures, where each is `[row][column][channel]`.
    pub fn whole(&self) -> Option<([usize; 3], &[u8])> {
        let lies = !self.planes || self.size[2] == 1;
        lies.then(|| (self.size, &self.content[self.range.clone()]))
    }
}
