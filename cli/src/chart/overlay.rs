//! Several curves over one another in text, each of its own letter.

use super::frame::Frame;
use super::{Axis, Scale};

/// Rows of the curves.
const ROWS: usize = 14;
/// Where several curves lie in one place.
const SEVERAL: char = '*';

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The letter that it is drawn with.
    pub mark: char,
    /// Points from left to right; what is not finite has no place and is left out.
    pub points: Vec<(f64, f64)>,
}

/// The curves as lines of text, as wide as that at most; `None` where there is nothing to draw.
pub fn overlay(label: &str, across: &str, curves: &[Curve], columns: usize) -> Option<String> {
    let fits = |&&(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let points: Vec<Vec<(f64, f64)>> =
        curves.iter().map(|curve| curve.points.iter().filter(fits).copied().collect()).collect();
    let [x, y] = [|point: &(f64, f64)| point.0, |point: &(f64, f64)| point.1].map(|part| {
        let all = || points.iter().flatten().map(part);
        all().min_by(f64::total_cmp).zip(all().max_by(f64::total_cmp))
    });
    let bounds = [Scale::Linear.widen(x?, false), Scale::Linear.widen(y?, true)];
    let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear };
    let (x_axis, y_axis) = (axis(across), axis(label));
    let frame = Frame { x: &x_axis, y: &y_axis, bounds, rows: ROWS };
    let width = frame.width(columns);
    let mut cells = vec![vec![' '; width]; ROWS];
    for (curve, points) in curves.iter().zip(&points) {
        for (column, row) in places(points, bounds, width) {
            let cell = &mut cells[row][column];
            *cell = if *cell == ' ' { curve.mark } else { SEVERAL };
        }
    }
    let rows = cells.into_iter().map(|row| row.into_iter().collect::<String>().trim_end().to_owned());
    Some(frame.around(rows, width))
}

/// One place in each column that a curve spans, straight between its points.
fn places(points: &[(f64, f64)], [x, y]: [(f64, f64); 2], width: usize) -> Vec<(usize, usize)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let column = |value: f64| (Scale::Linear.place(value, x) * (width - 1) as f64).round() as usize;
    let row = |value: f64| ((1.0 - Scale::Linear.place(value, y)) * (ROWS - 1) as f64).round() as usize;
    (column(first.0)..=column(last.0))
        .map(|at| {
            let across = x.0 + (x.1 - x.0) * at as f64 / (width - 1) as f64;
            (at, row(value_at(points, across)))
        })
        .collect()
}

/// The value of a curve of at least one point, which goes on evenly beyond its ends.
fn value_at(points: &[(f64, f64)], across: f64) -> f64 {
    let next = points.partition_point(|&(x, _)| x < across);
    let (before, after) = (points[next.saturating_sub(1)], points[next.min(points.len() - 1)]);
    let span = after.0 - before.0;
    if span <= 0.0 { before.1 } else { before.1 + (after.1 - before.1) * (across - before.0) / span }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_their_letters_and_share_a_star() {
        let curve = |mark, points: &[(f64, f64)]| Curve { mark, points: points.to_vec() };
        let curves = [
            curve('a', &[(1.0, 0.0), (10.0, 90.0)]),
            curve('b', &[(1.0, 0.0), (4.0, 60.0), (f64::NAN, 1.0)]),
            curve('c', &[(7.0, 20.0)]),
        ];
        insta::assert_snapshot!(overlay("accuracy, %", "epoch", &curves, 44).expect("drawn"));
        assert_eq!(overlay("a", "epoch", &[curve('a', &[(1.0, f64::NAN)])], 44), None);
    }

    #[test]
    fn values_lie_straight_between_points() {
        let points = [(1.0, 10.0), (3.0, 30.0)];
        assert_eq!([0.0, 1.0, 1.5, 3.0, 4.0].map(|at| value_at(&points, at)), [10.0, 10.0, 15.0, 30.0, 30.0]);
    }
}
