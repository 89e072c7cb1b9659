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

/// A picture is made row by row, and each step of a row is a plain loop over it: the compiler makes vector instructions of those.
impl Samples {
    fn picture(&self, frame: &Frame) -> Vec<u8> {
        let mut pixels = vec![0; frame.width * frame.height * 3];
        // Whole blocks, and whole pairs of pixels.
        let width = frame.width.next_multiple_of(2 * BLOCK);
        let [mut luma, mut blue, mut red, mut sums] = std::array::from_fn(|_| vec![0; width]);
        for (y, row) in pixels.chunks_exact_mut(frame.width * 3).enumerate() {
            self.luma(y, &mut luma);
            self.chroma(1, y, frame, &mut sums, &mut blue);
            self.chroma(2, y, frame, &mut sums, &mut red);
            let samples = luma.iter().zip(&blue).zip(&red);
            for (pixel, ((&luma, &blue), &red)) in row.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
                *pixel = colour(luma, blue, red);
            }
        }
        pixels
    }

    /// A row of luma. Its blocks lie in groups of four, which were two above two.
    fn luma(&self, y: usize, row: &mut [i32]) {
        let from = (y / (2 * BLOCK) * BLOCK + y % BLOCK) * self.width + (y / BLOCK % 2) * 2 * BLOCK;
        for (unit, row) in row.chunks_exact_mut(2 * BLOCK).enumerate() {
            let from = (from + unit * 4 * BLOCK) * 3;
            let pair = self.samples[from..from + 2 * BLOCK * 3].as_chunks::<3>().0;
            row.iter_mut().zip(pair).for_each(|(to, sample)| *to = sample[0].into());
        }
    }

    /// The samples of a row of a colour, each of which is there four times.
    fn samples(&self, channel: usize, y: usize) -> impl Iterator<Item = i32> + '_ {
        let row = &self.samples[y * self.width * 3..(y + 1) * self.width * 3];
        row.as_chunks::<{ 4 * 3 }>().0.iter().map(move |four| i32::from(four[channel]))
    }

    /// A row of a colour at full size: three quarters of the nearer sample and one of the other, in both directions. At the border the
    /// nearer one counts whole. Where there are two samples or fewer, libjpeg repeats them.
    fn chroma(&self, channel: usize, y: usize, frame: &Frame, sums: &mut [i32], row: &mut [i32]) {
        let [columns, rows] = [frame.width, frame.height].map(|side| side.div_ceil(2));
        let near = y / 2;
        if columns <= 2 {
            let samples = self.samples(channel, near).take(columns);
            samples.zip(row.chunks_mut(2)).for_each(|(sample, pair)| pair.fill(sample));
            return;
        }
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(rows - 1) };
        let both = self.samples(channel, near).zip(self.samples(channel, far));
        sums.iter_mut().zip(both).take(columns).for_each(|(sum, (near, far))| *sum = 3 * near + far);
        let (sums, pairs) = (&sums[..columns], row.as_chunks_mut::<2>().0);
        for (pair, three) in pairs[1..].iter_mut().zip(sums.windows(3)) {
            *pair = [(3 * three[1] + three[0] + 8) >> 4, (3 * three[1] + three[2] + 7) >> 4];
        }
        let last = columns - 1;
        pairs[0] = [(4 * sums[0] + 8) >> 4, (3 * sums[0] + sums[1] + 7) >> 4];
        pairs[last] = [(3 * sums[last] + sums[last - 1] + 8) >> 4, (4 * sums[last] + 7) >> 4];
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
