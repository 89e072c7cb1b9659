//! A curve as SVG: one file that loads nothing, light and dark.

use super::Chart;
use super::scale::text;
use crate::markup::{escape, put};

/// Of the whole picture.
const SIZE: [f64; 2] = [720.0, 400.0];
/// Around the curve: left, top, right, bottom.
const MARGIN: [f64; 4] = [72.0, 56.0, 24.0, 56.0];

const STYLE: &str = "svg{font:13px system-ui,sans-serif;background:#fff;color:#1f2328}\
text{fill:currentColor}.title{font-size:16px;font-weight:600}.small{fill:#656d76}\
.grid{stroke:#d8dee4}.axis{stroke:#8c959f}.curve{fill:none;stroke:#0969da;stroke-width:2;stroke-linejoin:round}\
.mark{fill:#bc4c00}.beside{fill:#8c959f}\
@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.small{fill:#8d96a0}.grid{stroke:#30363d}\
.axis{stroke:#6e7681}.curve{stroke:#4493f8}.mark{fill:#f0883e}}";

/// The picture; `None` where there is nothing to draw.
pub fn svg(chart: &Chart) -> Option<String> {
    let [x, y] = chart.bounds()?;
    let [left, top, right, bottom] = MARGIN;
    let [width, height] = [SIZE[0] - left - right, SIZE[1] - top - bottom];
    let across = |value: f64| left + chart.x.scale.place(value, x) * width;
    let down = |value: f64| top + (1.0 - chart.y.scale.place(value, y)) * height;
    let [w, h] = SIZE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<title>{title}</title>\n",
        title = escape(&chart.title)
    );
    put(
        &mut out,
        format_args!("<text class=\"title\" x=\"{left}\" y=\"26\">{}</text>", escape(&chart.title)),
    );
    put(
        &mut out,
        format_args!("<text class=\"small\" x=\"{left}\" y=\"46\">{}</text>", escape(&chart.y.label)),
    );
    let (foot, end) = (top + height, left + width);
    for tick in chart.y.scale.ticks(y) {
        let (at, beside) = (down(tick), left - 10.0);
        put(
            &mut out,
            format_args!("<line class=\"grid\" x1=\"{left}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
        );
        let text = text(tick);
        let below = at + 4.5;
        put(
            &mut out,
            format_args!(
                "<text class=\"small\" x=\"{beside}\" y=\"{below:.1}\" text-anchor=\"end\">{text}</text>"
            ),
        );
    }
    put(
        &mut out,
        format_args!("<line class=\"axis\" x1=\"{left}\" x2=\"{end}\" y1=\"{foot}\" y2=\"{foot}\"/>"),
    );
    for tick in chart.x.scale.ticks(x) {
        let (at, to, below, text) = (across(tick), foot + 5.0, foot + 20.0, text(tick));
        put(
            &mut out,
            format_args!("<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{foot}\" y2=\"{to}\"/>"),
        );
        put(
            &mut out,
            format_args!(
                "<text class=\"small\" x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{text}</text>"
            ),
        );
    }
    let label = escape(&chart.x.label);
    put(
        &mut out,
        format_args!(
            "<text class=\"small\" x=\"{end}\" y=\"{}\" text-anchor=\"end\">{label}</text>",
            foot + 40.0
        ),
    );
    let points: Vec<String> =
        chart.drawn().into_iter().map(|(x, y)| format!("{:.1},{:.1}", across(x), down(y))).collect();
    put(&mut out, format_args!("<polyline class=\"curve\" points=\"{}\"/>", points.join(" ")));
    for (x, y) in chart.with_place(&chart.beside) {
        let (at, below) = (across(x), down(y));
        put(&mut out, format_args!("<circle class=\"beside\" cx=\"{at:.1}\" cy=\"{below:.1}\" r=\"3\"/>"));
    }
    if let Some(((x, y), what)) = &chart.mark {
        let (at, below) = (across(*x), down(*y));
        put(&mut out, format_args!("<circle class=\"mark\" cx=\"{at:.1}\" cy=\"{below:.1}\" r=\"5\"/>"));
        put(&mut out, format_args!("<text x=\"{left}\" y=\"{}\">{}</text>", foot + 40.0, escape(what)));
    }
    Some(out + "</svg>\n")
}
