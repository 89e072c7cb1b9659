//! Blocks in columns: each block is laid out by itself, then all are set on a page, read down, then right.

use super::block::Block;
use super::layout::{Layout, Place, layout};
use super::size::{self, BOX, PADDING, PILL};

/// Between blocks of a column; the shape of the value stands there.
const GAP: f64 = 26.0;
/// Between columns, where the way from one to the next runs.
pub const GUTTER: f64 = 40.0;
/// Width over height of a good page.
const ASPECT: f64 = 1.45;
/// Most columns.
const COLUMNS: usize = 24;

/// A block with its place on the page.
#[derive(Debug)]
pub struct Card {
    /// The frame.
    pub frame: Place,
    /// Ports, then items, in the page's coordinates.
    pub inner: Layout,
    /// Which column.
    pub column: usize,
}

/// All cards, in the order of the blocks.
#[derive(Debug)]
pub struct Page {
    /// One per block.
    pub cards: Vec<Card>,
    /// Right edge.
    pub width: f64,
    /// Lower edge.
    pub height: f64,
}

/// Sets blocks on a page.
pub fn page(blocks: &[Block]) -> Page {
    let mut cards: Vec<Card> = blocks.iter().map(card).collect();
    let columns = columns(blocks, &cards);
    let (mut left, mut height) = (0.0, 0.0f64);
    for (number, range) in columns.iter().enumerate() {
        let column = &mut cards[range.clone()];
        let width = column.iter().map(|c| c.frame.w).fold(0.0, f64::max);
        let mut top = 0.0;
        for (card, block) in column.iter_mut().zip(&blocks[range.clone()]) {
            card.column = number;
            // Frames of a column are equally wide; what has no frame stands in the middle.
            let shift = ((width - card.frame.w) / 2.0).round();
            card.move_by(left + shift, top);
            if block.framed {
                card.frame.x = left + width / 2.0;
                card.frame.w = width;
            }
            top += card.frame.h + GAP;
        }
        height = height.max(top - GAP);
        left += width + GUTTER;
    }
    Page { cards, width: (left - GUTTER).ceil(), height: height.ceil() }
}

impl Card {
    fn move_by(&mut self, dx: f64, dy: f64) {
        for place in self.inner.places.iter_mut().chain([&mut self.frame]) {
            place.x += dx;
            place.y += dy;
        }
        for lane in self.inner.links.iter_mut().filter_map(|link| link.lane.as_mut()) {
            *lane += dx;
        }
    }
}

/// A block by itself, its upper left corner at the origin.
fn card(block: &Block) -> Card {
    let ports = block.ports.iter().map(|port| (size::pill_width(port), PILL));
    let items = block.items.iter().map(|item| (size::box_width(item), BOX));
    let (sizes, edges): (Vec<_>, &[_]) = match (block.framed, block.edges.is_empty()) {
        (true, true) => (Vec::new(), &[]),
        (true, false) => (ports.chain(items).collect(), &block.edges),
        (false, _) => (items.collect(), &[]),
    };
    let inner = layout(&sizes, edges);
    let lanes = inner.links.iter().filter_map(|link| link.lane).fold(0.0, f64::max);
    let left = inner.places.iter().map(Place::left).fold(f64::INFINITY, f64::min);
    let right = inner.places.iter().map(Place::right).fold(lanes, f64::max);
    let top = inner.places.iter().map(Place::top).fold(f64::INFINITY, f64::min);
    let bottom = inner.places.iter().map(Place::bottom).fold(f64::NEG_INFINITY, f64::max);
    let (w, h) = if inner.places.is_empty() { (0.0, 0.0) } else { (right - left, bottom - top) };
    let pad = if block.framed { PADDING } else { 0.0 };
    let width = (w + 2.0 * pad).max(if block.framed { size::head_width(block) } else { 0.0 });
    let height = size::head_height(block) + h + if block.framed && h > 0.0 { 2.0 * pad } else { 0.0 };
    let mut card =
        Card { frame: Place { x: width / 2.0, y: height / 2.0, w: width, h: height }, inner, column: 0 };
    if h > 0.0 {
        let (dx, dy) = (((width - w) / 2.0).round() - left, size::head_height(block) + pad - top);
        let frame = card.frame;
        card.move_by(dx, dy);
        card.frame = frame;
    }
    card
}

/// Which blocks stand in which column: the number of columns whose page comes nearest to [`ASPECT`].
fn columns(blocks: &[Block], cards: &[Card]) -> Vec<std::ops::Range<usize>> {
    let candidates = (1..=COLUMNS.min(blocks.len())).map(|count| split(blocks, cards, count));
    let badness = |ranges: &Vec<std::ops::Range<usize>>| {
        let columns = ranges.iter().map(|range| &cards[range.clone()]);
        let width: f64 =
            columns.clone().map(|c| c.iter().map(|c| c.frame.w).fold(0.0, f64::max) + GUTTER).sum();
        let height = columns.map(height).fold(1.0, f64::max);
        (width / height / ASPECT).ln().abs()
    };
    candidates.min_by(|a, b| badness(a).total_cmp(&badness(b))).unwrap_or_default()
}

fn height(cards: &[Card]) -> f64 {
    cards.iter().map(|card| card.frame.h + GAP).sum()
}

/// Splits blocks into columns of like height, rather between stages than within one: least sum of squares, by
/// dynamic programming over the end of each column.
fn split(blocks: &[Block], cards: &[Card], count: usize) -> Vec<std::ops::Range<usize>> {
    let n = blocks.len();
    let total = height(cards);
    let mean = total / count as f64;
    let cost = |from: usize, to: usize| {
        let within =
            from > 0 && blocks[from].stage().is_some() && blocks[from].stage() == blocks[from - 1].stage();
        let off = (height(&cards[from..to]) - mean) / mean;
        off * off + if within { 0.15 } else { 0.0 }
    };
    // best[k][end]: the least cost of k columns for the first `end` blocks, and where the last one begins.
    let mut best = vec![vec![(f64::INFINITY, 0); n + 1]; count + 1];
    best[0][0] = (0.0, 0);
    for k in 1..=count {
        for end in k..=n {
            for from in k - 1..end {
                let sum = best[k - 1][from].0 + cost(from, end);
                if sum < best[k][end].0 {
                    best[k][end] = (sum, from);
                }
            }
        }
    }
    let mut ranges = Vec::new();
    let mut end = n;
    for k in (1..=count).rev() {
        let from = best[k][end].1;
        ranges.push(from..end);
        end = from;
    }
    ranges.reverse();
    ranges
}
