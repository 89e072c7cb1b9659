//! Batches of mixed images: mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019), as timm's `Mixup` in its mode `batch`.
//!
//! Each image is mixed with the one as far from the batch's end as it is from its beginning, all by one share. What is drawn depends
//! on `(seed, epoch, step)` alone.

use std::ops::Range;

use resnetc_compiler::spec::train::Mix;

use super::batch::Partners;
use super::distributions::beta;
use super::rng::{Purpose, Stream};

/// How one batch is mixed.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixture {
    /// Not at all.
    Plain,
    /// `share * image + (1 - share) * other`
    Sum {
        /// Of the image itself.
        share: f32,
    },
    /// The other's pixels within a window, the image's around it.
    Window {
        /// Of the image.
        rows: Range<usize>,
        /// Likewise.
        columns: Range<usize>,
        /// Of the pixels, those that are the image's own.
        share: f32,
    },
}

impl Mixture {
    /// What is drawn for a step, of images of that height and width.
    pub fn draw(mix: &Mix, seed: u64, [epoch, step]: [usize; 2], size: [usize; 2]) -> Self {
        if mix.epochs.is_some_and(|epochs| epoch >= epochs) {
            return Mixture::Plain;
        }
        let mut stream = Stream::new(seed, Purpose::Mix, epoch as u64, step as u64);
        if !stream.chance(mix.probability) {
            return Mixture::Plain;
        }
        let cut = match (mix.mixup > 0.0, mix.cutmix > 0.0) {
            (true, true) => stream.chance(mix.switch),
            (_, cut) => cut,
        };
        let share = beta(&mut stream, if cut { mix.cutmix } else { mix.mixup });
        match (cut, share as f32) {
            (_, 1.0) => Mixture::Plain,
            (false, share) => Mixture::Sum { share },
            (true, _) => window(&mut stream, share, size),
        }
    }

    /// The share of each image itself.
    pub fn share(&self) -> f32 {
        match *self {
            Mixture::Plain => 1.0,
            Mixture::Sum { share } | Mixture::Window { share, .. } => share,
        }
    }

    /// Mixes images `[n][height][width][channels]`, `size` being that of one.
    pub fn apply(&self, images: &mut [f32], size: [usize; 3]) {
        let len = size.iter().product::<usize>().max(1);
        let (front, back) = images.split_at_mut(images.len() / len / 2 * len);
        for (image, other) in front.chunks_exact_mut(len).zip(back.chunks_exact_mut(len).rev()) {
            self.pair(image, other, size);
        }
    }

    /// Each of two images is mixed with the other as that was before.
    fn pair(&self, image: &mut [f32], other: &mut [f32], [_, width, channels]: [usize; 3]) {
        match self {
            Mixture::Plain => {}
            Mixture::Sum { share } => {
                let rest = 1.0 - share;
                for (a, b) in image.iter_mut().zip(other) {
                    (*a, *b) = (*a * share + *b * rest, *b * share + *a * rest);
                }
            }
            Mixture::Window { rows, columns, .. } => {
                for row in rows.clone() {
                    let start = row * width;
                    let pixels = (start + columns.start) * channels..(start + columns.end) * channels;
                    image[pixels.clone()].swap_with_slice(&mut other[pixels]);
                }
            }
        }
    }

    /// What the loss is told of the mixture.
    pub fn partners(&self, labels: &[u32], to: &mut Partners) {
        to.labels.clear();
        to.labels.extend(labels.iter().rev());
        to.shares.clear();
        to.shares.resize(labels.len(), self.share());
    }
}

