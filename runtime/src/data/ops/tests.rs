//! Operations against torchvision's on Pillow's pictures; `tests/golden/operations.py` wrote the figures.

use serde_json::Value;

use super::*;

fn bytes(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("text");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

fn operation(case: &Value) -> Operation {
    let number = case["magnitude"].as_f64().unwrap_or(0.0);
    match case["name"].as_str().expect("a name") {
        "Brightness" => Operation::Brightness(number as f32),
        "Contrast" => Operation::Contrast(number as f32),
        "Color" => Operation::Color(number as f32),
        "Sharpness" => Operation::Sharpness(number as f32),
        "Hue" => Operation::Hue(number as f32),
        "Posterize" => Operation::Posterize(number as u32),
        "Solarize" => Operation::Solarize(number as f32),
        "AutoContrast" => Operation::AutoContrast,
        "Equalize" => Operation::Equalize,
        "ShearX" => Operation::ShearX(number),
        "ShearY" => Operation::ShearY(number),
        "TranslateX" => Operation::TranslateX(number as i32),
        "TranslateY" => Operation::TranslateY(number as i32),
        "Rotate" => Operation::Rotate(number),
        other => panic!("the script writes no `{other}`"),
    }
}

#[test]
fn operations_are_pillows_byte_for_byte() {
    let golden: Value = serde_json::from_str(include_str!("../../../../tests/golden/operations.json"))
        .expect("the script wrote JSON");
    let cases = golden["cases"].as_array().expect("a list");
    assert_eq!(cases.len(), 146);
    let mut faults = Vec::new();
    for case in cases {
        let picture = &golden["pictures"][case["picture"].as_u64().expect("a number") as usize];
        let size: [usize; 3] = serde_json::from_value(picture["size"].clone()).expect("three numbers");
        let by = if case["by"] == "Nearest" { Interpolation::Nearest } else { Interpolation::Bilinear };
        let mut pixels = bytes(&picture["pixels"]);
        operation(case).apply(size, &mut pixels, by);
        let expected = bytes(&case["pixels"]);
        let differ = pixels.iter().zip(&expected).filter(|(a, b)| a != b).count();
        if differ > 0 || pixels.len() != expected.len() {
            faults.push(format!("{:?} {by:?} of {size:?}: {differ} bytes differ", operation(case)));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn what_is_filled_moves_with_its_pixel() {
    let mut filled = vec![false, true, false, false, false, false];
    Operation::TranslateX(1).move_filled([2, 3, 3], &mut filled);
    assert_eq!(filled, [false, false, true, false, false, false]);
    Operation::Brightness(0.0).move_filled([2, 3, 3], &mut filled);
    assert_eq!(filled, [false, false, true, false, false, false]);
}
