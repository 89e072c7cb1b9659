//! Random changes of training pictures, on bytes, before they are normalised.

use resnetc_compiler::spec::train::Augment;

use super::canvas::Canvas;
use super::rng::Stream;

/// Changes a picture by each of these in turn. What is drawn from the stream does not depend on the picture, its size apart.
pub fn augment(changes: &[Augment], canvas: &mut Canvas, stream: &mut Stream) {
    for change in changes {
        match *change {
            Augment::Crop { padding } => crop(canvas, stream, padding),
            Augment::Flip { probability } => flip(canvas, stream, probability),
            Augment::Cutout { size } => cutout(canvas, stream, size),
        }
    }
}

/// A window of the picture's size, out of the picture with that many filled pixels around it.
fn crop(canvas: &mut Canvas, stream: &mut Stream, padding: usize) {
    let mut shift = || stream.below(2 * padding as u32 + 1) as isize - padding as isize;
    let (dy, dx) = (shift(), shift());
    canvas.shift(dy, dx);
}

/// Mirrored left to right, that often.
fn flip(canvas: &mut Canvas, stream: &mut Stream, probability: f32) {
    if stream.chance(probability) {
        canvas.mirror();
    }
}

/// A filled square of that side around a random centre, cut at the border (DeVries and Taylor 2017).
fn cutout(canvas: &mut Canvas, stream: &mut Stream, side: usize) {
    let [h, w, _] = canvas.size();
    let mut span = |len: usize| {
        let centre = stream.below(len as u32) as usize;
        centre.saturating_sub(side / 2)..centre + side - side / 2
    };
    let (rows, columns) = (span(h), span(w));
    canvas.fill(rows, columns);
}
