//! From a picture to the network's input: in training randomly changed, then normalised.

use resnetc_compiler::spec::train::{Augment, Mix, Normalize};

use super::batch::{Batch, Pictures, Preparation};
use super::canvas::Canvas;
use super::draw::{Drawn, draw};
use super::edit::Edit;
use super::mix::Mixture;
use super::source::Source;
use crate::error::{Error, Result};

/// Augmentation and normalisation of pictures for one network.
#[derive(Debug, Clone)]
pub struct Transform {
    /// `[height, width, channels]` that the network takes.
    size: [usize; 3],
    /// `[channel][byte]`: `(byte / 255 - mean) / std`.
    table: Vec<[f32; 256]>,
    augment: Vec<Augment>,
    mix: Option<Mix>,
    seed: u64,
}

impl Transform {
    /// Changes randomly by `augment`, in its order, from streams of `seed`, and normalises. `size` is what the network takes,
    /// `[height, width, channels]`.
    ///
    /// # Errors
    /// [`Error::Data`] where the normalisation has not one value per channel.
    pub fn new(size: [usize; 3], normalize: &Normalize, augment: &[Augment], seed: u64) -> Result<Self> {
        let table = normalize.table(size[2]).ok_or_else(|| {
            let (means, deviations) = (normalize.mean.len(), normalize.std.len());
            Error::Data(format!(
                "normalisation has {means} means and {deviations} deviations, the images have {} channels",
                size[2]
            ))
        })?;
        Ok(Transform { size, table, augment: augment.to_vec(), mix: None, seed })
    }

    /// The same, with batches that are mixed.
    #[must_use]
    pub fn mixing(self, mix: Option<Mix>) -> Self {
        Transform { mix, ..self }
    }

    /// Whether images have to be made here, because devices cannot do all that is done to them.
    pub fn on_host(&self) -> bool {
        self.mix.is_some() || self.augment.iter().any(Augment::on_host)
    }

    /// Mixes the images of a step, once all are there.
    pub fn mix(&self, batch: &mut Batch, epoch: usize, step: usize) {
        let Some(mix) = &self.mix else { return };
        let mixture = Mixture::draw(mix, self.seed, [epoch, step], [self.size[0], self.size[1]]);
        mixture.apply(&mut batch.images, self.size);
        mixture.partners(&batch.labels, &mut batch.partners);
    }

    /// Elements of one image.
    pub fn len(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether images have no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes a picture, as it is in that epoch, into `out`, `[height][width][channels]`. The canvas is only memory to be used
    /// again.
    ///
    /// # Errors
    /// The source's; [`Error::Data`] where the picture has not the size that the network takes.
    pub fn apply(
        &self,
        source: &dyn Source,
        index: usize,
        epoch: usize,
        canvas: &mut Canvas,
        out: &mut [f32],
    ) -> Result<()> {
        let picture = source.picture(index)?;
        if self.augment.is_empty() {
            self.check(source, index, picture.size())?;
            self.normalize(picture.pixels(), out);
            return Ok(());
        }
        canvas.load(&picture);
        let [height, width, _] = picture.size();
        self.edits([height, width], index, epoch).iter().for_each(|edit| canvas.edit(edit));
        self.check(source, index, canvas.size())?;
        self.normalize(canvas.pixels(), out);
        for (filled, out) in canvas.filled().iter().zip(out.chunks_exact_mut(self.size[2])) {
            if *filled {
                out.fill(0.0);
            }
        }
        Ok(())
    }

    /// Appends a picture as it lies in the source, and the changes that [`Transform::apply`] makes to it in that epoch. `pixels` says whether
    /// its bytes are wanted, or its number alone.
    ///
    /// # Errors
    /// Those of [`Transform::apply`].
    pub fn append(
        &self,
        source: &dyn Source,
        index: usize,
        epoch: usize,
        pixels: bool,
        to: &mut Pictures,
    ) -> Result<()> {
        if pixels {
            let picture = source.picture(index)?;
            self.check(source, index, picture.size())?;
            to.pixels.extend_from_slice(picture.pixels());
        }
        to.indices.push(index as u32);
        to.edits.extend(self.edits([self.size[0], self.size[1]], index, epoch));
        Ok(())
    }

    /// What a device has to know to do this in the place of [`Transform::apply`].
    pub fn preparation<'a>(&'a self, source: &'a dyn Source) -> Preparation<'a> {
        let set = source.pixels().filter(|(size, _)| *size == self.size).map(|(_, pixels)| pixels);
        Preparation { size: self.size, table: &self.table, edits: self.augment.len(), set }
    }

    fn edits(&self, size: [usize; 2], index: usize, epoch: usize) -> Vec<Edit> {
        let mut edits = Vec::with_capacity(self.augment.len());
        if !self.augment.is_empty() {
            draw(&self.augment, size, Drawn { seed: self.seed, epoch, index }, &mut edits);
        }
        edits
    }

    fn check(&self, source: &dyn Source, index: usize, size: [usize; 3]) -> Result<()> {
        if size == self.size {
            return Ok(());
        }
        let text = |[h, w, c]: [usize; 3]| format!("{c}x{h}x{w}");
        let (name, is, takes) = (source.name(), text(size), text(self.size));
        Err(Error::Data(format!(
            "image {index} of {name} is {is}, the network takes {takes}: all images must have one size"
        )))
    }

    fn normalize(&self, bytes: &[u8], out: &mut [f32]) {
        let channels = self.size[2];
        for (pixel, out) in bytes.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            for ((byte, table), out) in pixel.iter().zip(&self.table).zip(out) {
                *out = table[usize::from(*byte)];
            }
        }
    }
}

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;
