//! What a step is given: images and classes.

use super::edit::Edit;

/// How the images of a batch come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Changed and normalised: [`Batch::images`].
    Floats,
    /// As the pictures' bytes, with the changes that are to be made to them: [`Pictures::pixels`].
    Pixels,
    /// As numbers of pictures that the device holds, with their changes: [`Pictures::indices`].
    Indices,
}

/// Images and classes of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// `[n][height][width][channels]`, changed and normalised; empty in other forms.
    pub images: Vec<f32>,
    /// `[n][height][width][channels]`: the images before they were shrunk; empty where they were not.
    pub whole: Vec<f32>,
    /// What a device makes images of; empty where it gets them made.
    pub pictures: Pictures,
    /// `[n]`
    pub labels: Vec<u32>,
    /// What the images are mixed with; empty where they are not.
    pub partners: Partners,
    /// `[n][classes]`: another network's logits, which are learned from; empty where there is no such network.
    pub teacher: Vec<f32>,
}

/// The other images of a mixed batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Partners {
    /// `[n]`: the classes of the other images.
    pub labels: Vec<u32>,
    /// `[n]`: the share that the image itself has, `0..=1`.
    pub shares: Vec<f32>,
}

/// Pictures of one size, before they are changed and normalised.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pictures {
    /// `[n]`: numbers of pictures of the set.
    pub indices: Vec<u32>,
    /// `[n][height][width][channels]`; empty where the device holds the set.
    pub pixels: Vec<u8>,
    /// `[n][changes]`: what is done to each picture, in order.
    pub edits: Vec<Edit>,
}

impl Pictures {
    /// Empties all lists; their memory stays.
    pub fn clear(&mut self) {
        self.indices.clear();
        self.pixels.clear();
        self.edits.clear();
    }
}

/// What a device has to know to make images of pictures.
#[derive(Debug, Clone, Copy)]
pub struct Preparation<'a> {
    /// `[height, width, channels]` of pictures and images.
    pub size: [usize; 3],
    /// `[channel][byte]`: the byte normalised. What is filled becomes 0.
    pub table: &'a [[f32; 256]],
    /// Edits of each picture.
    pub edits: usize,
    /// `[len][height][width][channels]`: the whole set, where it lies in memory.
    pub set: Option<&'a [u8]>,
}
