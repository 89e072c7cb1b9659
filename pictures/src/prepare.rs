//! From a picture to a network's input.

use resnetc_compiler::spec::preprocess::{Fit, Preprocess};
use resnetc_compiler::spec::train::tta::{Shown, Window};

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::picture::{Picture, View};
use crate::resize::{Resizer, by_shorter_side, resize};

/// Prepares pictures for one network. Each thread has its own.
#[derive(Clone)]
pub struct Preparer {
    /// `[channels, height, width]`
    input: [usize; 3],
    preprocess: Preprocess,
    /// `[channel][byte]`: `(byte / 255 - mean) / std`.
    table: Vec<[f32; 256]>,
    /// Most pixels that a picture may have on the way.
    most: u64,
    resizer: Resizer,
}

impl Preparer {
    /// For inputs of `[channels, height, width]`: of three channels, or of one, which is the grey of the three.
    ///
    /// # Errors
    /// [`Error::Input`] where pictures cannot become such inputs.
    pub fn new(input: [usize; 3], preprocess: &Preprocess, limits: &Limits) -> Result<Self> {
        let [channels, height, width] = input;
        if !matches!(channels, 1 | Picture::CHANNELS) {
            return Err(Error::Input(format!(
                "pictures have 3 channels, or 1 that is grey; the network takes {channels}x{height}x{width}"
            )));
        }
        check(preprocess.fit, [width, height])?;
        let normalize = &preprocess.normalize;
        let table = normalize.table(channels).ok_or_else(|| {
            let (means, deviations) = (normalize.mean.len(), normalize.std.len());
            Error::Input(format!("{means} means and {deviations} deviations for {channels} channels"))
        })?;
        let (preprocess, most, resizer) = (preprocess.clone(), limits.pixels, Resizer::default());
        Ok(Preparer { input, preprocess, table, most, resizer })
    }

    /// Numbers of one input.
    pub fn numbers(&self) -> usize {
        self.input.iter().product()
    }

    /// See [`fit`]: the middle of the picture.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where a narrow picture would become a very long one.
    pub fn fit(&mut self, picture: &Picture) -> Result<Picture> {
        let [_, height, width] = self.input;
        fit(picture.view(), [width, height], &self.preprocess, Window::Middle, self.most, &mut self.resizer)
    }

    /// All that a network is shown of a picture, which is resized once.
    ///
    /// # Errors
    /// As [`Preparer::fit`].
    pub fn views(&mut self, picture: &Picture, views: &[Shown]) -> Result<Vec<Picture>> {
        let [_, height, width] = self.input;
        let (size, preprocess) = ([width, height], &self.preprocess);
        let resized = resized(picture.view(), size, preprocess, self.most, &mut self.resizer)?;
        let shown = |view: &Shown| {
            let cut = cut(&resized, size, view.window);
            if view.mirrored { cut.mirrored() } else { cut }
        };
        Ok(views.iter().map(shown).collect())
    }

    /// The part of the picture that the network sees, in the picture's own pixels.
    pub fn seen(&self, picture: &Picture) -> Picture {
        let [_, height, width] = self.input;
        let Fit::Center { resize: shorter } = self.preprocess.fit else { return picture.clone() };
        let [across, down] = by_shorter_side(picture.view(), shorter);
        let part = |whole: usize, resized: usize, cut: usize| {
            let scale = whole as f64 / resized as f64;
            let start = (middle(resized, cut) as f64 * scale) as usize;
            let length = (cut as f64 * scale).round().max(1.0) as usize;
            (start.min(whole - 1), length.min(whole - start.min(whole - 1)))
        };
        let (left, width) = part(picture.width(), across, width);
        let (top, height) = part(picture.height(), down, height);
        picture.crop(left, top, width, height)
    }

