//! From a picture to the network's input: in training randomly changed, then normalised.

use resnetc_compiler::spec::preprocess::Preprocess;
use resnetc_compiler::spec::train::tta::Window;
use resnetc_compiler::spec::train::{Augment, Mix, Normalize};
use resnetc_pictures::resize::Resizer;

use super::batch::{Batch, Pictures, Preparation};
use super::canvas::Canvas;
use super::draw::{Drawn, draw};
use super::edit::Edit;
use super::frame::Frame;
use super::mix::Mixture;
use super::order::Turn;
use super::rng::{Purpose, Stream};
use super::shrink::Shrink;
use super::source::{Picture, Source};
use crate::error::{Error, Result};

/// Memory of one worker, to be used again for each picture.
#[derive(Clone, Default)]
pub struct Workspace {
    canvas: Canvas,
    resizer: Resizer,
}

/// Framing, augmentation and normalisation of pictures for one network.
#[derive(Debug, Clone)]
pub struct Transform {
    /// `[height, width, channels]` that images are made in: what the network takes, unless they are shrunk then.
    size: [usize; 3],
    /// `[channel][byte]`: `(byte / 255 - mean) / std`.
    table: Vec<[f32; 256]>,
    frame: Frame,
    /// Changes of images, that is without what frames pictures.
    augment: Vec<Augment>,
    mix: Option<Mix>,
    /// What makes finished images smaller.
    shrink: Option<Shrink>,
    seed: u64,
}

impl Transform {
    /// Changes randomly by `augment`, in its order, from streams of `seed`, and normalises. `size` is what the network takes,
    /// `[height, width, channels]`. Pictures of other sizes are refused, unless a change makes them fit.
    ///
    /// # Errors
    /// [`Error::Data`] where the normalisation has not one value per channel, or a change stands at a wrong place.
    pub fn new(size: [usize; 3], normalize: &Normalize, augment: &[Augment], seed: u64) -> Result<Self> {
        let table = normalize.table(size[2]).ok_or_else(|| {
            let (means, deviations) = (normalize.mean.len(), normalize.std.len());
            Error::Data(format!(
                "normalisation has {means} means and {deviations} deviations, the images have {} channels",
                size[2]
            ))
        })?;
        let (frame, augment) = Frame::split(augment)?;
        Ok(Transform { size, table, frame, augment: augment.to_vec(), mix: None, shrink: None, seed })
    }

    /// The same, for pictures of any size: where no change makes them fit, `preprocess` does.
    #[must_use]
    pub fn fitting(self, preprocess: &Preprocess) -> Self {
        self.fitting_to(preprocess, Window::Middle)
    }

    /// The same, with another window than the middle.
    #[must_use]
    pub fn fitting_to(mut self, preprocess: &Preprocess, window: Window) -> Self {
        if self.frame == Frame::Exact {
            self.frame = Frame::Fit(preprocess.clone(), window);
        }
        self
    }

    /// Whether pictures may have any size.
    pub fn frames(&self) -> bool {
        self.frame != Frame::Exact
    }

    /// The same, with batches that are mixed.
    #[must_use]
    pub fn mixing(self, mix: Option<Mix>) -> Self {
        Transform { mix, ..self }
    }

    /// The same, with batches whose images are shrunk to `[height, width]` when they are made, changed, normalised and mixed.
    #[must_use]
    pub fn shrinking(self, to: [usize; 2]) -> Self {
        Transform { shrink: Some(Shrink::new(self.size, to)), ..self }
    }

    /// Whether images have to be made here, because devices cannot do all that is done to them.
    pub fn on_host(&self) -> bool {
        self.mix.is_some() || self.shrink.is_some() || self.augment.iter().any(Augment::on_host)
    }

