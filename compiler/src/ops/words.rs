//! Parts of operators' texts and titles.

use crate::ir::attrs::{ConvAttrs, Epilogue, PoolAttrs};

/// ` +bias` where set, as dumps write flags.
pub(super) fn flag(set: bool, name: &str) -> String {
    if set { format!(" +{name}") } else { String::new() }
}

/// ` + bias` where set, as pictures write parts.
pub(super) fn part(set: bool, name: &str) -> String {
    if set { format!(" + {name}") } else { String::new() }
}

/// ` + add + relu`
pub(super) fn tail(epilogue: &Epilogue) -> String {
    let act = epilogue.act.map_or(String::new(), |act| format!(" + {}", spoken(act.info().name)));
    format!("{}{act}", part(epilogue.residual, "add"))
}

/// A name in words: `leaky relu`.
pub(super) fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// `3x3 /2 dilated 2 32 groups`
pub(super) fn window(attrs: &ConvAttrs) -> String {
    let mut text = format!("{}x{}{}", attrs.kernel[0], attrs.kernel[1], step(attrs.stride));
    if attrs.dilation != [1, 1] {
        text += &format!(" dilated {}", attrs.dilation[0]);
    }
    if attrs.groups > 1 {
        text += &format!(" {} groups", attrs.groups);
    }
    text
}

/// `3x3 /2`
pub(super) fn pool(attrs: &PoolAttrs) -> String {
    format!("{}x{}{}", attrs.kernel[0], attrs.kernel[1], step(attrs.stride))
}

/// ` /2` where the stride is not 1.
pub(super) fn step(stride: [usize; 2]) -> String {
    match stride {
        [1, 1] => String::new(),
        [a, b] if a == b => format!(" /{a}"),
        [a, b] => format!(" /{a}x{b}"),
    }
}
