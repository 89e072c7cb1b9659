//! A byte for a byte: Pillow's `ImageOps`.

/// Keeps the highest bits.
pub(super) fn posterize(pixels: &mut [u8], bits: u32) {
    let mask = !(0xffu16 >> bits.min(8)) as u8;
    pixels.iter_mut().for_each(|byte| *byte &= mask);
}

/// Inverts what is not below the threshold.
pub(super) fn solarize(pixels: &mut [u8], threshold: f32) {
    for byte in pixels.iter_mut().filter(|byte| f32::from(**byte) >= threshold) {
        *byte = 255 - *byte;
    }
}

/// Maps the least byte of each channel to 0, the largest to 255.
pub(super) fn autocontrast(size: [usize; 3], pixels: &mut [u8]) {
    each_channel(size, pixels, |histogram| {
        let low = histogram.iter().position(|&count| count > 0)?;
        let high = histogram.iter().rposition(|&count| count > 0)?;
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        // A cast to a byte cuts off what is beyond it.
        Some(std::array::from_fn(|byte| (byte as f64 * scale + offset) as u8))
    });
}

/// Maps bytes by the sum of the histogram below them.
pub(super) fn equalize(size: [usize; 3], pixels: &mut [u8]) {
    each_channel(size, pixels, |histogram| {
        let last = histogram.iter().rev().find(|&&count| count > 0)?;
        let step = (histogram.iter().sum::<u32>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut sum = step / 2;
        Some(std::array::from_fn(|byte| {
            let mapped = (sum / step).min(255) as u8;
            sum += histogram[byte];
            mapped
        }))
    });
}

/// Maps the bytes of each channel by what its histogram gives; leaves them where that is nothing.
fn each_channel(
    [_, _, channels]: [usize; 3],
    pixels: &mut [u8],
    table: impl Fn(&[u32; 256]) -> Option<[u8; 256]>,
) {
    for channel in 0..channels {
        let mut histogram = [0; 256];
        pixels.iter().skip(channel).step_by(channels).for_each(|&byte| histogram[usize::from(byte)] += 1);
        let Some(table) = table(&histogram) else { continue };
        pixels.iter_mut().skip(channel).step_by(channels).for_each(|byte| *byte = table[usize::from(*byte)]);
    }
}
