//! JPEG files whose colours have half the pixels in both directions (4:2:0), as cameras and most programs write them.
//!
//! The decoder interpolates such colours by rounding twice, always up, where libjpeg rounds once, in turn up and down. Nothing to be
//! seen, but a shade that a network for small pictures takes note of. So the decoder is made to hand out the samples as they are: it
//! is told that the four blocks of luma in a unit lie in a row (4x1) in place of a square (2x2). A unit has the same blocks in the same
//! order then, and colours are a fourth as wide, which it repeats and does not interpolate. The blocks are put back here, and
//! colours interpolated as libjpeg does it.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::jpeg::Segments;

/// Samples of a block's side.
const BLOCK: usize = 8;

/// A baseline file of one scan.
struct Frame {
    /// Where the frame's precision stands.
    at: usize,
    width: usize,
    height: usize,
}

/// `[height][width][3]` of red, green and blue; `None` of any other file, or one that is damaged.
pub fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let frame = frame(bytes)?;
    // A unit is 16 by 16 pixels; in a row it is 32 by 8.
    let units = [frame.width.div_ceil(2 * BLOCK), frame.height.div_ceil(2 * BLOCK)];
    let size = [units[0] * 4 * BLOCK, units[1] * BLOCK];
    let mut told = bytes.to_vec();
    told[frame.at + 1..frame.at + 3].copy_from_slice(&u16::try_from(size[1]).ok()?.to_be_bytes());
    told[frame.at + 3..frame.at + 5].copy_from_slice(&u16::try_from(size[0]).ok()?.to_be_bytes());
    told[frame.at + 7] = 0x41;
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::YCbCr);
    let samples = JpegDecoder::new_with_options(ZCursor::new(&told[..]), options).decode().ok()?;
    let samples = Samples { width: size[0], samples };
    (samples.samples.len() == size[0] * size[1] * 3).then(|| samples.picture(&frame))
}

/// The frame of a file of this kind. Others are left to the decoder as they are: several scans count blocks otherwise.
fn frame(bytes: &[u8]) -> Option<Frame> {
    let mut found = None;
    for (marker, at, content) in Segments::of(bytes)? {
        match marker {
            // Baseline, and extended with as many bits.
            0xc0 | 0xc1 => {
                let [8, y1, y2, x1, x2, 3, first, 0x22, _, second, 0x11, _, third, 0x11, _] = *content else {
                    return None;
                };
                // Without a word on it, libjpeg takes these names for red, green and blue.
                if [first, second, third] == *b"RGB" {
                    return None;
                }
                let [height, width] = [[y1, y2], [x1, x2]].map(|pair| usize::from(u16::from_be_bytes(pair)));
                found = (width > 0 && height > 0).then_some(Frame { at, width, height });
            }
            0xc2..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => return None,
            // Adobe's word on how colours are meant: 1 is YCbCr.
            0xee if content.starts_with(b"Adobe") && content.get(11) != Some(&1) => return None,
            0xda => return found.filter(|_| content.first() == Some(&3)),
            _ => {}
        }
    }
    None
}

/// What the decoder made of the blocks in a row, `[units * 8][units * 32][3]`.
struct Samples {
    width: usize,
    samples: Vec<u8>,
}

impl Samples {
    fn luma(&self, x: usize, y: usize) -> u8 {
        let (side, block) = (2 * BLOCK, (y / BLOCK % 2) * 2 + x / BLOCK % 2);
        let (row, column) = (y / side * BLOCK + y % BLOCK, x / side * 4 * BLOCK + block * BLOCK + x % BLOCK);
        self.samples[(row * self.width + column) * 3]
    }

    /// A colour's sample: each is there four times.
    fn chroma(&self, channel: usize, x: usize, y: usize) -> i32 {
        self.samples[(y * self.width + x * 4) * 3 + channel].into()
    }

    fn picture(&self, frame: &Frame) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(frame.width * frame.height * 3);
        let (mut blue, mut red) = (vec![0; frame.width + 1], vec![0; frame.width + 1]);
        for y in 0..frame.height {
            self.interpolate(1, y, frame, &mut blue);
            self.interpolate(2, y, frame, &mut red);
            for (x, (blue, red)) in blue.iter().zip(&red).take(frame.width).enumerate() {
                pixels.extend(colour(self.luma(x, y).into(), *blue, *red));
            }
        }
        pixels
    }

    /// A row of a colour at full size: three quarters of the nearer sample and one of the other, in both directions. At the border the
    /// nearer one counts whole. Where there are two samples or fewer, libjpeg repeats them.
    fn interpolate(&self, channel: usize, y: usize, frame: &Frame, row: &mut [i32]) {
        let [columns, rows] = [frame.width, frame.height].map(|side| side.div_ceil(2));
        let near = y / 2;
        if columns <= 2 {
            row.iter_mut().enumerate().for_each(|(x, value)| {
                *value = self.chroma(channel, (x / 2).min(columns - 1), near);
            });
            return;
        }
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
        let sum = |x: usize| 3 * self.chroma(channel, x, near) + self.chroma(channel, x, far);
        let (mut before, mut this) = (sum(0), sum(0));
        for (x, pair) in row.chunks_mut(2).take(columns).enumerate() {
            let next = if x + 1 < columns { sum(x + 1) } else { this };
            pair[0] = (3 * this + before + 8) >> 4;
            if let Some(value) = pair.get_mut(1) {
                *value = (3 * this + next + 7) >> 4;
            }
            (before, this) = (this, next);
        }
    }
}

/// Red, green and blue of JFIF's luma and colours, in libjpeg's whole numbers.
fn colour(luma: i32, blue: i32, red: i32) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (blue, red) = (blue - 128, red - 128);
    [
        luma + ((91881 * red + HALF) >> 16),
        luma + ((-22554 * blue - 46802 * red + HALF) >> 16),
        luma + ((116130 * blue + HALF) >> 16),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}
