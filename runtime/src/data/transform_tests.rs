//! Properties of normalisation and of each random change.

use proptest::prelude::*;

use super::*;
use crate::data::rng::{Purpose, Stream};
use crate::data::source::Picture;
use crate::data::source::tests::Odd;

const SIZE: [usize; 3] = [6, 5, 3];

fn plain() -> Normalize {
    // Byte b becomes b + 1 (to rounding), so that no pixel is zero.
    Normalize { mean: vec![-1.0 / 255.0; 3], std: vec![1.0 / 255.0; 3] }
}

/// The same picture at every index, all its elements different.
struct Same;

impl Source for Same {
    fn name(&self) -> &str {
        "same"
    }

    fn len(&self) -> usize {
        usize::MAX
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn picture(&self, _: usize) -> Result<Picture<'_>> {
        Ok(Picture::new(SIZE, (0..90).collect::<Vec<u8>>()))
    }
}

fn exact(normalize: &Normalize, augment: &[Augment], epoch: usize, index: usize) -> Vec<f32> {
    let transform = Transform::new(SIZE, normalize, augment, 3).expect("three channels");
    let mut out = vec![f32::NAN; 90];
    transform.apply(&Same, index, epoch, &mut Workspace::default(), &mut out).expect("the network's size");
    out
}

fn apply(augment: &[Augment], epoch: usize, index: usize) -> Vec<f32> {
    exact(&plain(), augment, epoch, index).iter().map(|v| v.round()).collect()
}

fn at(image: &[f32], y: isize, x: isize, c: usize) -> f32 {
    let inside = (0..6).contains(&y) && (0..5).contains(&x);
    if inside { image[(y as usize * 5 + x as usize) * 3 + c] } else { 0.0 }
}

#[test]
fn normalises_per_channel_as_the_formula_says() {
    let normalize = Normalize { mean: vec![0.1, 0.2, 0.3], std: vec![0.5, 0.25, 2.0] };
    let transform = Transform::new([1, 1, 3], &normalize, &[], 0).expect("three channels");
    let mut out = [0.0; 3];
    transform.normalize(&[0, 51, 255], &mut out);
    let expected = [-0.1 / 0.5, (0.2 - 0.2) / 0.25, (1.0 - 0.3) / 2.0];
    assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{out:?}");
    assert!(Transform::new([1, 1, 1], &normalize, &[], 0).is_err());
}

#[test]
fn crop_is_a_shift_with_zeros_and_every_shift_occurs() {
    let base = apply(&[], 0, 0);
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..400 {
        let cropped = apply(&[Augment::Crop { padding: 2 }], 1, index);
        let matches = |dy: isize, dx: isize| {
            (0..90).all(|i| {
                let (y, x, c) = ((i / 15) as isize, (i / 3 % 5) as isize, i % 3);
                cropped[i] == at(&base, y + dy, x + dx, c)
            })
        };
        let shift =
            (-2..=2).flat_map(|dy| (-2..=2).map(move |dx| (dy, dx))).find(|&(dy, dx)| matches(dy, dx));
        seen.insert(shift.expect("a shift by at most two pixels"));
    }
    assert_eq!(seen.len(), 25);
}

#[test]
fn flip_mirrors_columns_as_often_as_asked() {
    let base = apply(&[], 0, 0);
    let flipped = apply(&[Augment::Flip { probability: 1.0 }], 0, 0);
    for (i, value) in flipped.iter().enumerate() {
        let (y, x, c) = ((i / 15) as isize, (i / 3 % 5) as isize, i % 3);
        assert_eq!(*value, at(&base, y, 4 - x, c));
    }
    let count = (0..1000).filter(|&i| apply(&[Augment::Flip { probability: 0.3 }], 0, i) != base).count();
    // 300 expected, standard deviation 14.5.
    assert!((230..370).contains(&count), "{count}");
}

#[test]
fn a_vertical_flip_mirrors_rows_as_often_as_asked() {
    let base = apply(&[], 0, 0);
    let upended = apply(&[Augment::FlipVertical { probability: 1.0 }], 0, 0);
    for (i, value) in upended.iter().enumerate() {
        let (y, x, c) = ((i / 15) as isize, (i / 3 % 5) as isize, i % 3);
        assert_eq!(*value, at(&base, 5 - y, x, c));
    }
    let flip = [Augment::FlipVertical { probability: 0.3 }];
    let count = (0..1000).filter(|&i| apply(&flip, 0, i) != base).count();
    // 300 expected, standard deviation 14.5.
    assert!((230..370).contains(&count), "{count}");
}

