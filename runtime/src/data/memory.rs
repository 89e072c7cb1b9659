//! Pictures of one size that lie in memory.

use std::sync::Arc;

use super::source::{Picture, Source};
use crate::error::{Error, Result};

/// Pictures of one size with their classes.
pub struct InMemory {
    name: String,
    classes: Arc<[String]>,
    size: [usize; 3],
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl InMemory {
    /// Pictures of `[height, width, channels]`, their pixels `[len][height][width][channels]`, one label per picture.
    ///
    /// # Errors
    /// [`Error::Data`] where pixels and labels do not agree.
    pub fn new(
        name: impl Into<String>,
        classes: Arc<[String]>,
        size: [usize; 3],
        pixels: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let bytes = size.iter().product::<usize>();
        if bytes == 0 || pixels.len() != bytes * labels.len() {
            return Err(Error::Data(format!(
                "{} bytes of pixels are not {} images of {size:?}",
                pixels.len(),
                labels.len()
            )));
        }
        Ok(InMemory { name: name.into(), classes, size, pixels, labels })
    }
}

impl Source for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        let bytes = self.size.iter().product::<usize>();
        Ok(Picture::new(self.size, &self.pixels[index * bytes..(index + 1) * bytes]))
    }

    fn pixels(&self) -> Option<([usize; 3], &[u8])> {
        Some((self.size, &self.pixels))
    }

    fn fingerprinted(&self) -> usize {
        self.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(size: [usize; 3]) -> Result<InMemory> {
        InMemory::new("two", Arc::new(["a".to_owned()]), size, (0..12).collect(), vec![0, 0])
    }

    #[test]
    fn pictures_are_parts_of_the_pixels() {
        let source = two([1, 2, 3]).expect("twelve bytes");
        assert_eq!((source.name(), source.len(), source.label(1)), ("two", 2, 0));
        let second = source.picture(1).expect("in memory");
        assert_eq!((second.size(), second.pixels()), ([1, 2, 3], &[6, 7, 8, 9, 10, 11][..]));
    }

    #[test]
    fn pixels_and_labels_must_agree() {
        for size in [[2, 2, 3], [0, 2, 3]] {
            let error = two(size).err().expect("no two pictures").to_string();
            assert_eq!(error, format!("12 bytes of pixels are not 2 images of {size:?}"));
        }
    }
}
