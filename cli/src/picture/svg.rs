//! Cards, boxes and links as SVG text. Colours are classes, so that a page can set them for a dark screen.

use std::fmt::Write;

use super::block::{Block, Item, Port};
use super::label::Kind;
use super::layout::Place;
use super::legend;
use super::links::{self, tip};
use super::page::{self, Card, GUTTER, Page};
use super::size::{BOX, FACT, PADDING, TITLE, head_height, part_widths, pill_text};
use super::subject::Subject;
use crate::markup::{escape, put};
use crate::report::units::{grouped, si};

/// Around the whole picture.
const MARGIN: f64 = 24.0;
/// Space of the title, and of the legend.
const HEADING: f64 = 60.0;
const LEGEND: f64 = 56.0;

/// A whole file: title, picture, legend, colours of a light page.
pub fn file(subject: &Subject<'_>, blocks: &[Block]) -> String {
    let page = page::page(blocks);
    let legend = legend::legend(blocks, &page);
    let (w, h) =
        (page.width.max(legend.1).max(360.0) + 2.0 * MARGIN, page.height + HEADING + LEGEND + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\n\
         <style>{}{}</style>\n<rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n",
        SHAPES,
        colours(false)
    );
    let summary = subject.summary;
    put(
        &mut out,
        format_args!(
            "<text class=\"heading\" x=\"{MARGIN}\" y=\"{}\">{}</text>",
            MARGIN + 16.0,
            escape(&summary.name)
        ),
    );
    let facts = format!(
        "{} parameters \u{b7} {} MACs \u{b7} {}",
        grouped(summary.params),
        si(summary.macs),
        subject.purpose()
    );
    put(
        &mut out,
        format_args!("<text class=\"small\" x=\"{MARGIN}\" y=\"{}\">{facts}</text>", MARGIN + 34.0),
    );
    put(&mut out, format_args!("<g transform=\"translate({MARGIN} {})\">", MARGIN + HEADING));
    draw(&mut out, blocks, &page);
    put(
        &mut out,
        format_args!("</g>\n<g transform=\"translate({MARGIN} {})\">{}</g>", h - MARGIN - 14.0, legend.0),
    );
    out + "</svg>\n"
}

/// The picture alone, for a page that has the colours: fold `name`.
pub fn embedded(blocks: &[Block], name: &str) -> String {
    let page = page::page(blocks);
    let legend = legend::legend(blocks, &page);
    let (w, h) = (page.width.max(legend.1) + 2.0 * MARGIN, page.height + LEGEND + 2.0 * MARGIN);
    let mut out = format!(
        "<svg data-fold=\"{name}\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">\n<g transform=\"translate({MARGIN} {MARGIN})\">\n"
    );
    draw(&mut out, blocks, &page);
    put(
        &mut out,
        format_args!("</g>\n<g transform=\"translate({MARGIN} {})\">{}</g>", h - MARGIN - 14.0, legend.0),
    );
    out + "</svg>\n"
}

/// Fonts and lines.
pub const SHAPES: &str = "text{font-family:Helvetica,Arial,sans-serif;font-size:12px}\
.heading{font-size:20px;font-weight:bold}.name{font-weight:bold}\
.small{font-size:10px}.badge{font-size:11px;font-weight:bold}\
.wire,.arc{fill:none;stroke-width:1.3}.arc{stroke-width:1.9}\
.shape{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}.foreign rect{stroke-dasharray:3 2}";

/// Fill, border and text of everything, for a light or a dark page.
pub fn colours(dark: bool) -> String {
    let pick = |light: &'static str, other: &'static str| if dark { other } else { light };
    let (ink, faint) = (pick("#1f2328", "#e6edf3"), pick("#57606a", "#9da7b3"));
    let mut css = format!(
        "text{{fill:{ink}}}.small{{fill:{faint}}}.wire{{stroke:{faint}}}.tip{{fill:{faint}}}\
         .arc{{stroke:#d9822b}}.arctip{{fill:#d9822b}}.card{{fill:{};stroke:{}}}.head{{fill:{}}}.badge{{fill:#d9822b}}\
         .pill{{fill:{};stroke:{faint}}}.shape{{stroke:{}}}",
        pick("#f8f9fb", "#161b22"),
        pick("#c3cad3", "#3d444d"),
        pick("#e9edf2", "#21262d"),
        pick("#fff", "#0d1117"),
        pick("#f8f9fb", "#161b22"),
    );
    for kind in Kind::ALL {
        let (fill, border) = kind.colors(dark);
        write!(css, ".{}{{fill:{fill};stroke:{border}}}", kind.class()).expect("writing to a string");
    }
    css
}

