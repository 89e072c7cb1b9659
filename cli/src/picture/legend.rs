//! What the colours of a picture mean.

use super::block::Block;
use super::label::Kind;
use super::links;
use super::page::{Card, Page};
use super::size::text_width;
use crate::markup::put;

/// The legend's letters are narrow ones.
const CHAR: f64 = 5.0;

/// What occurs in the picture, and no more; with its width.
pub fn legend(blocks: &[Block], page: &Page) -> (String, f64) {
    let items = || blocks.iter().flat_map(|block| &block.items);
    let fused = || items().flat_map(|item| item.parts.iter().skip(1)).map(|part| Kind::of_part(part));
    let (mut out, mut x) = (String::new(), 0.0);
    for kind in Kind::ALL {
        if items().any(|item| item.kind == kind) || fused().any(|part| part == kind) {
            let class = kind.class();
            put(
                &mut out,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x}\" y=\"0\" width=\"16\" height=\"12\" rx=\"3\"/>"
                ),
            );
            x = name(&mut out, x, kind.label());
        }
    }
    let shortcut =
        |(block, card): (&Block, &Card)| card.inner.links.iter().any(|link| links::is_shortcut(link, block));
    if blocks.iter().zip(&page.cards).any(shortcut) {
        put(&mut out, format_args!("<path class=\"arc\" d=\"M{x} 6H{}\"/>", x + 16.0));
        x = name(&mut out, x, "shortcut");
    }
    if fused().next().is_some() {
        for (class, x, width) in [("conv", x, 9), ("elementwise", x + 9.0, 7)] {
            put(
                &mut out,
                format_args!(
                    "<rect class=\"{class}\" x=\"{x}\" y=\"0\" width=\"{width}\" height=\"12\" rx=\"2\"/>"
                ),
            );
        }
        x = name(&mut out, x, "boxes side by side: one kernel");
    }
    (out, x)
}

/// The text beside a sample; where the next one begins.
fn name(out: &mut String, x: f64, text: &str) -> f64 {
    put(out, format_args!("<text class=\"small\" x=\"{}\" y=\"10\">{text}</text>", x + 21.0));
    x + 21.0 + text_width(text, CHAR) + 18.0
}
