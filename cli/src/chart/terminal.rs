//! A curve in text.

use super::Chart;
use super::canvas::Canvas;
use super::scale::text;

/// Most columns of a curve: wider ones are no easier to read.
const MOST_COLUMNS: usize = 72;
/// Rows of a curve.
const ROWS: usize = 12;

/// The curve as lines of text, as wide as that at most.
pub fn terminal(chart: &Chart, columns: usize) -> String {
    let (Some([x, y]), points) = (chart.bounds(), chart.drawn()) else {
        return format!("{}: nothing to draw\n", chart.title);
    };
    let ticks: Vec<(usize, String)> = chart
        .y
        .scale
        .ticks(y)
        .into_iter()
        .map(|tick| {
            let row = ((1.0 - chart.y.scale.place(tick, y)) * (ROWS - 1) as f64).round() as usize;
            (row, text(tick))
        })
        .collect();
    let margin = ticks.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
    let width = columns.saturating_sub(margin + 2).clamp(16, MOST_COLUMNS);
    let mut canvas = Canvas::new(width, ROWS);
    let [right, bottom] = canvas.size().map(|dots| (dots - 1) as f64);
    let dot = |&(across, up): &(f64, f64)| {
        let [across, up] = [chart.x.scale.place(across, x), chart.y.scale.place(up, y)];
        [(across * right).round() as usize, ((1.0 - up) * bottom).round() as usize]
    };
    let dots: Vec<[usize; 2]> = points.iter().map(dot).collect();
    chart.with_place(&chart.beside).iter().map(dot).for_each(|alone| canvas.line(alone, alone));
    if let [only] = dots[..] {
        canvas.line(only, only);
    }
    dots.windows(2).for_each(|pair| canvas.line(pair[0], pair[1]));

    let mut out = format!("{:margin$}  {}\n", "", chart.y.label);
    for (row, line) in canvas.rows().enumerate() {
        let tick = ticks.iter().find(|(at, _)| *at == row).map_or("", |(_, text)| text);
        let bar = if tick.is_empty() { '│' } else { '┤' };
        out += format!("{tick:>margin$} {bar}{line}").trim_end();
        out.push('\n');
    }
    out + &across(chart, x, margin, width)
}

/// The axis below, with its ticks, and what it measures.
fn across(chart: &Chart, bounds: (f64, f64), margin: usize, width: usize) -> String {
    let (mut line, mut labels): (Vec<char>, Vec<char>) = (vec!['─'; width], vec![' '; width + margin]);
    let mut free = 0;
    for tick in chart.x.scale.ticks(bounds) {
        let at = (chart.x.scale.place(tick, bounds) * (width - 1) as f64).round() as usize;
        let label = text(tick);
        let begin = at.saturating_sub(label.len() / 2);
        if begin < free || begin + label.len() > labels.len() {
            continue;
        }
        line[at.min(width - 1)] = '┬';
        for (to, c) in labels[begin..].iter_mut().zip(label.chars()) {
            *to = c;
        }
        free = begin + label.len() + 1;
    }
    let [line, labels] = [line, labels].map(|chars| chars.into_iter().collect::<String>());
    let (empty, labels) = ("", labels.trim_end());
    let mut out = format!("{empty:margin$} └{line}\n{empty:margin$}  {labels}  {}\n", chart.x.label);
    if let Some((_, what)) = &chart.mark {
        out += &format!("{what}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Axis, Scale};
    use super::*;

    #[test]
    fn curves_lie_between_their_axes() {
        let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear };
        let points = (0..=40).map(|i: i32| (f64::from(i), f64::from((i - 20).pow(2)) / 4000.0)).collect();
        let chart = Chart {
            title: "a".into(),
            x: axis("step"),
            y: axis("rate"),
            points,
            beside: Vec::new(),
            mark: None,
        };
        insta::assert_snapshot!(terminal(&chart, 50));
        let flat = Chart { points: vec![(0.0, 1.0), (f64::NAN, 2.0), (3.0, 1.0)], ..chart.clone() };
        insta::assert_snapshot!(terminal(&flat, 30));
        let none = Chart { points: vec![(0.0, f64::INFINITY)], ..chart };
        assert_eq!(terminal(&none, 50), "a: nothing to draw\n");
    }
}
