//! Resampling, as Pillow does it.

pub use fast_image_resize::Resizer;
use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::U16x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions};
use resnetc_compiler::spec::preprocess::Interpolation;

use crate::error::{Error, Result};
use crate::picture::{Picture, View};

/// Rows of a picture that are resampled at a time: what bounds the memory beside the picture itself.
const BAND: usize = 64;

/// Resamples a picture, or a part of one, to a size. Nothing beyond the part counts. A filter is widened by the factor by which the picture shrinks ("antialias"), but for the nearest
/// pixel. `most` is how many pixels there may be on the way. The resizer is only memory to be used again.
///
/// As Pillow, it resamples rows, rounds them to bytes, then resamples columns. Each of the two is computed with 16 bits a channel: with
/// 8 bits the resizer has factors of that many bits too, and every fifth value comes out one off.
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
    if [width, height] == was {
        return Ok(view.to_picture());
    }
    let options = ResizeOptions::new().resize_alg(algorithm(interpolation)).use_alpha(false);
    let mut pass = Pass { options, resizer };
    // Pillow's order, which shows where what overshoots is cut off between the two.
    let made = if width > was[0] && height < was[1] {
        let low = pass.columns(view, height);
        pass.rows(low.view(), width)
    } else {
        let narrow = pass.rows(view, width);
        pass.columns(narrow.view(), height)
    };
    Ok(made)
}

/// Resampling in one direction.
struct Pass<'r> {
    options: ResizeOptions,
    resizer: &'r mut Resizer,
}

impl Pass<'_> {
    /// Rows of that length.
    fn rows(&mut self, view: View<'_>, width: usize) -> Picture {
        let height = view.height();
        if width == view.width() {
            return view.to_picture();
        }
        let mut pixels = Vec::with_capacity(width * height * Picture::CHANNELS);
        for top in (0..height).step_by(BAND) {
            let rows = BAND.min(height - top);
            self.resample(view.part(0, top, view.width(), rows), [width, rows], &mut pixels);
        }
        Picture::new(width, height, pixels)
    }

    /// Columns of that length.
    fn columns(&mut self, view: View<'_>, height: usize) -> Picture {
        let width = view.width();
        if height == view.height() {
            return view.to_picture();
        }
        let mut pixels = Vec::with_capacity(width * height * Picture::CHANNELS);
        self.resample(view, [width, height], &mut pixels);
        Picture::new(width, height, pixels)
    }

    /// Appends the bytes of a view in the size `[width, height]`.
    fn resample(&mut self, view: View<'_>, to: [usize; 2], pixels: &mut Vec<u8>) {
        let side = |side: usize| u32::try_from(side).expect("no more pixels than 32 bits count");
        let wide = |byte: u8| u16::from(byte) * WIDER;
        let mut source = Vec::with_capacity(view.width() * view.height());
        for row in view.rows() {
            let row = row.as_chunks::<{ Picture::CHANNELS }>().0.iter();
            source.extend(row.map(|&pixel| U16x3::new(pixel.map(wide))));
        }
        let from = [side(view.width()), side(view.height())];
        let source = TypedImage::from_pixels(from[0], from[1], source).expect("as many pixels");
        let mut target = TypedImage::<U16x3>::new(side(to[0]), side(to[1]));
        self.resizer.resize_typed(&source, &mut target, &self.options).expect("the whole source");
        let (wider, half) = (u32::from(WIDER), u32::from(WIDER) / 2);
        // At most 255: the largest value is 65535.
        let narrow = |value: u16| ((u32::from(value) + half) / wider) as u8;
        pixels.extend(target.pixels().iter().flat_map(|pixel| pixel.0.map(narrow)));
    }
}

/// 255 becomes 65535.
const WIDER: u16 = 257;

fn algorithm(interpolation: Interpolation) -> ResizeAlg {
    match interpolation {
        Interpolation::Nearest => ResizeAlg::Nearest,
        Interpolation::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Interpolation::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Interpolation::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
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