/// A window of `1 - share` of the area around a uniform centre, cut at the border; the share is then that of what is left.
fn window(stream: &mut Stream, share: f64, [height, width]: [usize; 2]) -> Mixture {
    let ratio = (1.0 - share).sqrt();
    let mut span = |len: usize| {
        let half = (len as f64 * ratio) as usize / 2;
        let centre = stream.below(len as u32) as usize;
        centre.saturating_sub(half)..(centre + half).min(len)
    };
    let (rows, columns) = (span(height), span(width));
    let area = rows.len() * columns.len();
    let share = (1.0 - area as f64 / (height * width) as f64) as f32;
    if area == 0 { Mixture::Plain } else { Mixture::Window { rows, columns, share } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: Mix = Mix { mixup: 0.2, cutmix: 1.0, probability: 0.8, switch: 0.5, epochs: None };

    fn drawn(mix: &Mix) -> Vec<Mixture> {
        (0..4000).map(|step| Mixture::draw(mix, 3, [1, step], [8, 10])).collect()
    }

    #[test]
    fn batches_are_mixed_as_often_as_asked() {
        let all = drawn(&MIX);
        let count = |kind: fn(&Mixture) -> bool| all.iter().filter(|&mixture| kind(mixture)).count();
        // 1600 of each way expected, standard deviation 31; small windows, and shares that round to 1, leave plain ones.
        assert!((1450..1720).contains(&count(|m| matches!(m, Mixture::Window { .. }))));
        assert!((1450..1720).contains(&count(|m| matches!(m, Mixture::Sum { .. }))));
        let never = drawn(&Mix { probability: 0.0, ..MIX });
        assert!(never.iter().all(|mixture| *mixture == Mixture::Plain));
        let one_way = drawn(&Mix { cutmix: 0.0, ..MIX });
        assert!(!one_way.iter().any(|mixture| matches!(mixture, Mixture::Window { .. })));
        assert_ne!(
            drawn(&MIX),
            (0..4000).map(|s| Mixture::draw(&MIX, 3, [2, s], [8, 10])).collect::<Vec<_>>()
        );
    }

    #[test]
    fn the_first_epochs_are_mixed_as_without_an_end_and_those_behind_it_are_not() {
        let two = Mix { epochs: Some(2), ..MIX };
        let draw = |mix: &Mix, epoch: usize| -> Vec<Mixture> {
            (0..50).map(|step| Mixture::draw(mix, 3, [epoch, step], [8, 10])).collect()
        };
        assert_eq!([draw(&two, 0), draw(&two, 1)], [draw(&MIX, 0), draw(&MIX, 1)]);
        for epoch in 2..4 {
            assert!(draw(&two, epoch).iter().all(|mixture| *mixture == Mixture::Plain));
            assert!(draw(&MIX, epoch).iter().any(|mixture| *mixture != Mixture::Plain));
        }
    }

    #[test]
    fn a_sum_takes_both_images_by_their_shares() {
        let mut images = vec![1.0, 2.0, 10.0, 20.0, 5.0, 7.0];
        Mixture::Sum { share: 0.75 }.apply(&mut images, [1, 2, 1]);
        // The middle one is its own partner.
        assert_eq!(images, [2.0, 3.25, 10.0, 20.0, 4.0, 5.75]);
    }

    #[test]
    fn a_window_is_exchanged_and_counted() {
        let mixture = Mixture::draw(&Mix { mixup: 0.0, ..MIX }, 3, [1, 1], [8, 10]);
        let all = drawn(&Mix { mixup: 0.0, ..MIX });
        assert_eq!(mixture, all[1]);
        for mixture in all {
            let mut images: Vec<f32> = (0..320).map(|i| (i / 160) as f32).collect();
            mixture.apply(&mut images, [8, 10, 2]);
            let kept = images[..160].iter().filter(|&&v| v == 0.0).count();
            assert_eq!(kept as f32 / 160.0, mixture.share(), "{mixture:?}");
            assert!(images[..160].iter().zip(&images[160..]).all(|(a, b)| a + b == 1.0));
        }
    }

    #[test]
    fn the_loss_is_told_of_partners() {
        let mut partners = Partners { labels: vec![9], shares: vec![0.0; 7] };
        Mixture::Sum { share: 0.75 }.partners(&[1, 2, 3], &mut partners);
        assert_eq!(partners, Partners { labels: vec![3, 2, 1], shares: vec![0.75; 3] });
    }
}
