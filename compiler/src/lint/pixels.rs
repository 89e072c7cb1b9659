//! What is said of pixels in other units than the trainer's, or beyond the image.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::spec::train::Augment;

/// Pixels are scaled to `0..1` before they are normalised: statistics above that are those of bytes.
pub(super) fn statistics(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let normalize = &subject.spec.train.normalize;
    let keys = [("mean", &normalize.mean), ("std", &normalize.std)];
    let of_bytes = keys.into_iter().filter(|(_, values)| values.iter().any(|&value| value > 1.0));
    let warn = |(key, values): (&str, &Vec<f32>)| {
        let largest = values.iter().copied().fold(0.0, f32::max);
        let span = subject.place(&format!("train.normalize.{key}"));
        let message = format!("`{key}` looks like one of pixels in 0..255");
        Diagnostic::warning(message, span, format!("up to {largest}"))
            .help("pixels are scaled to 0..1 first: divide by 255")
    };
    of_bytes.map(warn).collect()
}

/// Images of which nothing may be left.
pub(super) fn augmentation(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let [_, h, w] = subject.spec.input.value;
    let span = subject.place("train.augment");
    let warn = |step: &Augment| {
        let (message, text) = match *step {
            Augment::Crop { padding } if padding >= h.min(w) => {
                ("some windows of `crop` miss the image", format!("padding {padding} around {h}x{w} pixels"))
            }
            Augment::CropReflect { padding } if padding >= h.min(w) => {
                ("`crop` mirrors more than the image has", format!("padding {padding} around {h}x{w} pixels"))
            }
            Augment::Cutout { size } if size >= h.min(w) => {
                ("`cutout` may take the whole image", format!("{size}x{size} of {h}x{w} pixels"))
            }
            Augment::RandomResizedCrop { .. }
            | Augment::Crop { .. }
            | Augment::CropReflect { .. }
            | Augment::Cutout { .. }
            | Augment::Flip { .. }
            | Augment::FlipVertical { .. }
            | Augment::FlipAlternating { .. }
            | Augment::RandomErasing { .. }
            | Augment::ColorJitter { .. }
            | Augment::RandAugment { .. }
            | Augment::TrivialAugment
            | Augment::AugMix { .. } => return None,
        };
        Some(
            Diagnostic::warning(message, span, text)
                .help("an eighth of the image is usual for `crop`, a half for `cutout`"),
        )
    };
    subject.spec.train.augment.iter().filter_map(warn).collect()
}
