//! Policies that draw operations: RandAugment, TrivialAugmentWide, AugMix and colour jitter, each with the operations, probabilities and
//! magnitudes of torchvision's class of that name.

use super::distributions::log_gamma;
use super::edit::Edit;
use super::ops::Operation;
use super::rng::Stream;

/// Steps of the magnitudes of RandAugment and TrivialAugmentWide.
const BINS: usize = 31;
/// Those of AugMix.
const AUG_MIX_BINS: usize = 10;

/// The largest magnitudes of a policy.
struct Limits {
    shear: f32,
    /// Pixels, `[x, y]`.
    translate: [f32; 2],
    rotate: f32,
    enhance: f32,
    /// Bits that are kept at the least magnitude, and how many fewer at the largest.
    posterize: [f32; 2],
}

/// What an operation is made with: its part of the largest magnitude, and its direction.
struct Magnitude {
    part: f32,
    sign: f32,
}

type Make = fn(&Limits, &Magnitude) -> Operation;

/// Operations in torchvision's order, behind one that does nothing.
const ALL: [Make; 13] = [
    |l, m| Operation::ShearX(f64::from(m.sign * m.part * l.shear)),
    |l, m| Operation::ShearY(f64::from(m.sign * m.part * l.shear)),
    |l, m| Operation::TranslateX((m.sign * m.part * l.translate[0]) as i32),
    |l, m| Operation::TranslateY((m.sign * m.part * l.translate[1]) as i32),
    |l, m| Operation::Rotate(f64::from(m.sign * m.part * l.rotate)),
    |l, m| Operation::Brightness(1.0 + m.sign * m.part * l.enhance),
    |l, m| Operation::Color(1.0 + m.sign * m.part * l.enhance),
    |l, m| Operation::Contrast(1.0 + m.sign * m.part * l.enhance),
    |l, m| Operation::Sharpness(1.0 + m.sign * m.part * l.enhance),
    |l, m| Operation::Posterize((l.posterize[0] - (m.part * l.posterize[1]).round()) as u32),
    |_, m| Operation::Solarize(255.0 * (1.0 - m.part)),
    |_, _| Operation::AutoContrast,
    |_, _| Operation::Equalize,
];

fn magnitude(stream: &mut Stream, bin: usize, bins: usize) -> Magnitude {
    let sign = if stream.below(2) == 1 { -1.0 } else { 1.0 };
    Magnitude { part: bin as f32 / (bins - 1) as f32, sign }
}

/// One of all operations, or of those and none.
fn any(stream: &mut Stream, limits: &Limits, bin: usize) -> Option<Operation> {
    let chosen = stream.below(ALL.len() as u32 + 1).checked_sub(1);
    let magnitude = magnitude(stream, bin, BINS);
    chosen.map(|chosen| ALL[chosen as usize](limits, &magnitude))
}

fn operate(operation: Option<Operation>) -> Edit {
    operation.map_or(Edit::Keep, Edit::Operate)
}

/// That many operations of one magnitude, `0..=30` (Cubuk et al. 2020).
pub(super) fn rand_augment(
    stream: &mut Stream,
    operations: usize,
    bin: usize,
    [height, width]: [usize; 2],
    edits: &mut Vec<Edit>,
) {
    let translate = [width, height].map(|len| 150.0 / 331.0 * len as f32);
    let limits = Limits { shear: 0.3, translate, rotate: 30.0, enhance: 0.9, posterize: [8.0, 4.0] };
    edits.extend((0..operations).map(|_| operate(any(stream, &limits, bin))));
}

/// One operation of any magnitude (Müller and Hutter 2021).
pub(super) fn trivial_augment(stream: &mut Stream) -> Edit {
    let limits =
        Limits { shear: 0.99, translate: [32.0; 2], rotate: 135.0, enhance: 0.99, posterize: [8.0, 6.0] };
    let bin = stream.below(BINS as u32) as usize;
    operate(any(stream, &limits, bin))
}

/// The settings of AugMix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chains {
    /// Magnitudes are below it, of 10.
    pub severity: usize,
    /// How many.
    pub chains: usize,
    /// Operations of each; from one to three where nothing is said.
    pub depth: Option<usize>,
    /// Of the distributions of shares.
    pub alpha: f32,
}

/// Chains of operations, mixed with each other and the picture by shares from Dirichlet and Beta distributions (Hendrycks et al. 2020).
pub(super) fn aug_mix(
    stream: &mut Stream,
    Chains { severity, chains, depth, alpha }: Chains,
    size: [usize; 2],
) -> Edit {
    let translate = [size[1], size[0]].map(|len| len as f32 / 3.0);
    let limits = Limits { shear: 0.3, translate, rotate: 30.0, enhance: 0.9, posterize: [4.0, 4.0] };
    let [keep, mixed] = shares(stream, alpha, 2)[..] else { unreachable!("two shares were asked for") };
    let shares = shares(stream, alpha, chains);
    let chain = |share: f32| {
        let length = depth.unwrap_or_else(|| 1 + stream.below(3) as usize);
        let mut one = || {
            let chosen = stream.below(ALL.len() as u32) as usize;
            let bin = stream.below(severity as u32) as usize;
            ALL[chosen](&limits, &magnitude(stream, bin, AUG_MIX_BINS))
        };
        (share * mixed, (0..length).map(|_| one()).collect())
    };
    Edit::Blend { keep, chains: shares.into_iter().map(chain).collect() }
}

