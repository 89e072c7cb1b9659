//! From a file's bytes to a [`Picture`].

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

use crate::error::{Error, Result};
use crate::halved;
use crate::jpeg;
use crate::limits::Limits;
use crate::picture::Picture;

/// Endings of files that are looked at in a folder, in small letters.
pub const EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Decodes a picture. The format is told by the bytes. The picture stands as its EXIF orientation says; of a GIF it is the first
/// frame. Grey becomes three equal channels, 16 bits are rounded to 8, a palette's colours are put in, and alpha is left out, as
/// Pillow's `convert("RGB")` does it. Colour profiles have no effect.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Damaged`], and [`Error::TooLarge`] before pixels are decoded.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture> {
    if bytes.len() as u64 > limits.bytes {
        let (found, most) = (bytes.len(), limits.bytes);
        return Err(Error::TooLarge(format!("the file has {found} bytes, the limit is {most}")));
    }
    let format = image::guess_format(bytes).ok().and_then(known).ok_or(Error::Unknown)?;
    let damaged = |reason: String| Error::Damaged { format: format.1, reason };
    if format.0 == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(damaged("it ends before the picture does".to_owned()));
    }
    // A decoder that trips over a file must not take the other pictures with it.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(format.0, bytes, limits)));
    match decoded {
        Ok(Ok(image)) => Ok(picture(image)),
        Ok(Err(Failed::Image(ImageError::Limits(_)))) => Err(too_much_memory(limits)),
        Ok(Err(Failed::Image(error))) => Err(damaged(reason(&error))),
        Ok(Err(Failed::Limits(error))) => Err(error),
        Err(_) => Err(damaged("the decoder stopped".to_owned())),
    }
}

/// The formats that are built in, with their names.
fn known(format: ImageFormat) -> Option<(ImageFormat, &'static str)> {
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        _ => return None,
    };
    Some((format, name))
}

enum Failed {
    Image(ImageError),
    Limits(Error),
}

impl From<ImageError> for Failed {
    fn from(error: ImageError) -> Self {
        Failed::Image(error)
    }
}

fn decode_as(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<DynamicImage, Failed> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.memory());
    reader.limits(memory);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Failed::Limits(Error::Damaged {
            format: known(format).map_or("picture", |known| known.1),
            reason: format!("it has {width}x{height} pixels"),
        }));
    }
    if pixels > limits.pixels {
        let most = limits.pixels;
        let text = format!("{width}x{height} are {pixels} pixels, the limit is {most}");
        return Err(Failed::Limits(Error::TooLarge(text)));
    }
    if decoder.total_bytes() > limits.memory() {
        return Err(Failed::Limits(too_much_memory(limits)));
    }
    // What is wrong with metadata leaves the picture as it lies.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let halved = if format == ImageFormat::Jpeg { halved::decode(bytes) } else { None };
    let mut image = match halved.and_then(|pixels| RgbImage::from_raw(width, height, pixels)) {
        Some(image) => DynamicImage::ImageRgb8(image),
        None => DynamicImage::from_decoder(decoder)?,
    };
    image.apply_orientation(orientation);
    Ok(image)
}

fn too_much_memory(limits: &Limits) -> Error {
    Error::TooLarge(format!("decoding would take more than {} MiB", limits.memory() >> 20))
}

/// What a decoder says, on one line.
fn reason(error: &ImageError) -> String {
    let text = match error {
        // Without the words about the format, which is named already.
        ImageError::Decoding(error) => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        error => error.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn picture(image: DynamicImage) -> Picture {
    let image = image.into_rgb8();
    let (width, height) = image.dimensions();
    Picture::new(width as usize, height as usize, image.into_raw())
}
