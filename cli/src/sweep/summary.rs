//! What seeds say together: means and spreads.

use serde::{Deserialize, Serialize};

use super::grid::Grid;
use super::row::{Row, State};
use crate::runs::median;

/// A mean with its spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation, `sqrt(sum((x - mean)^2) / (n - 1))`; none of one value.
    pub deviation: Option<f64>,
    /// Values.
    pub n: usize,
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        (n > 0).then_some(Spread { mean, deviation, n })
    }
}

/// A point of the sweep: variants that differ in nothing but the seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Keys and values but for the seed.
    pub point: Vec<(String, String)>,
    /// How its trainings stand: the state of the first that is not finished, else finished.
    pub state: State,
    /// Epochs that all of them have.
    pub epochs: usize,
    /// Accuracy of the best evaluation of each training.
    pub best_accuracy: Option<Spread>,
    /// Of the last.
    pub last_accuracy: Option<Spread>,
    /// Least loss of an evaluation of each training.
    pub best_loss: Option<Spread>,
    /// Of the last.
    pub last_loss: Option<Spread>,
    /// Trained parameters.
    pub params: u64,
    /// Multiply-accumulates of one image, forward.
    pub macs: u64,
    /// Median seconds of a step: the median of the trainings' medians.
    pub step_seconds: Option<f64>,
}

/// All points, in the order of their first variants. A training that diverged gives no figures to means.
pub fn points(grid: &Grid, rows: &[Row]) -> Vec<Point> {
    grid.points().into_iter().map(|members| point(grid, rows, &members)).collect()
}

fn point(grid: &Grid, rows: &[Row], members: &[usize]) -> Point {
    let first = members[0];
    let rows: Vec<&Row> = members.iter().map(|&number| &rows[number]).collect();
    let counted = || rows.iter().filter(|row| row.state != State::Diverged);
    let spread = |figure: fn(&Row) -> Option<f64>| Spread::of(counted().filter_map(|row| figure(row)));
    let values = grid.seedless(&grid.variants[first]);
    Point {
        point: values.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        state: rows
            .iter()
            .map(|row| row.state)
            .find(|&state| state != State::Finished)
            .unwrap_or(State::Finished),
        epochs: rows.iter().map(|row| row.epochs).min().unwrap_or(0),
        best_accuracy: spread(|row| row.best_accuracy),
        last_accuracy: spread(|row| row.last_accuracy),
        best_loss: spread(|row| row.best_loss),
        last_loss: spread(|row| row.last_loss),
        params: rows[0].params,
        macs: rows[0].macs,
        step_seconds: median(counted().filter_map(|row| row.step_seconds).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Python's `statistics.mean` and `statistics.stdev` have them.
    #[test]
    fn spreads_are_those_of_samples() {
        let spread = Spread::of([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()).expect("eight");
        assert_eq!((spread.mean, spread.n), (5.0, 8));
        assert!((spread.deviation.expect("of eight") - 2.138_089_935_299_395).abs() < 1e-12);
        assert_eq!(Spread::of([3.0].into_iter()), Some(Spread { mean: 3.0, deviation: None, n: 1 }));
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