#[test]
fn cutout_zeroes_one_square_cut_at_the_border() {
    let base = apply(&[], 0, 0);
    let mut areas = std::collections::BTreeSet::new();
    for index in 0..200 {
        let cut = apply(&[Augment::Cutout { size: 2 }], 0, index);
        assert!(cut.iter().zip(&base).all(|(a, b)| *a == 0.0 || a == b));
        areas.insert(cut.iter().filter(|v| **v == 0.0).count() / 3);
    }
    // A corner, an edge, the inside.
    assert_eq!(areas.into_iter().collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn changes_depend_on_epoch_and_index_alone() {
    let augment = [Augment::Flip { probability: 0.5 }, Augment::Crop { padding: 2 }];
    assert_eq!(apply(&augment, 4, 7), apply(&augment, 4, 7));
    let differs = |f: &dyn Fn(usize) -> Vec<f32>| (1..20).any(|i| f(i) != f(0));
    assert!(differs(&|epoch| apply(&augment, epoch, 7)) && differs(&|index| apply(&augment, 4, index)));
}

#[test]
fn alternating_flips_mirror_in_every_other_epoch() {
    let base = apply(&[], 0, 0);
    let mirrored =
        |epoch, index| apply(&[Augment::FlipAlternating { probability: 0.5 }], epoch, index) != base;
    let first: Vec<bool> = (0..1000).map(|index| mirrored(0, index)).collect();
    for epoch in 1..4 {
        assert!(
            (0..1000).all(|index| mirrored(epoch, index) == (first[index] ^ (epoch % 2 == 1))),
            "{epoch}"
        );
    }
    // 500 expected, standard deviation 16.
    let count = first.iter().filter(|&&mirrored| mirrored).count();
    assert!((430..570).contains(&count), "{count}");
}

#[test]
fn erasing_fills_rectangles_of_the_sizes_asked_for() {
    let base = apply(&[], 0, 0);
    let erase = Augment::RandomErasing { probability: 0.5, scale: [0.1, 0.4], ratio: [0.5, 2.0] };
    let mut erased = 0;
    for index in 0..1000 {
        let image = apply(&[erase], 0, index);
        let zero: Vec<usize> = (0..30).filter(|pixel| image[pixel * 3] == 0.0).collect();
        assert!(image.iter().zip(&base).all(|(a, b)| *a == 0.0 || a == b));
        let (Some(first), Some(last)) = (zero.first(), zero.last()) else { continue };
        let [rows, columns] = [last / 5 - first / 5 + 1, last % 5 - first % 5 + 1];
        assert_eq!(zero.len(), rows * columns, "a rectangle: {zero:?}");
        // Sides are rounded: by half a pixel each.
        let share = |rows: f32, columns: f32| rows * columns / 30.0;
        assert!(share(rows as f32 - 0.5, columns as f32 - 0.5) <= 0.4, "{rows}x{columns}");
        assert!(share(rows as f32 + 0.5, columns as f32 + 0.5) >= 0.1, "{rows}x{columns}");
        erased += 1;
    }
    // 500 expected, standard deviation 16.
    assert!((430..570).contains(&erased), "{erased}");
}

#[test]
fn policies_change_images_on_the_host_and_depend_on_epoch_and_index_alone() {
    let jitter = Augment::ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
    let all = [
        jitter,
        Augment::RandAugment { operations: 2, magnitude: 9 },
        Augment::TrivialAugment,
        Augment::AugMix { severity: 3, width: 3, depth: None, alpha: 1.0 },
    ];
    let base = apply(&[], 0, 0);
    for change in all {
        let images: Vec<Vec<f32>> = (0..50).map(|index| apply(&[change], 2, index)).collect();
        assert!(images.iter().filter(|image| **image != base).count() > 25, "{change:?}");
        assert_eq!(images[7], apply(&[change], 2, 7));
        assert!((0..50).any(|index| apply(&[change], 3, index) != images[index]), "{change:?}");
        let transform =
            |augment: &[Augment]| Transform::new(SIZE, &plain(), augment, 3).expect("three channels");
        assert!(transform(&[change]).on_host());
        assert!(!transform(&[Augment::CropReflect { padding: 1 }]).on_host());
    }
}

#[test]
fn filled_pixels_are_zero_whatever_is_done_behind_them() {
    let changes = [Augment::Crop { padding: 4 }, Augment::RandAugment { operations: 3, magnitude: 20 }];
    for index in 0..200 {
        let image = apply(&changes, 0, index);
        // Filled or not, a pixel has all its channels so: 0 is no byte's value.
        assert!(
            image.chunks(3).all(|pixel| pixel.iter().all(|&v| v == 0.0) || pixel.iter().all(|&v| v > 0.0))
        );
    }
}

/// The definition: each change made to the normalised image, zero where a change fills.
fn by_definition(normalize: &Normalize, augment: &[Augment], epoch: usize, index: usize) -> Vec<f32> {
    let mut image = exact(normalize, &[], 0, 0);
    let mut stream = Stream::new(3, Purpose::Augment, epoch as u64, index as u64);
    for change in augment {
        let before = image.clone();
        let mut make = |pixel: &dyn Fn(isize, isize, usize) -> f32| {
            image = (0..90).map(|i| pixel((i / 15) as isize, (i / 3 % 5) as isize, i % 3)).collect();
        };
        match *change {
            Augment::RandomResizedCrop { .. } => unreachable!("none is generated"),
            Augment::Crop { padding } => {
                let mut shift = || stream.below(2 * padding as u32 + 1) as isize - padding as isize;
                let (dy, dx) = (shift(), shift());
                make(&|y, x, c| at(&before, y + dy, x + dx, c));
            }
            Augment::Flip { probability } => {
                if stream.chance(probability) {
                    make(&|y, x, c| at(&before, y, 4 - x, c));
                }
            }
            Augment::FlipVertical { probability } => {
                if stream.chance(probability) {
                    make(&|y, x, c| at(&before, 5 - y, x, c));
                }
            }
            Augment::Cutout { size } => {
                let [top, left] = [6, 5].map(|len| stream.below(len) as isize - (size / 2) as isize);
                let cut = |first: isize, at: isize| (first..first + size as isize).contains(&at);
                make(&|y, x, c| if cut(top, y) && cut(left, x) { 0.0 } else { at(&before, y, x, c) });
            }
            Augment::CropReflect { padding } => {
                let mut shift = || stream.below(2 * padding as u32 + 1) as isize - padding as isize;
                let (dy, dx) = (shift(), shift());
                let inside = |v: isize, last: isize| last - (v.abs() - last).abs();
                make(&|y, x, c| at(&before, inside(y + dy, 5), inside(x + dx, 4), c));
            }
            Augment::FlipAlternating { .. }
            | Augment::RandomErasing { .. }
            | Augment::ColorJitter { .. }
            | Augment::RandAugment { .. }
            | Augment::TrivialAugment
            | Augment::AugMix { .. } => unreachable!("they have tests of their own"),
        }
    }
    image
}

fn change() -> impl Strategy<Value = Augment> {
    prop_oneof![
        (1usize..8).prop_map(|padding| Augment::Crop { padding }),
        (0.0f32..1.0).prop_map(|probability| Augment::Flip { probability }),
        (0.0f32..1.0).prop_map(|probability| Augment::FlipVertical { probability }),
        (1usize..9).prop_map(|size| Augment::Cutout { size }),
        (1usize..5).prop_map(|padding| Augment::CropReflect { padding }),
    ]
}

proptest! {
    /// Bytes are changed, then normalised; the result is, bit for bit, that of changing normalised images.
    #[test]
    fn changes_of_bytes_are_those_of_normalised_images(
        changes in prop::collection::vec(change(), 0..5), epoch in 0usize..9, index in 0usize..1000,
    ) {
        let normalize = Normalize { mean: vec![0.4914, 0.01, 0.0], std: vec![0.2470, 0.2435, 0.2616] };
        let bits = |image: Vec<f32>| image.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let expected = bits(by_definition(&normalize, &changes, epoch, index));
        prop_assert_eq!(bits(exact(&normalize, &changes, epoch, index)), expected);
    }
}

#[test]
fn a_picture_of_another_size_and_a_broken_one_are_named() {
    let mut odd = Odd::new(&["cat", "dog"], 4);
    for changes in [&[][..], &[Augment::Crop { padding: 2 }]] {
        let transform = Transform::new([6, 5, 3], &plain(), changes, 3).expect("three channels");
        let load = |odd: &Odd, index| {
            transform
                .apply(odd, index, 0, &mut Workspace::default(), &mut [0.0; 90])
                .map_err(|e| e.to_string())
        };
        odd.broken = None;
        assert_eq!(load(&odd, 2), Ok(()));
        let size = "image 3 of odd is 3x7x5, the network takes 3x6x5: all images must have one size";
        assert_eq!(load(&odd, 3), Err(size.to_owned()));
        odd.broken = Some(2);
        assert_eq!(load(&odd, 2), Err("odd/2.png: cut off".to_owned()));
    }
}