    /// Makes the images of a step one by one, `[height][width][channels]` each, then mixes and shrinks them. `make` writes the image of a
    /// number.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn fill(
        &self,
        batch: &mut Batch,
        [epoch, step]: [usize; 2],
        mut make: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let Batch { images, whole, labels, partners, .. } = batch;
        let made = if self.shrink.is_some() { &mut *whole } else { &mut *images };
        made.resize(labels.len() * self.len(), 0.0);
        made.chunks_exact_mut(self.len()).enumerate().try_for_each(|(index, out)| make(index, out))?;
        if let Some(mix) = &self.mix {
            let mixture = Mixture::draw(mix, self.seed, [epoch, step], [self.size[0], self.size[1]]);
            mixture.apply(made, self.size);
            mixture.partners(labels, partners);
        }
        if let Some(shrink) = &self.shrink {
            shrink.apply(whole, images);
        }
        Ok(())
    }

    /// Elements of one image, before it is shrunk.
    pub fn len(&self) -> usize {
        self.size.iter().product()
    }

    /// Whether images have no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes a picture, as it is in that epoch, into `out`, `[height][width][channels]`.
    ///
    /// # Errors
    /// The source's; [`Error::Data`] where the picture has not the size that the network takes, and nothing makes it fit.
    pub fn apply(
        &self,
        source: &dyn Source,
        turn: impl Into<Turn>,
        epoch: usize,
        workspace: &mut Workspace,
        out: &mut [f32],
    ) -> Result<()> {
        let turn = turn.into();
        let image = self.framed(source, turn, epoch, &mut workspace.resizer)?;
        if self.augment.is_empty() {
            self.normalize(image.pixels(), out);
            return Ok(());
        }
        let canvas = &mut workspace.canvas;
        canvas.load(&image);
        self.edits(turn, epoch).iter().for_each(|edit| canvas.edit(edit));
        self.normalize(canvas.pixels(), out);
        for (filled, out) in canvas.filled().iter().zip(out.chunks_exact_mut(self.size[2])) {
            if *filled {
                out.fill(0.0);
            }
        }
        Ok(())
    }

    /// The image of a picture in that epoch before it is normalised, `[height][width][channels]`, for people to look at. What is filled
    /// has the mean colour, as the network sees it.
    ///
    /// # Errors
    /// Those of [`Transform::apply`].
    pub fn shown(
        &self,
        source: &dyn Source,
        turn: impl Into<Turn>,
        epoch: usize,
        workspace: &mut Workspace,
    ) -> Result<Vec<u8>> {
        let turn = turn.into();
        let image = self.framed(source, turn, epoch, &mut workspace.resizer)?;
        let canvas = &mut workspace.canvas;
        canvas.load(&image);
        self.edits(turn, epoch).iter().for_each(|edit| canvas.edit(edit));
        let least = |table: &[f32; 256]| {
            (0..=255u8).min_by(|&a, &b| table[usize::from(a)].abs().total_cmp(&table[usize::from(b)].abs()))
        };
        let mean: Vec<u8> = self.table.iter().map(|table| least(table).unwrap_or_default()).collect();
        let mut pixels = canvas.pixels().to_vec();
        for (filled, pixel) in canvas.filled().iter().zip(pixels.chunks_exact_mut(self.size[2])) {
            if *filled {
                pixel.copy_from_slice(&mean);
            }
        }
        Ok(pixels)
    }

    /// Appends a picture, framed and not changed further, and the changes that [`Transform::apply`] makes to it in that epoch. `pixels`
    /// says whether its bytes are wanted, or its number alone.
    ///
    /// # Errors
    /// Those of [`Transform::apply`].
    pub fn append(
        &self,
        source: &dyn Source,
        turn: impl Into<Turn>,
        epoch: usize,
        pixels: bool,
        workspace: &mut Workspace,
        to: &mut Pictures,
    ) -> Result<()> {
        let turn = turn.into();
        if pixels {
            let image = self.framed(source, turn, epoch, &mut workspace.resizer)?;
            to.pixels.extend_from_slice(image.pixels());
        }
        to.indices.push(turn.picture);
        to.edits.extend(self.edits(turn, epoch));
        Ok(())
    }

    /// What a device has to know to do this in the place of [`Transform::apply`]. It can hold pictures that need no framing.
    pub fn preparation<'a>(&'a self, source: &'a dyn Source) -> Preparation<'a> {
        let whole = source.pixels().filter(|(size, _)| *size == self.size && !self.frames());
        Preparation {
            size: self.size,
            table: &self.table,
            edits: self.augment.len(),
            set: whole.map(|(_, pixels)| pixels),
        }
    }

    fn framed<'s>(
        &self,
        source: &'s dyn Source,
        turn: Turn,
        epoch: usize,
        resizer: &mut Resizer,
    ) -> Result<Picture<'s>> {
        let mut stream = Stream::new(self.seed, Purpose::Frame, epoch as u64, turn.stream());
        let index = turn.picture as usize;
        let image = self.frame.apply(source.picture(index)?, self.size, &mut stream, resizer)?;
        self.check(source, index, image.size())?;
        Ok(image)
    }

    fn edits(&self, turn: Turn, epoch: usize) -> Vec<Edit> {
        let mut edits = Vec::with_capacity(self.augment.len());
        draw(
            &self.augment,
            [self.size[0], self.size[1]],
            Drawn { seed: self.seed, epoch, index: turn.stream() },
            &mut edits,
        );
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
