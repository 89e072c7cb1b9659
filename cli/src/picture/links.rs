//! Lines between the boxes of a card.

use super::block::Block;
use super::layout::{Link, Place};
use crate::markup::put;

/// How far below or above a box a line runs that cannot leave or reach it at its side.
const STEP: f64 = 3.0;
/// How far from a box's corner.
const INSET: f64 = 10.0;
/// Radius of bends.
const BEND: f64 = 6.0;

/// Whether the line goes round some of its unit from what enters the unit: a shortcut, or a dense connection. Gates do so from
/// within.
pub fn is_shortcut(link: &Link, block: &Block) -> bool {
    link.lane.is_some() && block.ports.get(link.from).is_some_and(|port| port.from.is_none())
}

/// A line down from box to box, or round the right of what lies between.
pub fn draw(out: &mut String, link: &Link, places: &[Place], shortcut: bool) {
    let (from, to) = (&places[link.from], &places[link.to]);
    if let Some(lane) = link.lane {
        return draw_round(out, [from, to], lane, places, shortcut);
    }
    let (x1, y1, x2, y2) = (from.x, from.bottom(), to.x, to.top());
    if (x1 - x2).abs() < 1.0 {
        put(out, format_args!("<path class=\"wire\" d=\"M{x1} {y1}V{}\"/>", y2 - BEND));
    } else {
        // Straight down beside the boxes between, then over: the bend stays in the gap above the lower box.
        let bend = (y2 - BEND - y1).min(26.0);
        let start = y2 - BEND - bend;
        put(
            out,
            format_args!(
                "<path class=\"wire\" d=\"M{x1} {y1}V{start}C{x1} {} {x2} {} {x2} {}\"/>",
                start + bend * 0.6,
                y2 - BEND - bend * 0.6,
                y2 - BEND
            ),
        );
    }
    tip(out, x2, y2);
}

/// By the sides of both boxes; below the upper one and above the lower one where other boxes stand on their right.
fn draw_round(out: &mut String, [from, to]: [&Place; 2], lane: f64, places: &[Place], shortcut: bool) {
    let free = |of: &Place, y: f64| {
        !places.iter().any(|p| p.left() >= of.right() && p.left() < lane && p.top() < y && p.bottom() > y)
    };
    // A quarter of the height off the centre, so that a line that ends and one that starts do not meet.
    let (mut y1, mut y2) = (from.y + from.h / 4.0, to.y - to.h / 4.0);
    let start = if free(from, y1) {
        format!("M{} {y1}", from.right())
    } else {
        y1 = from.bottom() + STEP;
        let x = from.right() - INSET;
        format!("M{x} {}Q{x} {y1} {} {y1}", from.bottom(), x + STEP)
    };
    let side = free(to, y2);
    let end = if side {
        format!("H{}", to.right() + 5.0)
    } else {
        y2 = to.top() - 2.0 * BEND;
        let x = to.right() - INSET;
        format!("H{}Q{x} {y2} {x} {}", x + STEP, y2 + STEP)
    };
    let class = if shortcut { "arc" } else { "wire" };
    let (near, down, up) = (lane - BEND, y1 + BEND, y2 - BEND);
    put(
        out,
        format_args!(
            "<path class=\"{class}\" d=\"{start}H{near}Q{lane} {y1} {lane} {down}V{up}Q{lane} {y2} {near} {y2}{end}\"/>"
        ),
    );
    let class = if shortcut { "arctip" } else { "tip" };
    if side {
        let x = to.right();
        let (top, bottom) = (y2 - 3.5, y2 + 3.5);
        put(out, format_args!("<path class=\"{class}\" d=\"M{} {top}V{bottom}L{x} {y2}z\"/>", x + 7.0));
    } else {
        tip_of(out, class, to.right() - INSET, to.top());
    }
}

/// The tip of an arrow that points down to a place.
pub fn tip(out: &mut String, x: f64, y: f64) {
    tip_of(out, "tip", x, y);
}

fn tip_of(out: &mut String, class: &str, x: f64, y: f64) {
    put(out, format_args!("<path class=\"{class}\" d=\"M{} {}H{}L{x} {y}z\"/>", x - 3.5, y - 7.0, x + 3.5));
}
