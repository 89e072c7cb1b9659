//! Parts of pictures beside torchvision's, by `scripts/frames-golden`.

use serde_json::Value;

use super::*;
use crate::data::rng::Purpose;

const GOLDEN: &str = include_str!("../../../tests/golden/frames.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).expect("the script writes JSON")
}

fn numbers<const N: usize>(value: &Value) -> [usize; N] {
    let numbers: Vec<_> =
        value.as_array().expect("a list").iter().map(|n| n.as_u64().expect("whole") as usize).collect();
    numbers.try_into().expect("as many")
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number")).collect()
}

/// Numbers of `0..1` that were given before.
struct Given(std::vec::IntoIter<f64>);

impl Draws for Given {
    fn uniform(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.next().expect("torchvision needed no more")
    }

    fn below(&mut self, n: usize) -> usize {
        (self.0.next().expect("torchvision needed no more") * n as f64) as usize
    }
}

/// The same random numbers give the same part, those that ten tries do not find included.
#[test]
fn parts_are_torchvisions() {
    let golden = golden();
    let cases = golden["parts"].as_array().expect("a list");
    assert!(cases.len() > 30);
    let mut fallbacks = 0;
    for case in cases {
        let range = |key: &str| {
            let bounds = reals(&case[key]);
            [bounds[0] as f32, bounds[1] as f32]
        };
        let random = RandomPart { scale: range("scale"), ratio: range("ratio") };
        let [top, left, height, width] = numbers(&case["part"]);
        let mut given = Given(reals(&case["units"]).into_iter());
        let made = random.drawn(numbers(&case["size"]), &mut given);
        assert_eq!(made, Part { top, left, height, width }, "{case}");
        assert_eq!(given.0.len(), 0, "as many random numbers: {case}");
        fallbacks += usize::from(case["units"].as_array().expect("a list").len() == 2 * TRIES);
    }
    assert!(fallbacks > 5, "{fallbacks}");
}

#[test]
fn a_part_is_resized_as_torchvision_does() {
    let golden = &golden()["resized"];
    let [rows, columns] = numbers(&golden["size"]);
    let byte = |y: usize, x: usize, c: usize| ((y * 7 + x * 13 + c * 29 + x * y) % 256) as u8;
    let pixels = (0..rows).flat_map(|y| (0..columns).flat_map(move |x| (0..3).map(move |c| byte(y, x, c))));
    let pixels: Vec<u8> = pixels.collect();
    let [top, left, height, width] = numbers(&golden["part"]);
    let [down, across] = numbers(&golden["to"]);
    let part = View::new(columns, rows, &pixels).part(left, top, width, height);
    let made = resize(part, [across, down], Interpolation::Bilinear, u64::MAX, &mut Resizer::default());
    let made = made.expect("small");
    let expected = numbers::<{ 16 * 20 * 3 }>(&golden["pixels"]);
    // Pillow computes with 8 bits of fraction less: one off is its rounding.
    let far = made.pixels().iter().zip(expected).filter(|&(made, is)| made.abs_diff(is as u8) > 1).count();
    assert_eq!(far, 0);
}

#[test]
fn parts_of_a_stream_lie_in_the_picture_and_have_the_areas_asked_for() {
    let random = RandomPart { scale: [0.25, 0.5], ratio: [0.5, 2.0] };
    let size = [300, 200];
    let mut corners = std::collections::BTreeSet::new();
    for index in 0..500 {
        let part = random.draw(size, &mut Stream::new(1, Purpose::Augment, 2, index));
        assert!(part.top + part.height <= size[0] && part.left + part.width <= size[1], "{part:?}");
        let area = (part.width * part.height) as f64 / 60_000.0;
        assert!((0.245..0.505).contains(&area), "{part:?}");
        corners.insert((part.top, part.left));
    }
    assert!(corners.len() > 400, "{}", corners.len());
}

#[test]
fn grey_networks_get_grey_and_others_are_told() {
    let picture = || Picture::new([2, 2, 3], vec![10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30]);
    let frame = Frame::Part(RandomPart { scale: [1.0, 1.0], ratio: [1.0, 1.0] });
    let apply = |size| {
        let mut stream = Stream::new(0, Purpose::Augment, 0, 0);
        frame.apply(picture(), size, &mut stream, &mut Resizer::default())
    };
    let grey = apply([3, 3, 1]).expect("grey");
    // (10 * 299 + 20 * 587 + 30 * 114) / 1000 is 18.15.
    assert_eq!((grey.size(), grey.pixels()), ([3, 3, 1], &[18; 9][..]));
    let error = apply([3, 3, 4]).expect_err("four channels").to_string();
    assert!(error.ends_with("takes 4: write `input: [3, 3, 3]`"), "{error}");
}

#[test]
fn what_frames_stands_first() {
    let part = Augment::RandomResizedCrop { scale: [0.08, 1.0], ratio: [0.75, 1.5] };
    let flip = Augment::Flip { probability: 0.5 };
    let changes = [part, flip];
    let (frame, rest) = Frame::split(&changes).expect("the first");
    assert_eq!((matches!(frame, Frame::Part(_)), rest), (true, &[flip][..]));
    assert_eq!(Frame::split(&[flip]).expect("none").0, Frame::Exact);
    assert!(Frame::split(&[flip, part]).is_err() && Frame::split(&[part, part]).is_err());
}
