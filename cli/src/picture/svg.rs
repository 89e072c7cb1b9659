//! Boxes, links and frames as SVG text.

use std::fmt::Write;

use super::Item;
use super::layout::{Layout, Link, Place};

/// Around the whole picture.
const MARGIN: f64 = 20.0;
/// Between a frame and what it holds.
const PADDING: f64 = 8.0;
/// Width of a character of the box' title and of its second line, generously.
const CHAR: (f64, f64) = (7.1, 6.1);

/// Width that a box needs for its two lines.
pub fn width(item: &Item) -> f64 {
    let title = item.title.chars().count() as f64 * CHAR.0;
    let below = (item.name.chars().count() + item.shape.chars().count() + 2) as f64 * CHAR.1;
    (title.max(below) + 16.0).max(120.0).ceil()
}

/// The whole file.
pub fn render(name: &str, items: &[Item], placed: &Layout) -> String {
    let frames = frames(items, placed);
    let gutter = frames.iter().map(|f| f.name.chars().count() as f64 * CHAR.0).fold(12.0, f64::max).ceil();
    let left = extreme(placed.places.iter().map(Place::left), f64::min) - PADDING - gutter - MARGIN;
    let lanes = placed.links.iter().filter_map(|l| l.lane);
    let right = extreme(placed.places.iter().map(Place::right).chain(lanes), f64::max) + PADDING + MARGIN;
    let top = extreme(placed.places.iter().map(Place::top), f64::min) - PADDING - MARGIN - 28.0;
    let bottom = extreme(placed.places.iter().map(Place::bottom), f64::max) + PADDING + MARGIN;
    let (w, h) = (right - left, bottom - top);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"{left} {top} {w} {h}\">\n{STYLE}"
    );
    put(
        &mut out,
        format_args!("<rect x=\"{left}\" y=\"{top}\" width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>"),
    );
    put(
        &mut out,
        format_args!(
            "<text class=\"h\" x=\"{}\" y=\"{}\">{}</text>",
            left + MARGIN,
            top + MARGIN + 10.0,
            escape(name)
        ),
    );
    for frame in &frames {
        frame.draw(&mut out);
    }
    for link in &placed.links {
        draw_link(&mut out, link, &placed.places);
    }
    for (item, place) in items.iter().zip(&placed.places) {
        draw_box(&mut out, item, place);
    }
    out + "</svg>\n"
}

const STYLE: &str = "<style>\
text{font-family:Helvetica,Arial,sans-serif;font-size:12px;fill:#1f2328}\
.h{font-size:16px;font-weight:bold}.s{font-size:10px;fill:#57606a}.u{font-weight:bold;fill:#57606a}\
.l{fill:none;stroke:#57606a;stroke-width:1.2}.a{fill:none;stroke:#d9822b;stroke-width:1.6}\
</style>\n\
<defs>\
<marker id=\"l\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
<path d=\"M0 0 8 4 0 8z\" fill=\"#57606a\"/></marker>\
<marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\">\
<path d=\"M0 0 8 4 0 8z\" fill=\"#d9822b\"/></marker>\
</defs>\n";

/// The frame around one unit's boxes.
struct Frame {
    name: String,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn take(&mut self, place: &Place) {
        self.left = self.left.min(place.left());
        self.right = self.right.max(place.right());
        self.top = self.top.min(place.top());
        self.bottom = self.bottom.max(place.bottom());
    }

    fn draw(&self, out: &mut String) {
        put(
            out,
            format_args!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"7\" fill=\"#f6f8fa\" stroke=\"#d0d7de\"/>",
                self.left - PADDING,
                self.top - PADDING,
                self.right - self.left + 2.0 * PADDING,
                self.bottom - self.top + 2.0 * PADDING,
            ),
        );
        put(
            out,
            format_args!(
                "<text class=\"u\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>",
                self.left - PADDING - 6.0,
                self.top + 10.0,
                escape(&self.name)
            ),
        );
    }
}

/// Frames in the order of their first boxes; all as wide as the widest, so that they read as one column.
fn frames(items: &[Item], placed: &Layout) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for (item, place) in items.iter().zip(&placed.places).filter(|(item, _)| !item.unit.is_empty()) {
        match frames.iter_mut().find(|f| f.name == item.unit) {
            Some(frame) => frame.take(place),
            None => frames.push(Frame {
                name: item.unit.clone(),
                left: place.left(),
                right: place.right(),
                top: place.top(),
                bottom: place.bottom(),
            }),
        }
    }
    let left = extreme(frames.iter().map(|f| f.left), f64::min);
    let right = extreme(frames.iter().map(|f| f.right), f64::max);
    for frame in &mut frames {
        (frame.left, frame.right) = (left, right);
    }
    frames
}

fn draw_box(out: &mut String, item: &Item, place: &Place) {
    let (fill, border) = item.kind.colors();
    let stroke = if item.fused { 2.0 } else { 1.0 };
    put(out, format_args!("<g><title>{}</title>", escape(&item.tooltip)));
    put(
        out,
        format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\" fill=\"{fill}\" stroke=\"{border}\" \
         stroke-width=\"{stroke}\"/>",
            place.left(),
            place.top(),
            place.w,
            place.h
        ),
    );
    put(
        out,
        format_args!(
            "<text text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
            place.x,
            place.top() + 15.0,
            escape(&item.title)
        ),
    );
    put(
        out,
        format_args!(
            "<text class=\"s\" x=\"{}\" y=\"{}\">{}</text>",
            place.left() + 7.0,
            place.bottom() - 7.0,
            escape(&item.name)
        ),
    );
    put(
        out,
        format_args!(
            "<text class=\"s\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text></g>",
            place.right() - 7.0,
            place.bottom() - 7.0,
            escape(&item.shape)
        ),
    );
}

/// A line down from box to box, or an arc round the right of what lies between.
fn draw_link(out: &mut String, link: &Link, places: &[Place]) {
    let (from, to) = (&places[link.from], &places[link.to]);
    if let Some(lane) = link.lane {
        // A quarter of the height off the centre, so that an arc that ends and one that starts do not meet.
        let (y1, y2) = (from.y + from.h / 4.0, to.y - to.h / 4.0);
        return put(
            out,
            format_args!(
                "<path class=\"a\" marker-end=\"url(#a)\" d=\"M{} {y1}H{}Q{lane} {y1} {lane} {}V{}Q{lane} {y2} {} {y2}H{}\"/>",
                from.right(),
                lane - 8.0,
                y1 + 8.0,
                y2 - 8.0,
                lane - 8.0,
                to.right()
            ),
        );
    }
    let (x1, y1, x2, y2) = (from.x, from.bottom(), to.x, to.top());
    if x1 == x2 {
        return put(out, format_args!("<path class=\"l\" marker-end=\"url(#l)\" d=\"M{x1} {y1}V{y2}\"/>"));
    }
    // Straight down beside the boxes between, then over: the bend stays in the gap above the lower box.
    let bend = (y2 - y1).min(30.0);
    let start = y2 - bend;
    put(
        out,
        format_args!(
            "<path class=\"l\" marker-end=\"url(#l)\" d=\"M{x1} {y1}V{start}C{x1} {} {x2} {} {x2} {y2}\"/>",
            start + bend * 0.6,
            y2 - bend * 0.6
        ),
    );
}

fn put(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string");
}

fn extreme(values: impl Iterator<Item = f64>, pick: fn(f64, f64) -> f64) -> f64 {
    values.reduce(pick).unwrap_or(0.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
