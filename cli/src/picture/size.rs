//! How large boxes, pills and frames are: what layout asks for, and what drawing fills.

use super::block::{Block, Item, Port};

/// Width of a character of 12 pixels; of 10 pixels.
const CHAR: (f64, f64) = (6.6, 5.6);
/// Height of an operator's box.
pub const BOX: f64 = 34.0;
/// Height of the pill of a value that enters a block.
pub const PILL: f64 = 17.0;
/// Between a frame and what it holds.
pub const PADDING: f64 = 10.0;
/// Height of a block's name, and of a line below it.
pub const TITLE: f64 = 22.0;
/// Height of a line of facts.
pub const FACT: f64 = 14.0;

/// Width of a text whose characters are so wide.
pub fn text_width(text: &str, char: f64) -> f64 {
    text.chars().count() as f64 * char
}

/// Widths of the parts of an operator's box.
pub fn part_widths(item: &Item) -> Vec<f64> {
    let mut widths: Vec<_> = item.parts.iter().map(|part| (text_width(part, CHAR.0) + 14.0).ceil()).collect();
    widths[0] = widths[0].max((text_width(&item.name, CHAR.1) + 14.0).ceil());
    let missing = 96.0 - widths.iter().sum::<f64>();
    widths[0] += missing.max(0.0);
    widths
}

/// Width of an operator's box.
pub fn box_width(item: &Item) -> f64 {
    part_widths(item).iter().sum()
}

/// Width of the pill of a value that enters a block.
pub fn pill_width(port: &Port) -> f64 {
    (text_width(&pill_text(port), CHAR.1) + 18.0).ceil()
}

/// What the pill says.
pub fn pill_text(port: &Port) -> String {
    match &port.from {
        Some(name) => format!("{name}  {}", port.shape),
        None => port.shape.clone(),
    }
}

/// Width of a block's name and facts.
pub fn head_width(block: &Block) -> f64 {
    let title = text_width(&block.title(), CHAR.0 * 1.08) + if block.units.len() > 1 { 44.0 } else { 0.0 };
    let facts = block.facts.iter().map(|fact| text_width(fact, CHAR.1)).fold(0.0, f64::max);
    (title.max(facts) + 2.0 * PADDING).ceil()
}

/// Height of what stands above a block's operators.
pub fn head_height(block: &Block) -> f64 {
    if block.framed { TITLE + FACT * block.facts.len() as f64 + 6.0 } else { 0.0 }
}
