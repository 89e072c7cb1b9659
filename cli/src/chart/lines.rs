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
pub struct Series {
    /// What it is.
    pub name: &'static str,
    /// Points from left to right; what has no place on the axes is left out.
    pub points: Vec<(f64, f64)>,
}

/// The style of all such pictures; the page has the colours `--ink`, `--faint`, `--line`, `--s0`, `--s1` and `--s2`.
pub const STYLE: &str = ".lines{width:100%;height:auto;display:block}.lines text{fill:var(--faint);font:12px system-ui,sans-serif}\
.lines .title{fill:var(--ink);font-weight:600;font-size:14px}.lines .grid{stroke:var(--line)}.lines .axis{stroke:var(--faint)}\
.lines polyline{fill:none;stroke-width:2;stroke-linejoin:round}\
.lines .s0{stroke:var(--s0)}.lines .s1{stroke:var(--s1)}.lines .s2{stroke:var(--s2)}\
.lines .d0{fill:var(--s0)}.lines .d1{fill:var(--s1)}.lines .d2{fill:var(--s2)}";

/// The picture: at most three curves over epochs; `None` where there is nothing to draw.
pub fn lines(title: &str, scale: Scale, series: &[Series]) -> Option<String> {
    let drawn: Vec<(&Series, Vec<(f64, f64)>)> = series
        .iter()
        .map(|one| (one, one.points.iter().copied().filter(|&(_, y)| scale.has(y)).collect::<Vec<_>>()))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all = || drawn.iter().flat_map(|(_, points)| points.iter().copied());
    let x = Scale::Linear.widen(bounds(all().map(|(x, _)| x))?, false);
    let y = scale.widen(bounds(all().map(|(_, y)| y))?, true);
    let [left, top, right, bottom] = MARGIN;
    let [width, height] = [SIZE[0] - left - right, SIZE[1] - top - bottom];
    let across = |value: f64| left + Scale::Linear.place(value, x) * width;
    let down = |value: f64| top + (1.0 - scale.place(value, y)) * height;
    let title = escape(title);
    let mut out = format!(
        "<svg class=\"lines\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\">\n<text class=\"title\" x=\"0\" y=\"15\">{title}</text>\n",
        SIZE[0], SIZE[1]
    );
    let (foot, end) = (top + height, left + width);
    for tick in scale.ticks(y) {
        let (at, text) = (down(tick), text(tick));
        put(
            &mut out,
            format_args!(
                "<line class=\"grid\" x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 7.0,
                at + 4.0
            ),
        );
    }
    put(
        &mut out,
        format_args!("<line class=\"axis\" x1=\"{left}\" x2=\"{end}\" y1=\"{foot}\" y2=\"{foot}\"/>"),
    );
    // Epochs are whole.
    for tick in Scale::Linear.ticks(x).into_iter().filter(|tick| tick.fract() == 0.0) {
        let (at, text) = (across(tick), text(tick));
        put(
            &mut out,
            format_args!(
                "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{foot}\" y2=\"{}\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                foot + 4.0,
                foot + 18.0
            ),
        );
    }
    put(&mut out, format_args!("<text x=\"{end}\" y=\"{}\" text-anchor=\"end\">epoch</text>", foot + 34.0));
    for (number, (one, points)) in drawn.iter().enumerate() {
        let places = points.iter().map(|&(x, y)| format!("{:.1},{:.1}", across(x), down(y)));
        let places = places.collect::<Vec<_>>().join(" ");
        put(&mut out, format_args!("<polyline class=\"s{number}\" points=\"{places}\"/>"));
        let (x, y) = points[points.len() - 1];
        put(
            &mut out,
            format_args!(
                "<circle class=\"d{number}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                across(x),
                down(y)
            ),
        );
        let at = left + 100.0 * number as f64;
        put(
            &mut out,
            format_args!(
                "<circle class=\"d{number}\" cx=\"{}\" cy=\"30\" r=\"4\"/><text x=\"{}\" y=\"34\">{} {}</text>",
                at + 4.0,
                at + 12.0,
                escape(one.name),
                text(y)
            ),
        );
    }
    Some(out + "</svg>\n")
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
