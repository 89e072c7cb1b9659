//! Several curves over the same axis, as SVG that takes its colours from the page it stands in.

use super::Scale;
use super::scale::text;
use crate::markup::{escape, put};

/// Of the whole picture.
const SIZE: [f64; 2] = [440.0, 260.0];
/// Around the curves: left, top, right, bottom.
const MARGIN: [f64; 4] = [52.0, 44.0, 14.0, 40.0];

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<'a> {
    /// What it is.
    pub name: &'a str,
    /// Points from left to right; what has no place on the axes is left out.
    pub points: Vec<(f64, f64)>,
}

/// Colours that curves have, `--s0` and so on.
pub const COLOURS: usize = 8;

/// The style of all such pictures; the page has the colours `--ink`, `--faint`, `--line`, and those of [`COLOURS`].
pub const STYLE: &str = ".lines{width:100%;height:auto;display:block}.lines text{fill:var(--faint);font:12px system-ui,sans-serif}\
.lines .title{fill:var(--ink);font-weight:600;font-size:14px}.lines .grid{stroke:var(--line)}.lines .axis{stroke:var(--faint)}\
.lines polyline{fill:none;stroke-width:2;stroke-linejoin:round}\
.lines .s0{stroke:var(--s0)}.lines .s1{stroke:var(--s1)}.lines .s2{stroke:var(--s2)}.lines .s3{stroke:var(--s3)}.lines .s4{stroke:var(--s4)}.lines .s5{stroke:var(--s5)}.lines .s6{stroke:var(--s6)}.lines .s7{stroke:var(--s7)}\
.lines .d0{fill:var(--s0)}.lines .d1{fill:var(--s1)}.lines .d2{fill:var(--s2)}.lines .d3{fill:var(--s3)}.lines .d4{fill:var(--s4)}.lines .d5{fill:var(--s5)}.lines .d6{fill:var(--s6)}.lines .d7{fill:var(--s7)}";

/// The picture: at most three curves over epochs, with their names and last values; `None` where there is nothing to draw.
pub fn lines(title: &str, scale: Scale, series: &[Series<'_>]) -> Option<String> {
    // What has no place takes no colour.
    let drawn: Vec<Series<'_>> =
        series.iter().map(|one| placed(one, scale)).filter(|one| !one.points.is_empty()).collect();
    picture(title, scale, &drawn, true)
}

/// The same of up to [`COLOURS`] curves, the nth of which has the nth colour; their names stand elsewhere.
pub fn overlaid(title: &str, scale: Scale, series: &[Series<'_>]) -> Option<String> {
    let drawn: Vec<Series<'_>> = series.iter().map(|one| placed(one, scale)).collect();
    picture(title, scale, &drawn, false)
}

/// What has a place on the axes.
fn placed<'a>(series: &Series<'a>, scale: Scale) -> Series<'a> {
    let points = series.points.iter().copied().filter(|&(_, y)| scale.has(y)).collect();
    Series { name: series.name, points }
}

