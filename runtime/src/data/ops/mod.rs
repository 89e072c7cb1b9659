//! What augmentation policies do to the bytes of a picture, bit for bit as Pillow does it, which torchvision and timm call for pictures that
//! are no tensors. A file for each kind; `tests/golden/operations.py` makes figures of them.

mod colour;
mod enhance;
mod geometry;
mod hue;

pub use geometry::Interpolation;

/// One of them, with its magnitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// Away from black: torchvision's `adjust_brightness`.
    Brightness(f32),
    /// Away from the mean grey: `adjust_contrast`.
    Contrast(f32),
    /// Away from the grey picture: `adjust_saturation`.
    Color(f32),
    /// Away from the smoothed picture: `adjust_sharpness`.
    Sharpness(f32),
    /// Turns the hue by that part of the circle, `-0.5..=0.5`: `adjust_hue`.
    Hue(f32),
    /// Keeps that many of the bits of a byte, from the highest on: `posterize`.
    Posterize(u32),
    /// Inverts bytes that are not below: `solarize`.
    Solarize(f32),
    /// Stretches each channel over all bytes: `autocontrast`.
    AutoContrast,
    /// Makes bytes about equally frequent, in each channel: `equalize`.
    Equalize,
    /// `x + m * y` is moved to `x`, from the upper left corner: `affine` with `shear`.
    ShearX(f64),
    /// Likewise with `y`.
    ShearY(f64),
    /// To the right by so many pixels: `affine` with `translate`.
    TranslateX(i32),
    /// Downwards.
    TranslateY(i32),
    /// Counter-clockwise around the middle, by degrees: `rotate`.
    Rotate(f64),
}

impl Operation {
    /// Does it to a picture `[height][width][channels]` of one channel or three. Pixels from beyond the border are black.
    pub fn apply(self, size: [usize; 3], pixels: &mut Vec<u8>, by: Interpolation) {
        match self {
            Operation::Brightness(factor) => enhance::brightness(pixels, factor),
            Operation::Contrast(factor) => enhance::contrast(size, pixels, factor),
            Operation::Color(factor) => enhance::color(size, pixels, factor),
            Operation::Sharpness(factor) => enhance::sharpness(size, pixels, factor),
            Operation::Hue(turn) => hue::turn(size, pixels, turn),
            Operation::Posterize(bits) => colour::posterize(pixels, bits),
            Operation::Solarize(threshold) => colour::solarize(pixels, threshold),
            Operation::AutoContrast => colour::autocontrast(size, pixels),
            Operation::Equalize => colour::equalize(size, pixels),
            Operation::ShearX(_)
            | Operation::ShearY(_)
            | Operation::TranslateX(_)
            | Operation::TranslateY(_)
            | Operation::Rotate(_) => {
                if let Some(matrix) = self.matrix(size) {
                    *pixels = geometry::affine(size, pixels, &matrix, by);
                }
            }
        }
    }

    /// The same done to which pixels are filled: they move as others do, and keep what colours are changed to.
    pub fn move_filled(self, [height, width, _]: [usize; 3], filled: &mut Vec<bool>) {
        if let Some(matrix) = self.matrix([height, width, 1]).filter(|_| filled.contains(&true)) {
            let marks: Vec<u8> = filled.iter().map(|&mark| u8::from(mark)).collect();
            let moved = geometry::affine([height, width, 1], &marks, &matrix, Interpolation::Nearest);
            *filled = moved.into_iter().map(|mark| mark == 1).collect();
        }
    }

    /// From pixels of the result to those of the picture; nothing for what moves none.
    fn matrix(self, [height, width, _]: [usize; 3]) -> Option<[f64; 6]> {
        match self {
            Operation::ShearX(m) => Some([1.0, geometry::slope(m), 0.0, 0.0, 1.0, 0.0]),
            Operation::ShearY(m) => Some([1.0, 0.0, 0.0, geometry::slope(m), 1.0, 0.0]),
            Operation::TranslateX(by) => Some([1.0, 0.0, -f64::from(by), 0.0, 1.0, 0.0]),
            Operation::TranslateY(by) => Some([1.0, 0.0, 0.0, 0.0, 1.0, -f64::from(by)]),
            Operation::Rotate(degrees) => Some(geometry::rotation(degrees, [height, width])),
            Operation::Brightness(_)
            | Operation::Contrast(_)
            | Operation::Color(_)
            | Operation::Sharpness(_)
            | Operation::Hue(_)
            | Operation::Posterize(_)
            | Operation::Solarize(_)
            | Operation::AutoContrast
            | Operation::Equalize => None,
        }
    }
}

#[cfg(test)]
mod tests;