/// From Dirichlet(alpha, ..., alpha).
fn shares(stream: &mut Stream, alpha: f32, count: usize) -> Vec<f32> {
    let drawn: Vec<f64> = (0..count).map(|_| log_gamma(stream, alpha)).collect();
    let largest = drawn.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = drawn.into_iter().map(|log| (log - largest).exp()).collect();
    let sum: f64 = parts.iter().sum();
    parts.into_iter().map(|part| (part / sum) as f32).collect()
}

/// Brightness, contrast, saturation and hue in random order, each by a factor around 1 (the hue, a turn around 0) up to so far away.
pub(super) fn color_jitter(stream: &mut Stream, by: [f32; 4], edits: &mut Vec<Edit>) {
    let mut order = [0, 1, 2, 3];
    for i in (1..4).rev() {
        order.swap(i, stream.below(i as u32 + 1) as usize);
    }
    let [brightness, contrast, saturation, hue] = by;
    for kind in order {
        let mut factor = |by: f32| (by > 0.0).then(|| stream.range((1.0 - by).max(0.0), 1.0 + by));
        let operation = match kind {
            0 => factor(brightness).map(Operation::Brightness),
            1 => factor(contrast).map(Operation::Contrast),
            2 => factor(saturation).map(Operation::Color),
            _ => (hue > 0.0).then(|| Operation::Hue(stream.range(-hue, hue))),
        };
        edits.push(operate(operation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rng::Purpose;

    fn stream(index: u64) -> Stream {
        Stream::new(1, Purpose::Augment, 0, index)
    }

    /// What torchvision's tables of magnitudes have at both ends and in the middle.
    #[test]
    fn magnitudes_are_torchvisions() {
        let limits = |posterize| Limits {
            shear: 0.3,
            translate: [150.0, 10.0],
            rotate: 30.0,
            enhance: 0.9,
            posterize,
        };
        let at = |kind: usize, bin: usize, bins: usize, posterize: [f32; 2]| {
            let magnitude = Magnitude { part: bin as f32 / (bins - 1) as f32, sign: -1.0 };
            ALL[kind](&limits(posterize), &magnitude)
        };
        let wide = |bin| at(9, bin, BINS, [8.0, 6.0]);
        assert_eq!([0, 2, 3, 30].map(wide), [8, 8, 7, 2].map(Operation::Posterize));
        assert_eq!(
            [0, 1, 2].map(|bin| at(9, bin, AUG_MIX_BINS, [4.0, 4.0])),
            [4, 4, 3].map(Operation::Posterize)
        );
        assert_eq!(at(10, 30, BINS, [8.0, 4.0]), Operation::Solarize(0.0));
        assert_eq!(at(10, 0, BINS, [8.0, 4.0]), Operation::Solarize(255.0));
        assert_eq!(at(2, 9, BINS, [8.0, 4.0]), Operation::TranslateX(-45));
        assert_eq!(at(3, 29, BINS, [8.0, 4.0]), Operation::TranslateY(-9));
        assert_eq!(at(4, 15, BINS, [8.0, 4.0]), Operation::Rotate(-15.0));
        assert_eq!(at(5, 30, BINS, [8.0, 4.0]), Operation::Brightness(1.0 - 0.9));
    }

    #[test]
    fn every_operation_is_drawn_as_often() {
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..14_000 {
            let mut edits = Vec::new();
            rand_augment(&mut stream(index), 1, 9, [32, 32], &mut edits);
            let name = match edits[..] {
                [Edit::Keep] => "none".to_owned(),
                [Edit::Operate(operation)] => {
                    format!("{operation:?}").split('(').next().unwrap_or_default().to_owned()
                }
                _ => panic!("one edit was asked for: {edits:?}"),
            };
            *counts.entry(name).or_insert(0) += 1;
        }
        // 1000 of each of 14 expected, standard deviation 30.5.
        assert_eq!(counts.len(), 14);
        assert!(counts.values().all(|count| (870..1130).contains(count)), "{counts:?}");
    }

    #[test]
    fn shares_of_chains_add_up() {
        for (index, alpha) in [1.0, 0.1, 1.0, 5.0].into_iter().enumerate() {
            let edit = {
                let chains = Chains { severity: 3, chains: 4, depth: None, alpha };
                aug_mix(&mut stream(index as u64), chains, [32, 32])
            };
            let Edit::Blend { keep, chains } = edit else { panic!("AugMix blends") };
            let sum: f32 = keep + chains.iter().map(|(share, _)| share).sum::<f32>();
            assert!((sum - 1.0).abs() < 1e-5, "{sum}");
            assert!(chains.len() == 4 && chains.iter().all(|(_, chain)| (1..=3).contains(&chain.len())));
        }
    }

    #[test]
    fn jitter_keeps_its_bounds_and_mixes_the_order() {
        let mut first = std::collections::BTreeSet::new();
        for index in 0..200 {
            let mut edits = Vec::new();
            color_jitter(&mut stream(index), [0.4, 1.5, 0.0, 0.1], &mut edits);
            assert_eq!(edits.len(), 4);
            for edit in &edits {
                match edit {
                    Edit::Operate(Operation::Brightness(by)) => assert!((0.6..1.4).contains(by)),
                    Edit::Operate(Operation::Contrast(by)) => assert!((0.0..2.5).contains(by)),
                    Edit::Operate(Operation::Hue(by)) => assert!((-0.1..0.1).contains(by)),
                    other => assert_eq!(other, &Edit::Keep, "no saturation was asked for"),
                }
            }
            first.insert(format!("{:?}", edits[0]).split('(').nth(1).unwrap_or_default().to_owned());
        }
        assert_eq!(first.len(), 4);
    }
}