fn picture(title: &str, scale: Scale, drawn: &[Series<'_>], named: bool) -> Option<String> {
    let all = || drawn.iter().flat_map(|one| one.points.iter().copied());
    let x = Scale::Linear.widen(bounds(all().map(|(x, _)| x))?, false);
    let y = scale.widen(bounds(all().map(|(_, y)| y))?, true);
    let axes = Axes { scale, x, y };
    let (title, [width, height]) = (escape(title), SIZE);
    let mut out = format!(
        "<svg class=\"lines\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <text class=\"title\" x=\"0\" y=\"15\">{title}</text>\n"
    );
    axes.draw(&mut out);
    for (number, one) in drawn.iter().enumerate() {
        axes.curve(&mut out, number, &one.points);
        if named {
            axes.name(&mut out, number, one);
        }
    }
    Some(out + "</svg>\n")
}

/// Where values have their places.
struct Axes {
    /// Of the values; epochs have a linear one.
    scale: Scale,
    /// First and last epoch.
    x: (f64, f64),
    /// Least and most.
    y: (f64, f64),
}

impl Axes {
    /// The right end of the curves.
    const END: f64 = SIZE[0] - MARGIN[2];
    /// Their lower end.
    const FOOT: f64 = SIZE[1] - MARGIN[3];

    fn across(&self, epoch: f64) -> f64 {
        MARGIN[0] + Scale::Linear.place(epoch, self.x) * (Self::END - MARGIN[0])
    }

    fn down(&self, value: f64) -> f64 {
        MARGIN[1] + (1.0 - self.scale.place(value, self.y)) * (Self::FOOT - MARGIN[1])
    }

    /// The grid, the axis of epochs, and what stands beside them.
    fn draw(&self, out: &mut String) {
        let (left, end, foot) = (MARGIN[0], Self::END, Self::FOOT);
        for tick in self.scale.ticks(self.y) {
            let (at, text) = (self.down(tick), text(tick));
            let line = format_args!(
                "<line class=\"grid\" x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            );
            put(out, line);
            let (x, y) = (left - 7.0, at + 4.0);
            put(out, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{text}</text>"));
        }
        put(
            out,
            format_args!("<line class=\"axis\" x1=\"{left}\" x2=\"{end}\" y1=\"{foot}\" y2=\"{foot}\"/>"),
        );
        let [tip, below, name] = [4.0, 18.0, 34.0].map(|under| foot + under);
        // Epochs are whole.
        for tick in Scale::Linear.ticks(self.x).into_iter().filter(|tick| tick.fract() == 0.0) {
            let (at, text) = (self.across(tick), text(tick));
            let line = format_args!(
                "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{foot}\" y2=\"{tip}\"/>"
            );
            put(out, line);
            put(out, format_args!("<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{text}</text>"));
        }
        put(out, format_args!("<text x=\"{end}\" y=\"{name}\" text-anchor=\"end\">epoch</text>"));
    }

    /// A curve with a dot at its end.
    fn curve(&self, out: &mut String, number: usize, points: &[(f64, f64)]) {
        let Some(&(x, y)) = points.last() else { return };
        let place = |&(x, y): &(f64, f64)| format!("{:.1},{:.1}", self.across(x), self.down(y));
        let places = points.iter().map(place).collect::<Vec<_>>().join(" ");
        put(out, format_args!("<polyline class=\"s{number}\" points=\"{places}\"/>"));
        let (across, down) = (self.across(x), self.down(y));
        put(out, format_args!("<circle class=\"d{number}\" cx=\"{across:.1}\" cy=\"{down:.1}\" r=\"3\"/>"));
    }

    /// What a curve is, above the picture.
    fn name(&self, out: &mut String, number: usize, series: &Series<'_>) {
        let Some(&(_, y)) = series.points.last() else { return };
        let at = MARGIN[0] + 100.0 * number as f64;
        let (dot, word, name) = (at + 4.0, at + 12.0, escape(series.name));
        put(out, format_args!("<circle class=\"d{number}\" cx=\"{dot}\" cy=\"30\" r=\"4\"/>"));
        put(out, format_args!("<text x=\"{word}\" y=\"34\">{name} {}</text>", text(y)));
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| {
        Some(bounds.map_or((value, value), |(least, most): (f64, f64)| (least.min(value), most.max(value))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_is_left_out() {
        let series = |name, points: &[(f64, f64)]| Series { name, points: points.to_vec() };
        let drawn = lines(
            "rate <1>",
            Scale::Log,
            &[series("none", &[(1.0, 0.0)]), series("rate", &[(1.0, 0.1), (2.0, f64::NAN), (3.0, 0.01)])],
        );
        let drawn = drawn.expect("two points");
        assert!(drawn.contains("rate &lt;1&gt;") && !drawn.contains("none"), "{drawn}");
        assert_eq!(drawn.matches("<polyline").count(), 1);
        assert!(drawn.contains("points=\"52.0,44.0 426.0,220.0\""), "{drawn}");
        assert_eq!(lines("a", Scale::Linear, &[]), None);
    }
}
