//! Resampling, as Pillow does it.

use resnetc_compiler::spec::preprocess::Interpolation;

use crate::error::{Error, Result};
use crate::picture::{Picture, View};
use crate::taps::{HALF, Taps, byte};

pub use crate::taps::bilinear;

/// Memory of [`resize`], to be used again.
#[derive(Debug, Clone, Default)]
pub struct Resizer {
    taps: Taps,
    /// What the first of two passes makes.
    between: Vec<u8>,
    /// A row of sums.
    sums: Vec<i32>,
}

/// Resamples a picture, or a part of one, to a size. Nothing beyond the part counts. A filter is widened by the factor by which the
/// picture shrinks ("antialias"), but for the nearest pixel. `most` is how many pixels there may be on the way.
///
/// As Pillow, it resamples rows, rounds them to bytes, then resamples columns; the other way round where more than
/// twice as many rows fall away as columns.
///
/// # Errors
/// [`Error::TooLarge`] where that are more than `most` pixels.
pub fn resize(
    view: View<'_>,
    [width, height]: [usize; 2],
    interpolation: Interpolation,
    most: u64,
    resizer: &mut Resizer,
) -> Result<Picture> {
    let (was, high) = ([view.width(), view.height()], view.height().max(height));
    if width as u128 * high as u128 > u128::from(most.min(u32::MAX.into())) {
        let text = format!("{}x{} pixels would be resized to {width}x{height}", was[0], was[1]);
        return Err(Error::TooLarge(format!("{text}, and {most} pixels are the limit")));
    }
    let Resizer { taps, between, sums } = resizer;
    let mut pixels = vec![0; width * height * Picture::CHANNELS];
    match [width == was[0], height == was[1]] {
        [true, true] => return Ok(view.to_picture()),
        [false, true] => {
            taps.set(was[0], width, interpolation);
            rows(view, taps, &mut pixels);
        }
        [true, false] => {
            taps.set(was[1], height, interpolation);
            columns(view, taps, sums, &mut pixels);
        }
        [false, false] if columns_first(was, [width, height]) => {
            between.resize(was[0] * height * Picture::CHANNELS, 0);
            taps.set(was[1], height, interpolation);
            columns(view, taps, sums, between);
            taps.set(was[0], width, interpolation);
            rows(View::new(was[0], height, between), taps, &mut pixels);
        }
        [false, false] => {
            between.resize(width * was[1] * Picture::CHANNELS, 0);
            taps.set(was[0], width, interpolation);
            rows(view, taps, between);
            taps.set(was[1], height, interpolation);
            columns(View::new(width, was[1], between), taps, sums, &mut pixels);
        }
    }
    Ok(Picture::new(width, height, pixels))
}

/// Whether columns come first: where more than twice as many rows fall away as columns, as in Pillow since 13.0; those before never have
/// them first. It shows in the last bit, for bytes lie between the two.
fn columns_first(was: [usize; 2], is: [usize; 2]) -> bool {
    let [columns, rows] = [0, 1].map(|side| was[side] as i64 - is[side] as i64);
    rows > 0 && rows > 2 * columns
}

/// Fills rows of another length.
fn rows(view: View<'_>, taps: &Taps, pixels: &mut [u8]) {
    let length = pixels.len() / view.height();
    for (from, to) in view.rows().zip(pixels.chunks_exact_mut(length)) {
        let from = from.as_chunks::<{ Picture::CHANNELS }>().0;
        for (to, (first, factors)) in
            to.as_chunks_mut::<{ Picture::CHANNELS }>().0.iter_mut().zip(taps.iter())
        {
            let mut sums = [HALF; Picture::CHANNELS];
            for (pixel, factor) in from[first..].iter().zip(factors) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * factor;
                }
            }
            *to = sums.map(byte);
        }
    }
}

/// Fills another number of rows.
fn columns(view: View<'_>, taps: &Taps, sums: &mut Vec<i32>, pixels: &mut [u8]) {
    let length = view.width() * Picture::CHANNELS;
    for (to, (first, factors)) in pixels.chunks_exact_mut(length).zip(taps.iter()) {
        sums.clear();
        sums.resize(length, HALF);
        for (from, &factor) in view.rows().skip(first).zip(factors) {
            for (sum, &value) in sums.iter_mut().zip(from) {
                *sum += i32::from(value) * factor;
            }
        }
        to.iter_mut().zip(&*sums).for_each(|(to, &sum)| *to = byte(sum));
    }
}

/// `[width, height]` of a picture whose shorter side gets so many pixels, the other cut off to a whole number, as
/// `torchvision.transforms.Resize`.
pub fn by_shorter_side(picture: View<'_>, shorter: usize) -> [usize; 2] {
    let (width, height) = (picture.width(), picture.height());
    // A ratio of 65535 at most, and sides that 32 bits count: no overflow in 128 bits.
    let longer = |long: usize, short: usize| {
        let exact = shorter as u128 * long as u128 / short as u128;
        usize::try_from(exact).unwrap_or(usize::MAX)
    };
    match width <= height {
        true => [shorter, longer(height, width)],
        false => [longer(width, height), shorter],
    }
}
