//! Blocks in columns: each block is laid out by itself, then all are set on a page, read down, then right.

use std::collections::HashMap;
use std::ops::Range;

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

/// Boxes' sizes, and edges, of blocks that are laid out: units that look the same are so once.
type Known = HashMap<(Vec<[u64; 2]>, Vec<(usize, usize)>), Layout>;

/// Sets blocks on a page.
pub fn page(blocks: &[Block]) -> Page {
    let mut known = Known::new();
    let mut cards: Vec<Card> = blocks.iter().map(|block| card(block, &mut known)).collect();
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
fn card(block: &Block, known: &mut Known) -> Card {
    let ports = block.ports.iter().map(|port| (size::pill_width(port), PILL));
    let items = block.items.iter().map(|item| (size::box_width(item), BOX));
    let (sizes, edges): (Vec<_>, &[_]) = match (block.framed, block.edges.is_empty()) {
        (true, true) => (Vec::new(), &[]),
        (true, false) => (ports.chain(items).collect(), &block.edges),
        (false, _) => (items.collect(), &[]),
    };
    let key = (sizes.iter().map(|&(w, h)| [w.to_bits(), h.to_bits()]).collect(), edges.to_vec());
    let inner = known.entry(key).or_insert_with(|| layout(&sizes, edges)).clone();
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
fn columns(blocks: &[Block], cards: &[Card]) -> Vec<Range<usize>> {
    let heights: Vec<f64> = cards.iter().map(|card| card.frame.h + GAP).collect();
    let within: Vec<bool> = (0..blocks.len())
        .map(|i| i > 0 && blocks[i].stage().is_some() && blocks[i].stage() == blocks[i - 1].stage())
        .collect();
    let candidates = (1..=COLUMNS.min(blocks.len())).map(|count| split(&heights, &within, count));
    let badness = |ranges: &Vec<Range<usize>>| {
        let width: f64 = ranges
            .iter()
            .map(|range| cards[range.clone()].iter().map(|c| c.frame.w).fold(0.0, f64::max) + GUTTER)
            .sum();
        let height = ranges.iter().map(|range| heights[range.clone()].iter().sum()).fold(1.0, f64::max);
        (width / height / ASPECT).ln().abs()
    };
    candidates.min_by(|a, b| badness(a).total_cmp(&badness(b))).unwrap_or_default()
}

/// What it costs to begin a column `within` a stage.
const WITHIN: f64 = 0.15;

/// Splits blocks into columns of like height, rather between stages than within one: least sum of squares, by dynamic programming
/// over the end of each column.
fn split(heights: &[f64], within: &[bool], count: usize) -> Vec<Range<usize>> {
    let n = heights.len();
    // Height of the first blocks.
    let mut sums = vec![0.0; n + 1];
    for (i, height) in heights.iter().enumerate() {
        sums[i + 1] = sums[i] + height;
    }
    let mean = sums[n] / count as f64;
    let cost = |from: usize, to: usize| {
        let off = (sums[to] - sums[from] - mean) / mean;
        off * off + if within[from] { WITHIN } else { 0.0 }
    };
    // Of the columns so far: the least cost up to each end.
    let mut best = vec![f64::INFINITY; n + 1];
    best[0] = 0.0;
    let mut begins = Vec::with_capacity(count);
    for column in 1..=count {
        let chosen = cheapest(column - 1, n, |from, end| best[from] + cost(from, end));
        best = (0..=n)
            .map(|end| chosen[end].map_or(f64::INFINITY, |from| best[from] + cost(from, end)))
            .collect();
        begins.push(chosen);
    }
    let mut ranges = Vec::new();
    let mut end = n;
    for chosen in begins.iter().rev() {
        let from = chosen[end].expect("there are at least as many blocks as columns");
        ranges.push(from..end);
        end = from;
    }
    ranges.reverse();
    ranges
}

/// The cheapest begin of a column for each end, of those from `first` on. For a sum of squares the later end never has the earlier
/// begin, so that each half of the ends looks at its part of the begins alone.
fn cheapest(first: usize, n: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<Option<usize>> {
    let mut chosen = vec![None; n + 1];
    let mut open = vec![(first + 1..n + 1, first, n)];
    while let Some((ends, low, high)) = open.pop() {
        if ends.is_empty() {
            continue;
        }
        let end = ends.start + ends.len() / 2;
        let begins = (low..=high.min(end - 1)).map(|from| (from, cost(from, end)));
        let (begin, _) =
            begins.reduce(|a, b| if b.1 < a.1 { b } else { a }).expect("an end is behind a begin");
        chosen[end] = Some(begin);
        open.push((ends.start..end, low, begin));
        open.push((end + 1..ends.end, begin, high));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least cost of all ways to split.
    fn tried(heights: &[f64], within: &[bool], count: usize) -> f64 {
        fn go(heights: &[f64], within: &[bool], from: usize, count: usize, mean: f64) -> f64 {
            let n = heights.len();
            let cost = |to: usize| {
                let off = (heights[from..to].iter().sum::<f64>() - mean) / mean;
                off * off + if within[from] { WITHIN } else { 0.0 }
            };
            if count == 1 {
                return cost(n);
            }
            let ends = from + 1..=n + 1 - count;
            ends.map(|to| cost(to) + go(heights, within, to, count - 1, mean)).fold(f64::INFINITY, f64::min)
        }
        go(heights, within, 0, count, heights.iter().sum::<f64>() / count as f64)
    }

    #[test]
    fn columns_are_the_best_of_all() {
        let heights: Vec<f64> = (0..11).map(|i| f64::from(20 + (i * 37) % 91)).collect();
        let within: Vec<bool> = (0..11).map(|i| i % 4 != 0).collect();
        for count in 1..=6 {
            let ranges = split(&heights, &within, count);
            assert_eq!(ranges.len(), count);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
            assert_eq!((ranges[0].start, ranges[count - 1].end), (0, 11));
            let mean = heights.iter().sum::<f64>() / count as f64;
            let cost: f64 = ranges
                .iter()
                .map(|range| {
                    let off = (heights[range.clone()].iter().sum::<f64>() - mean) / mean;
                    off * off + if within[range.start] { WITHIN } else { 0.0 }
                })
                .sum();
            assert!((cost - tried(&heights, &within, count)).abs() < 1e-9, "{count}: {ranges:?}");
        }
    }

    /// Counts what is looked at, as times hang on the machine's load.
    #[test]
    fn four_times_as_many_blocks_are_little_more_than_four_times_the_work() {
        let looked_at = |n: usize| {
            let count = std::cell::Cell::new(0usize);
            cheapest(0, n, |from, end| {
                count.set(count.get() + 1);
                (end as f64 - from as f64 - 10.0).powi(2)
            });
            count.get()
        };
        let (few, many) = (looked_at(1000), looked_at(4000));
        assert!(many < 6 * few && few < 1000 * 30, "{few}, {many}");
    }
}
