//! Images that are small at first (progressive resizing): how large they are in which epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of the section.
pub const RESIZING: Section = Section {
    what: "`progressive_resizing`",
    keys: &[
        Key::new(
            "initial",
            Shape::Number(0.01, 1.0),
            "Share of the sides of `input` that the first images have.",
        )
        .default("0.5"),
        Key::new("delay", Shape::Number(0.0, 1.0), "Share of the training before images grow.")
            .default("0.5"),
        Key::new(
            "finetune",
            Shape::Number(0.0, 1.0),
            "Share of the training, its end, with images of the size of `input`; at least the last epoch.",
        )
        .default("0.2"),
        Key::new(
            "multiple",
            Shape::Count(1, 1 << 10),
            "Sides that are not those of `input` are multiples of it.",
        )
        .default("4"),
    ],
};

/// Images grow over a training, as with MosaicML Composer's `ProgressiveResizing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resizing {
    /// Scale of the sides at first.
    pub initial: f32,
    /// Share of the training with the first size.
    pub delay: f32,
    /// Share of the training with the full size, at its end.
    pub finetune: f32,
    /// What sides are multiples of.
    pub multiple: usize,
}

/// As specs spell it.
impl fmt::Display for Resizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resizing { initial, delay, finetune, multiple } = self;
        write!(f, "{{initial: {initial}, delay: {delay}, finetune: {finetune}, multiple: {multiple}}}")
    }
}

impl Resizing {
    /// `initial + (1 - initial) * clamp((t - delay) / (1 - finetune - delay), 0, 1)` after a share `t` of the training (Composer's formula).
    fn scale(&self, t: f64) -> f64 {
        let [initial, delay, finetune] = [self.initial, self.delay, self.finetune].map(f64::from);
        let growing = 1.0 - finetune - delay;
        // Shares that are the whole in sum, as near as `f32` comes to what was written, leave nothing to grow in.
        let grown = match growing > f64::from(f32::EPSILON) {
            true => ((t - delay) / growing).clamp(0.0, 1.0),
            false => f64::from(u8::from(t >= delay)),
        };
        initial + (1.0 - initial) * grown
    }

    /// `[height, width]` in an epoch, counted from 0, of a training of so many with a network of full size `full`: the scale of the epoch's
    /// middle times the full size, to the nearest multiple. The last epoch has the full size.
    pub fn size(&self, full: [usize; 2], epoch: usize, epochs: usize) -> [usize; 2] {
        let scale = self.scale((epoch as f64 + 0.5) / epochs.max(1) as f64);
        if epoch + 1 >= epochs || scale >= 1.0 {
            return full;
        }
        let multiple = self.multiple.max(1);
        full.map(|side| {
            let multiples = (side as f64 * scale / multiple as f64).round() as usize;
            (multiples.max(1) * multiple).min(side)
        })
    }
}

/// The growth that a spec asks for.
pub fn read(reader: &mut Reader<'_>, node: &Node) -> Resizing {
    let fields = Fields::read(reader, Some(node), &RESIZING);
    Resizing {
        initial: fields.number(reader, "initial"),
        delay: fields.number(reader, "delay"),
        finetune: fields.number(reader, "finetune"),
        multiple: fields.count(reader, "multiple"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Resizing = Resizing { initial: 0.5, delay: 0.5, finetune: 0.2, multiple: 4 };

    fn heights(resizing: Resizing, full: usize, epochs: usize) -> Vec<usize> {
        (0..epochs).map(|epoch| resizing.size([full, full], epoch, epochs)[0]).collect()
    }

    /// Composer's formula by hand: of ten epochs the sixth has its middle at 0.55, a sixth of the way from 112 to 224.
    #[test]
    fn images_grow_between_delay_and_finetuning() {
        assert_eq!(heights(USUAL, 224, 10), [112, 112, 112, 112, 112, 132, 168, 204, 224, 224]);
        assert_eq!(heights(Resizing { multiple: 32, ..USUAL }, 224, 10)[4..9], [128, 128, 160, 192, 224]);
        assert_eq!(heights(Resizing { finetune: 0.0, delay: 0.0, ..USUAL }, 32, 4), [20, 24, 28, 32]);
        assert_eq!(USUAL.size([32, 48], 0, 10), [16, 24]);
    }

    #[test]
    fn the_last_epoch_is_full_and_no_side_is_nothing_or_beyond_the_full_one() {
        assert_eq!(heights(Resizing { delay: 1.0, finetune: 0.0, ..USUAL }, 32, 3), [16, 16, 32]);
        assert_eq!(heights(Resizing { delay: 0.5, finetune: 0.5, ..USUAL }, 32, 4), [16, 16, 32, 32]);
        assert_eq!(heights(USUAL, 32, 1), [32]);
        assert_eq!(heights(Resizing { initial: 0.01, ..USUAL }, 30, 3), [4, 4, 30]);
        assert_eq!(heights(Resizing { initial: 0.9, ..USUAL }, 30, 3), [28, 28, 30]);
        assert_eq!(heights(Resizing { initial: 0.9, multiple: 64, ..USUAL }, 30, 3), [30, 30, 30]);
    }
}