    /// Writes what [`Preparer::fit`] gave as the network takes it: `[channels][height][width]`, normalised.
    ///
    /// # Panics
    /// Where the picture or `out` has another size.
    pub fn normalize(&self, fitted: &Picture, out: &mut [f32]) {
        let [channels, height, width] = self.input;
        assert_eq!([fitted.height(), fitted.width()], [height, width], "a picture of the input's size");
        assert_eq!(out.len(), self.numbers(), "room for one input");
        let pixels = fitted.pixels().chunks_exact(Picture::CHANNELS);
        if channels == 1 {
            for (pixel, out) in pixels.zip(out) {
                *out = self.table[0][usize::from(grey(pixel))];
            }
            return;
        }
        for (channel, (table, plane)) in
            self.table.iter().zip(out.chunks_exact_mut(height * width)).enumerate()
        {
            for (pixel, out) in fitted.pixels().chunks_exact(Picture::CHANNELS).zip(plane) {
                *out = table[usize::from(pixel[channel])];
            }
        }
    }
}

/// The part of the picture that a network sees, `[width, height]` as its input is. `most` is how many pixels there may be on the way.
/// The resizer is only memory to be used again.
///
/// # Errors
/// [`Error::TooLarge`] where a narrow picture would become a very long one; [`Error::Input`] where what is resized is smaller than the
/// input.
pub fn fit(
    view: View<'_>,
    size: [usize; 2],
    preprocess: &Preprocess,
    window: Window,
    most: u64,
    resizer: &mut Resizer,
) -> Result<Picture> {
    Ok(cut(&resized(view, size, preprocess, most, resizer)?, size, window))
}

/// The picture before a window is cut out of it; without `center` it has the window's size.
fn resized(
    view: View<'_>,
    size: [usize; 2],
    preprocess: &Preprocess,
    most: u64,
    resizer: &mut Resizer,
) -> Result<Picture> {
    let by = preprocess.interpolation;
    let Fit::Center { resize: shorter } = preprocess.fit else {
        return resize(view, size, by, most, resizer);
    };
    check(preprocess.fit, size)?;
    resize(view, by_shorter_side(view, shorter), by, most, resizer)
}

/// A window of a picture that is at least as large.
fn cut(picture: &Picture, [width, height]: [usize; 2], window: Window) -> Picture {
    let [right, bottom] = [picture.width() - width, picture.height() - height];
    let [across, down] = [middle(picture.width(), width), middle(picture.height(), height)];
    let (left, top) = match window {
        Window::Middle => (across, down),
        Window::MiddleFromRight => (right - across, down),
        Window::TopLeft => (0, 0),
        Window::TopRight => (right, 0),
        Window::BottomLeft => (0, bottom),
        Window::BottomRight => (right, bottom),
    };
    picture.crop(left, top, width, height)
}

/// Whether a picture that was resized so has a middle of that size.
fn check(fit: Fit, [width, height]: [usize; 2]) -> Result<()> {
    match fit {
        Fit::Center { resize } if resize < height.max(width) => {
            let text = format!("a picture resized to {resize} pixels has no middle of {width}x{height}");
            Err(Error::Input(text))
        }
        Fit::Center { .. } | Fit::Squash => Ok(()),
    }
}

/// Where the middle of so many pixels begins: half of what is left, to the even number where it lies between two, as
/// `torchvision.transforms.CenterCrop` rounds.
fn middle(length: usize, cut: usize) -> usize {
    let left = length - cut;
    match left % 4 {
        // 1.5 is rounded up to 2, 0.5 down to 0.
        3 => left / 2 + 1,
        _ => left / 2,
    }
}

