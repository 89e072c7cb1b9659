//! Random changes of pictures: which edits an augmentation comes to.

use resnetc_compiler::spec::train::Augment;

use super::edit::Edit;
use super::policy;
use super::rng::{Purpose, Stream};

/// What is drawn for: a picture in an epoch of a training.
#[derive(Debug, Clone, Copy)]
pub struct Drawn {
    /// Of the training.
    pub seed: u64,
    /// Number of the epoch.
    pub epoch: usize,
    /// The stream of the picture's turn ([`super::order::Turn::stream`]).
    pub index: u64,
}

/// Draws the edits of all changes, for a picture of that height and width: one for each change that devices make, any number for others
/// ([`Augment::on_host`]). What is drawn does not depend on the picture, its size apart.
pub fn draw(changes: &[Augment], [height, width]: [usize; 2], what: Drawn, edits: &mut Vec<Edit>) {
    let Drawn { seed, epoch, index } = what;
    let stream = &mut Stream::new(seed, Purpose::Augment, epoch as u64, index);
    let mirror = |mirrored: bool| if mirrored { Edit::Mirror } else { Edit::Keep };
    let upend = |upended: bool| if upended { Edit::Upend } else { Edit::Keep };
    for change in changes {
        let edit = match *change {
            // Made before all others, when the picture gets the size of the image.
            Augment::RandomResizedCrop { .. } => Edit::Keep,
            Augment::Crop { padding } => {
                let [dy, dx] = crop(stream, padding);
                Edit::Shift { dy, dx }
            }
            Augment::CropReflect { padding } => {
                let [dy, dx] = crop(stream, padding);
                Edit::Reflect { dy, dx }
            }
            Augment::Flip { probability } => mirror(stream.chance(probability)),
            Augment::FlipVertical { probability } => upend(stream.chance(probability)),
            Augment::FlipAlternating { probability } => {
                let mut first = Stream::new(seed, Purpose::AlternatingFlip, 0, index);
                mirror(first.chance(probability) ^ (epoch % 2 == 1))
            }
            Augment::Cutout { size } => cutout(stream, size, [height, width]),
            Augment::RandomErasing { probability, scale, ratio } => match stream.chance(probability) {
                true => erase(stream, scale, ratio, [height, width]),
                false => Edit::Keep,
            },
            Augment::ColorJitter { brightness, contrast, saturation, hue } => {
                policy::color_jitter(stream, [brightness, contrast, saturation, hue], edits);
                continue;
            }
            Augment::RandAugment { operations, magnitude } => {
                policy::rand_augment(stream, operations, magnitude, [height, width], edits);
                continue;
            }
            Augment::TrivialAugment => policy::trivial_augment(stream),
            Augment::AugMix { severity, width: chains, depth, alpha } => {
                policy::aug_mix(stream, policy::Chains { severity, chains, depth, alpha }, [height, width])
            }
        };
        edits.push(edit);
    }
}

/// By how much a window of the picture's size is moved, out of the picture with that many pixels around it.
fn crop(stream: &mut Stream, padding: usize) -> [i32; 2] {
    let mut shift = || stream.below(2 * padding as u32 + 1) as i32 - padding as i32;
    [shift(), shift()]
}

/// A filled rectangle within the picture: a uniform part of it, its ratio uniform by its logarithm. Nothing where ten of them do not fit.
fn erase(stream: &mut Stream, scale: [f32; 2], ratio: [f32; 2], [height, width]: [usize; 2]) -> Edit {
    for _ in 0..10 {
        let area = (height * width) as f32 * stream.range(scale[0], scale[1]);
        let ratio = stream.range(ratio[0].ln(), ratio[1].ln()).exp();
        let rows = (area * ratio).sqrt().round() as u32;
        let columns = (area / ratio).sqrt().round() as u32;
        if rows < height as u32 && columns < width as u32 {
            let top = stream.below(height as u32 - rows + 1);
            let left = stream.below(width as u32 - columns + 1);
            return Edit::Fill { rows: top..top + rows, columns: left..left + columns };
        }
    }
    Edit::Keep
}

/// A filled square of that side around a random centre, cut at the border (DeVries and Taylor 2017).
fn cutout(stream: &mut Stream, side: usize, [height, width]: [usize; 2]) -> Edit {
    let mut span = |len: usize| {
        let centre = stream.below(len as u32) as usize;
        centre.saturating_sub(side / 2) as u32..(centre + side - side / 2) as u32
    };
    let (rows, columns) = (span(height), span(width));
    Edit::Fill { rows, columns }
}
