//! Between a picture and a poorer one, or beyond it: Pillow's `ImageEnhance`.

/// Pillow's `L` of a pixel: by ITU-R 601-2, in 16 bits of fraction.
fn grey(pixel: &[u8]) -> u8 {
    match *pixel {
        [r, g, b] => {
            ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
        }
        _ => pixel[0],
    }
}

/// `poor + factor * (byte - poor)`, cut off at 0 and 255, without its fraction.
fn blend(byte: &mut u8, poor: u8, factor: f32) {
    let poor = f32::from(poor);
    *byte = (poor + factor * (f32::from(*byte) - poor)) as u8;
}

/// The poorer picture is black.
pub(super) fn brightness(pixels: &mut [u8], factor: f32) {
    pixels.iter_mut().for_each(|byte| blend(byte, 0, factor));
}

/// It is the mean grey, rounded.
pub(super) fn contrast([height, width, channels]: [usize; 3], pixels: &mut [u8], factor: f32) {
    let sum: u64 = pixels.chunks_exact(channels).map(|pixel| u64::from(grey(pixel))).sum();
    let mean = (sum as f64 / (height * width) as f64 + 0.5) as u8;
    pixels.iter_mut().for_each(|byte| blend(byte, mean, factor));
}

/// It is the grey picture.
pub(super) fn color([_, _, channels]: [usize; 3], pixels: &mut [u8], factor: f32) {
    for pixel in pixels.chunks_exact_mut(channels) {
        let poor = grey(pixel);
        pixel.iter_mut().for_each(|byte| blend(byte, poor, factor));
    }
}

/// It is the smoothed picture: each pixel has 5 parts of 13, its eight neighbours one each; those at the border stay.
pub(super) fn sharpness([height, width, channels]: [usize; 3], pixels: &mut [u8], factor: f32) {
    let sharp = pixels.to_vec();
    let inner = |len: usize| 1..len.saturating_sub(1).max(1);
    let at = |y: usize, x: usize, c: usize| u32::from(sharp[(y * width + x) * channels + c]);
    let mut poor = sharp.clone();
    for (y, x) in inner(height).flat_map(|y| inner(width).map(move |x| (y, x))) {
        for c in 0..channels {
            let around: u32 = (y - 1..=y + 1)
                .flat_map(|y| (x - 1..=x + 1).map(move |x| (y, x)))
                .map(|(y, x)| at(y, x, c))
                .sum();
            // To the nearest; a thirteenth is never half.
            poor[(y * width + x) * channels + c] = ((2 * (around + 4 * at(y, x, c)) + 13) / 26) as u8;
        }
    }
    pixels.iter_mut().zip(poor).for_each(|(byte, poor)| blend(byte, poor, factor));
}
