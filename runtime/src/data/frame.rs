//! How pictures of any size become images of the network's size.

use std::borrow::Cow;

use resnetc_compiler::spec::preprocess::{Interpolation, Preprocess};
use resnetc_compiler::spec::train::Augment;
use resnetc_compiler::spec::train::tta::Window;
use resnetc_pictures::prepare::{fit, grey};
use resnetc_pictures::resize::{Resizer, resize};
use resnetc_pictures::{self as pictures, Limits, View};

use super::rng::Stream;
use super::source::Picture;
use crate::error::{Error, Result};

/// How a picture gets the size of the network's input.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Not at all: it has it.
    Exact,
    /// Resized as the spec's `preprocess` says, of which a window is cut out: what evaluation and `--predict` do.
    Fit(Preprocess, Window),
    /// A random part of it is resized.
    Part(RandomPart),
}

/// torchvision's `RandomResizedCrop`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomPart {
    /// Least and most area, as a share of the picture's.
    pub scale: [f32; 2],
    /// Least and most ratio of width to height.
    pub ratio: [f32; 2],
}

/// A rectangle of a picture's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Frame {
    /// Takes the change that frames off a list of changes, where it stands first.
    ///
    /// # Errors
    /// [`Error::Data`] where it stands behind another change.
    pub fn split(augment: &[Augment]) -> Result<(Frame, &[Augment])> {
        let part = |change: &Augment| match *change {
            Augment::RandomResizedCrop { scale, ratio } => Some(Frame::Part(RandomPart { scale, ratio })),
            _ => None,
        };
        let first = augment.first().and_then(part);
        let rest = &augment[usize::from(first.is_some())..];
        match rest.iter().any(|change| part(change).is_some()) {
            true => Err(Error::Data(
                "`random_resized_crop` stands behind another change: it has to be the first".into(),
            )),
            false => Ok((first.unwrap_or(Frame::Exact), rest)),
        }
    }

    /// The picture as an image of `[height, width, channels]`; what is random comes from the stream. The resizer is only memory to be
    /// used again.
    ///
    /// # Errors
    /// Where the picture has no three channels, the network takes neither these nor their grey, or it would become too large on the
    /// way.
    pub fn apply<'p>(
        &self,
        picture: Picture<'p>,
        [height, width, channels]: [usize; 3],
        stream: &mut Stream,
        resizer: &mut Resizer,
    ) -> Result<Picture<'p>> {
        let most = Limits::default().pixels;
        let three = |picture| recoloured(picture, pictures::Picture::CHANNELS);
        let framed = match self {
            Frame::Exact => return Ok(recoloured(picture, channels)),
            Frame::Fit(preprocess, window) => {
                fit(view(&three(picture))?, [width, height], preprocess, *window, most, resizer)
            }
            Frame::Part(random) => {
                let picture = three(picture);
                let [rows, columns, _] = picture.size();
                let Part { top, left, height: down, width: across } = random.draw([rows, columns], stream);
                let part = view(&picture)?.part(left, top, across, down);
                resize(part, [width, height], Interpolation::Bilinear, most, resizer)
            }
        };
        let framed = framed.map_err(|error| Error::Data(error.to_string()))?;
        colours(framed, channels)
    }
}

fn view<'p>(picture: &'p Picture<'_>) -> Result<View<'p>> {
    match picture.size() {
        [height, width, pictures::Picture::CHANNELS] if height * width > 0 => {
            Ok(View::new(width, height, picture.pixels()))
        }
        [height, width, channels] => {
            let text =
                format!("{channels}x{height}x{width} is no picture of three channels, which can be resized");
            Err(Error::Data(text))
        }
    }
}

/// A picture with so many channels: grey is repeated where there are to be three, colours become their grey where there is to be one.
/// Other numbers stay, for the caller to refuse.
fn recoloured(picture: Picture<'_>, channels: usize) -> Picture<'_> {
    let [height, width, is] = picture.size();
    let pixels: Vec<u8> = match (is, channels) {
        (1, 3) => picture.pixels().iter().flat_map(|&grey| [grey; 3]).collect(),
        (3, 1) => picture.pixels().chunks_exact(3).map(grey).collect(),
        _ => return picture,
    };
    Picture::new([height, width, channels], pixels)
}

/// The three colours, or their grey.
fn colours(picture: pictures::Picture, channels: usize) -> Result<Picture<'static>> {
    let size = [picture.height(), picture.width(), pictures::Picture::CHANNELS];
    match channels {
        1 | pictures::Picture::CHANNELS => {
            Ok(recoloured(Picture::new(size, Cow::Owned(picture.into_pixels())), channels))
        }
        _ => Err(Error::Data(format!(
            "pictures have 3 channels, or 1 that is grey; the network takes {channels}: write `input: [3, {}, {}]`",
            size[0], size[1]
        ))),
    }
}

/// Tries of a random part before the largest one of the middle is taken.
const TRIES: usize = 10;

impl RandomPart {
    /// A part of a picture of `[height, width]`, as torchvision draws it: area, then logarithm of the ratio, uniform; ten tries; then
    /// row and column of the corner.
    pub fn draw(&self, size: [usize; 2], stream: &mut Stream) -> Part {
        let mut stream = stream;
        self.drawn(size, &mut stream)
    }

    fn drawn(&self, [rows, columns]: [usize; 2], draws: &mut impl Draws) -> Part {
        let [least, most] = self.scale.map(f64::from);
        let [narrow, wide] = self.ratio.map(|ratio| f64::from(ratio).ln());
        for _ in 0..TRIES {
            let area = (rows * columns) as f64 * draws.uniform(least, most);
            let ratio = draws.uniform(narrow, wide).exp();
            // As Python rounds.
            let [width, height] =
                [area * ratio, area / ratio].map(|square| square.sqrt().round_ties_even() as usize);
            if (1..=columns).contains(&width) && (1..=rows).contains(&height) {
                let top = draws.below(rows - height + 1);
                let left = draws.below(columns - width + 1);
                return Part { top, left, height, width };
            }
        }
        self.middle([rows, columns])
    }

    /// The largest part of the middle whose ratio is within the bounds.
    fn middle(&self, [rows, columns]: [usize; 2]) -> Part {
        let [narrow, wide] = self.ratio.map(f64::from);
        let is = columns as f64 / rows as f64;
        let cut = |length: f64, most: usize| (length.round_ties_even() as usize).clamp(1, most);
        let (height, width) = if is < narrow {
            (cut(columns as f64 / narrow, rows), columns)
        } else if is > wide {
            (rows, cut(rows as f64 * wide, columns))
        } else {
            (rows, columns)
        };
        Part { top: (rows - height) / 2, left: (columns - width) / 2, height, width }
    }
}

/// Random numbers.
trait Draws {
    /// Uniform in `[least, most)`.
    fn uniform(&mut self, least: f64, most: f64) -> f64;

    /// Uniform in `0..n`.
    fn below(&mut self, n: usize) -> usize;
}

impl Draws for &mut Stream {
    fn uniform(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * f64::from(self.unit())
    }

    fn below(&mut self, n: usize) -> usize {
        Stream::below(self, n as u32) as usize
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
