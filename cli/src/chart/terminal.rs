//! A curve in text.

use super::Chart;
use super::canvas::Canvas;
use super::frame::Frame;

/// Rows of a curve.
const ROWS: usize = 12;

/// The curve as lines of text, as wide as that at most.
pub fn terminal(chart: &Chart, columns: usize) -> String {
    let (Some([x, y]), points) = (chart.bounds(), chart.drawn()) else {
        return format!("{}: nothing to draw\n", chart.title);
    };
    let frame = Frame { x: &chart.x, y: &chart.y, bounds: [x, y], rows: ROWS };
    let width = frame.width(columns);
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

    let mut out = frame.around(canvas.rows(), width);
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