fn draw(out: &mut String, blocks: &[Block], page: &Page) {
    for (i, (block, card)) in blocks.iter().zip(&page.cards).enumerate() {
        draw_card(out, block, card);
        let linked = |next: &Block| {
            !block.items.is_empty()
                && (next.ports.iter().any(|port| port.from.is_none()) || next.edges.is_empty())
        };
        if let (Some(next), Some(to)) = (blocks.get(i + 1), page.cards.get(i + 1))
            && linked(next)
        {
            let shape = block.items.last().map_or("", |item| item.shape.as_str());
            draw_way(out, card, to, shape);
        }
    }
}

/// From the end of a card to the head of the next: straight down, or round into the next column.
fn draw_way(out: &mut String, from: &Card, to: &Card, shape: &str) {
    let x = from.inner.places.last().map_or(from.frame.x, |last| last.x);
    let start = from.inner.places.last().map_or(from.frame.bottom(), Place::bottom);
    let end = to.frame.top();
    if from.column == to.column {
        put(out, format_args!("<path class=\"wire\" d=\"M{x} {start}V{}\"/>", end - 6.0));
        tip(out, x, end);
        let y = end - 10.0;
        put(out, format_args!("<text class=\"small\" x=\"{}\" y=\"{y}\">{}</text>", x + 6.0, escape(shape)));
        return;
    }
    let (low, lane, high, over) = (
        from.frame.bottom() + 12.0,
        to.frame.left().min(from.frame.right() + GUTTER) - GUTTER / 2.0,
        end - 16.0,
        to.frame.x,
    );
    put(
        out,
        format_args!(
            "<path class=\"wire\" d=\"M{x} {start}V{}Q{x} {low} {} {low}H{}Q{lane} {low} {lane} {}V{}Q{lane} {high} {} {high}H{}Q{over} {high} {over} {}V{}\"/>",
            low - 6.0,
            x + 6.0,
            lane - 6.0,
            low - 6.0,
            high + 6.0,
            lane + 6.0,
            over - 6.0,
            high + 6.0,
            end - 6.0
        ),
    );
    tip(out, over, end);
    put(
        out,
        format_args!("<text class=\"small\" x=\"{}\" y=\"{}\">{}</text>", x + 8.0, low + 12.0, escape(shape)),
    );
}

fn draw_card(out: &mut String, block: &Block, card: &Card) {
    let frame = &card.frame;
    put(
        out,
        format_args!(
            "<g class=\"unit\" data-units=\"{}\"{}>",
            escape(&block.units.join(" ")),
            data_line(block.line.as_ref())
        ),
    );
    if block.framed {
        draw_frame(out, block, frame);
    }
    let ports = card.inner.places.len().saturating_sub(block.items.len());
    for link in &card.inner.links {
        links::draw(out, link, &card.inner.places, links::is_shortcut(link, block));
    }
    label_edges(out, block, card, ports);
    for (port, place) in block.ports.iter().zip(&card.inner.places[..ports]) {
        draw_pill(out, port, place);
    }
    for (item, place) in block.items.iter().zip(&card.inner.places[ports..]) {
        draw_box(out, item, place);
    }
    out.push_str("</g>\n");
}

