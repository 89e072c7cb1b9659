//! Properties of normalisation and of each random change.

use super::*;

const SIZE: [usize; 3] = [6, 5, 3];

fn plain() -> Normalize {
    // Byte b becomes b + 1 (to rounding), so that no pixel is zero.
    Normalize { mean: vec![-1.0 / 255.0; 3], std: vec![1.0 / 255.0; 3] }
}

/// All elements different.
fn image() -> Vec<u8> {
    (0..90).collect()
}

fn apply(augment: &[Augment], epoch: usize, index: usize) -> Vec<f32> {
    let transform = Transform::new(SIZE, &plain(), augment, 3).expect("three channels");
    let (mut out, mut scratch) = (vec![f32::NAN; 90], vec![f32::NAN; 90]);
    transform.apply(&image(), epoch, index, &mut out, &mut scratch);
    out.iter().map(|v| v.round()).collect()
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
    transform.apply(&[0, 51, 255], 0, 0, &mut out, &mut [0.0; 3]);
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
fn crop_beyond_the_image_is_all_zero() {
    let mut out = [1.0; 12];
    crop([2, 2, 3], &[1.0; 12], -5, 0, &mut out);
    assert_eq!(out, [0.0; 12]);
    crop([2, 2, 3], &[1.0; 12], 0, 2, &mut out);
    assert_eq!(out, [0.0; 12]);
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
