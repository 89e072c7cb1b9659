//! Any bytes as a picture: it is decoded within the limits and prepared for a network, or refused with a reason.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resnetc_compiler::spec::preprocess::{Fit, Interpolation, Preprocess};
use resnetc_compiler::spec::train::Normalize;
use resnetc_pictures::{Limits, Preparer, decode};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { pixels: 1 << 16, ..Limits::default() };
    let picture = match decode(bytes, &limits) {
        Ok(picture) => picture,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!((picture.width() * picture.height()) as u64 <= limits.pixels);
    // Its size says how, so that every way is taken.
    let (_, interpolation) = Interpolation::ALL[picture.width() % Interpolation::ALL.len()];
    let fit = if picture.height() % 2 == 0 { Fit::Squash } else { Fit::Center { resize: 9 } };
    let normalize = Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] };
    let preprocess = Preprocess { fit, interpolation, normalize };
    let mut preparer = Preparer::new([3, 8, 7], &preprocess, &limits).expect("three channels");
    match preparer.fit(&picture) {
        Ok(fitted) => {
            let mut input = vec![f32::NAN; preparer.numbers()];
            preparer.normalize(&fitted, &mut input);
            assert!(input.iter().all(|number| number.abs() <= 2.0));
        }
        // Narrow pictures become long ones.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
