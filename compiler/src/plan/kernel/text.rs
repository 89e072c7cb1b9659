//! Sizes in words, as dumps and reports show them.

use crate::ir::attrs::Epilogue;

/// `[3136, 64]`
pub(super) fn matrix(rows: usize, columns: usize) -> String {
    format!("[{rows}, {columns}]")
}

/// `3x3/2 p1`; stride 1 and padding 0 are left out.
pub(super) fn window(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> String {
    let mut text = format!("{}x{}", kernel[0], kernel[1]);
    if stride != [1, 1] {
        text += &format!("/{}", pair(stride));
    }
    if padding != [0, 0] {
        text += &format!(" p{}", pair(padding));
    }
    text
}

/// `2`, or `2,1` where the two differ.
pub(super) fn pair([vertical, horizontal]: [usize; 2]) -> String {
    if vertical == horizontal { vertical.to_string() } else { format!("{vertical},{horizontal}") }
}

/// ` + residual + relu`
pub(super) fn after(epilogue: &Epilogue) -> String {
    let residual = if epilogue.residual { " + residual" } else { "" };
    let act = epilogue.act.map_or(String::new(), |act| format!(" + {act}"));
    format!("{residual}{act}")
}

/// The word, behind a space, where the flag is set.
pub(super) fn flag(set: bool, word: &str) -> String {
    if set { format!(" {word}") } else { String::new() }
}