/// The luma of ITU-R 601 in whole numbers, as Pillow's `convert("L")`.
pub fn grey(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    // At most 255: the factors are 65536 together.
    ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_rounded_to_even_halves() {
        let python = [(224, 0), (225, 0), (226, 1), (227, 2), (228, 2), (229, 2), (230, 3), (231, 4)];
        for (length, at) in python {
            assert_eq!(middle(length, 224), at, "{length}");
        }
    }

    #[test]
    fn what_is_seen_is_the_middle_of_the_picture() {
        use resnetc_compiler::spec::preprocess::Interpolation;
        use resnetc_compiler::spec::train::Normalize;
        let preprocess = |fit| Preprocess {
            fit,
            interpolation: Interpolation::Bilinear,
            normalize: Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] },
        };
        let picture = Picture::new(640, 512, vec![0; 640 * 512 * 3]);
        let preparer =
            |fit| Preparer::new([3, 224, 224], &preprocess(fit), &Limits::default()).expect("colours");
        let seen = preparer(Fit::Center { resize: 256 }).seen(&picture);
        assert_eq!([seen.width(), seen.height()], [448, 448]);
        let seen = preparer(Fit::Squash).seen(&picture);
        assert_eq!([seen.width(), seen.height()], [640, 512]);
        let refused =
            Preparer::new([3, 224, 224], &preprocess(Fit::Center { resize: 223 }), &Limits::default());
        assert!(refused.is_err());
    }

    /// A line of pixels would become a thousand times as many.
    #[test]
    fn narrow_pictures_are_not_blown_up() {
        use resnetc_compiler::spec::preprocess::Interpolation;
        use resnetc_compiler::spec::train::Normalize;
        let preprocess = |fit| Preprocess {
            fit,
            interpolation: Interpolation::Nearest,
            normalize: Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] },
        };
        let limits = Limits { pixels: 1 << 20, ..Limits::default() };
        let fit = |fit, [width, height]: [usize; 2]| {
            let mut preparer = Preparer::new([3, 32, 32], &preprocess(fit), &limits).expect("colours");
            let picture = Picture::new(width, height, vec![0; width * height * 3]);
            preparer.fit(&picture).map(drop).map_err(|error| error.to_string())
        };
        let text = "1x60000 pixels would be resized to 32x32, and 1048576 pixels are the limit";
        assert_eq!(fit(Fit::Squash, [1, 60_000]), Err(text.to_owned()));
        assert_eq!(fit(Fit::Squash, [60_000, 1]), Ok(()));
        let text = "60000x1 pixels would be resized to 2160000x36, and 1048576 pixels are the limit";
        assert_eq!(fit(Fit::Center { resize: 36 }, [60_000, 1]), Err(text.to_owned()));
    }

    /// torchvision's `TenCrop`: five of the picture, then five of its mirror image; the left column of each.
    #[test]
    fn ten_crops_are_five_of_the_picture_and_five_of_its_mirror_image() {
        use resnetc_compiler::spec::preprocess::Interpolation;
        use resnetc_compiler::spec::train::tta::Mean;
        use resnetc_compiler::spec::train::{Normalize, Tta};
        let preprocess = Preprocess {
            fit: Fit::Center { resize: 4 },
            interpolation: Interpolation::Nearest,
            normalize: Normalize { mean: vec![0.5; 3], std: vec![0.5; 3] },
        };
        // 4 rows of 7 columns, each byte its pixel's number; windows of 2 rows and 4 columns leave 3 columns over.
        let bytes = (0..28u8).flat_map(|pixel| [pixel; 3]).collect();
        let picture = Picture::new(7, 4, bytes);
        let mut preparer = Preparer::new([3, 2, 4], &preprocess, &Limits::default()).expect("colours");
        let views = Tta::Crops { mirrored: true, mean: Mean::Probabilities }.views();
        let crops = preparer.views(&picture, &views).expect("small");
        let five = |picture: &Picture| {
            [(0, 0), (3, 0), (0, 2), (3, 2), (2, 1)].map(|(left, top)| picture.crop(left, top, 4, 2))
        };
        let [plain, turned] = [five(&picture), five(&picture.mirrored())];
        assert_eq!(crops[..5], plain);
        // The mirrored corners are those of the mirror image, left and right exchanged.
        let expected = [&turned[1], &turned[0], &turned[3], &turned[2], &turned[4]];
        assert_eq!(crops[5..].iter().collect::<Vec<_>>(), expected);
        assert_eq!(crops[4], preparer.fit(&picture).expect("small"));
        assert_eq!(picture.mirrored().pixels()[..3], [6; 3]);
    }

    #[test]
    fn grey_of_grey_is_the_same() {
        for byte in 0..=255 {
            assert_eq!(grey(&[byte; 3]), byte);
        }
        assert_eq!(grey(&[255, 0, 0]), 76);
    }
}
