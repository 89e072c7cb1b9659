//! The stem for 224x224 images divides height and width by 4 before the first unit. Of an image of 32x32 it leaves 8x8,
//! and the last stage works on one pixel; the paper's own networks for CIFAR-10 begin with one 3x3 convolution of
//! stride 1.

use super::subject::Subject;
use crate::diagnostic::Diagnostic;
use crate::ir::op::{AvgPool, BlurPool, Conv, MaxPool, Op};

/// Images of at most that many pixels a side are small.
const SMALL: usize = 64;
/// What a stem may divide the sides of a small image by.
const MOST: usize = 2;

pub(super) fn check(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let [_, h, w] = subject.spec.input.value;
    let stem = || subject.nodes().filter(|node| node.name.starts_with("stem."));
    let left = stem().filter_map(|node| node.types.first()?.shape.nchw()).last();
    let Some([_, _, rows, columns]) = left else { return Vec::new() };
    if h.max(w) > SMALL || (rows * MOST >= h && columns * MOST >= w) {
        return Vec::new();
    }
    let mut sites = stem().filter(|node| strides(&node.op)).map(|node| node.span);
    let Some(first) = sites.next() else { return Vec::new() };
    let message = format!("the stem leaves {rows}x{columns} of an image of {h}x{w}");
    let mut warning = Diagnostic::warning(message, first, "skips pixels");
    for span in sites {
        warning = warning.label(span, "skips more");
    }
    vec![
        warning
            .label(subject.spec.input.span, "small images")
            .help("begin with `conv3x3(...) -> bn -> relu`"),
    ]
}

fn strides(op: &Op) -> bool {
    let windows = matches!(op, Op::Conv(Conv { attrs, .. }) if attrs.stride != [1, 1])
        || matches!(op, Op::MaxPool(MaxPool { attrs }) | Op::AvgPool(AvgPool { attrs }) if attrs.stride != [1, 1]);
    windows || matches!(op, Op::BlurPool(BlurPool { stride }) if *stride != [1, 1])
}
