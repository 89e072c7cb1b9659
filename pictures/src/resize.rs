//! Resampling, as Pillow does it.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use resnetc_compiler::spec::preprocess::Interpolation;

use crate::error::{Error, Result};
use crate::picture::Picture;

/// Resamples a picture to a size. A filter is widened by the factor by which the picture shrinks ("antialias"), but for the nearest
/// pixel. The resizer is only memory to be used again.
///
/// # Errors
/// [`Error::TooLarge`] where the new picture is beyond what 32 bits count.
pub fn resize(
    picture: &Picture,
    [width, height]: [usize; 2],
    interpolation: Interpolation,
    resizer: &mut Resizer,
) -> Result<Picture> {
    if [width, height] == [picture.width(), picture.height()] {
        return Ok(picture.clone());
    }
    let sides = [picture.width(), picture.height(), width, height];
    let [from_width, from_height, to_width, to_height] = sides.map(u32::try_from);
    let (Ok(from_width), Ok(from_height), Ok(to_width), Ok(to_height)) =
        (from_width, from_height, to_width, to_height)
    else {
        return Err(Error::TooLarge(format!("a picture cannot be resized to {width}x{height} pixels")));
    };
    let source = ImageRef::new(from_width, from_height, picture.pixels(), PixelType::U8x3);
    let source = source.expect("a picture has three bytes a pixel");
    let mut target = Image::new(to_width, to_height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(algorithm(interpolation)).use_alpha(false);
    resizer.resize(&source, &mut target, &options).expect("both have pixels of one kind");
    Ok(Picture::new(width, height, target.into_vec()))
}

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
pub fn by_shorter_side(picture: &Picture, shorter: usize) -> [usize; 2] {
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