fn draw_frame(out: &mut String, block: &Block, frame: &Place) {
    let (x, y, w, h) = (frame.left(), frame.top(), frame.w, frame.h);
    let head = head_height(block);
    if block.units.len() > 1 {
        for step in [6.0, 3.0] {
            put(
                out,
                format_args!(
                    "<rect class=\"card\" x=\"{}\" y=\"{}\" width=\"{w}\" height=\"{h}\" rx=\"7\"/>",
                    x + step,
                    y + step
                ),
            );
        }
    }
    put(
        out,
        format_args!("<rect class=\"card\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"7\"/>"),
    );
    put(
        out,
        format_args!(
            "<rect class=\"head\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6.5\"/>",
            x + 0.5,
            y + 0.5,
            w - 1.0,
            (head - 1.0).min(h - 1.0)
        ),
    );
    put(
        out,
        format_args!(
            "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>",
            x + PADDING,
            y + 16.0,
            escape(&block.title())
        ),
    );
    for (i, fact) in block.facts.iter().enumerate() {
        let y = y + TITLE + FACT * i as f64 + 9.0;
        put(
            out,
            format_args!("<text class=\"small\" x=\"{}\" y=\"{y}\">{}</text>", x + PADDING, escape(fact)),
        );
    }
    if block.count() > 1 {
        put(
            out,
            format_args!(
                "<text class=\"badge\" text-anchor=\"end\" x=\"{}\" y=\"{}\">\u{d7}{}</text>",
                x + w - PADDING,
                y + 16.0,
                block.count()
            ),
        );
    }
}

/// The shape of each operator's result, once, beside its first line and away from where that bends to.
fn label_edges(out: &mut String, block: &Block, card: &Card, ports: usize) {
    let places = &card.inner.places;
    let mut told = vec![false; places.len()];
    for link in card.inner.links.iter().filter(|link| link.lane.is_none() && link.from >= ports) {
        if std::mem::replace(&mut told[link.from], true) {
            continue;
        }
        let (from, to) = (&places[link.from], &places[link.to]);
        let (anchor, x) = if to.x > from.x + 1.0 { ("end", from.x - 6.0) } else { ("start", from.x + 6.0) };
        let shape = escape(&block.items[link.from - ports].shape);
        put(
            out,
            format_args!(
                "<text class=\"small shape\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{}\">{shape}</text>",
                from.bottom() + 13.0
            ),
        );
    }
}

fn draw_pill(out: &mut String, port: &Port, place: &Place) {
    let class = if port.from.is_some() { " class=\"foreign\"" } else { "" };
    put(
        out,
        format_args!(
            "<g{class}><rect class=\"pill\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\"/>",
            place.left(),
            place.top(),
            place.w,
            place.h,
            place.h / 2.0
        ),
    );
    put(
        out,
        format_args!(
            "<text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text></g>",
            place.x,
            place.y + 3.5,
            escape(&pill_text(port))
        ),
    );
}

/// A box in as many parts as operators were fused into one kernel, each in its colour.
fn draw_box(out: &mut String, item: &Item, place: &Place) {
    put(
        out,
        format_args!(
            "<g class=\"op\"{}><title>{}</title>",
            data_line(item.line.as_ref()),
            escape(&item.tooltip)
        ),
    );
    let mut x = place.left();
    for (i, (part, width)) in item.parts.iter().zip(part_widths(item)).enumerate() {
        let kind = if i == 0 { item.kind } else { Kind::of_part(part) };
        put(
            out,
            format_args!(
                "<rect class=\"{}\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{BOX}\" rx=\"3\"/>",
                kind.class(),
                place.top()
            ),
        );
        let y = if i == 0 { place.top() + 15.0 } else { place.y + 4.0 };
        put(
            out,
            format_args!(
                "<text text-anchor=\"middle\" x=\"{}\" y=\"{y}\">{}</text>",
                x + width / 2.0,
                escape(part)
            ),
        );
        if i == 0 {
            put(
                out,
                format_args!(
                    "<text class=\"small\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
                    x + width / 2.0,
                    place.bottom() - 7.0,
                    escape(&item.name)
                ),
            );
        }
        x += width;
    }
    out.push_str("</g>\n");
}

fn data_line(line: Option<&String>) -> String {
    line.map_or(String::new(), |line| format!(" data-line=\"{}\"", escape(line)))
}
