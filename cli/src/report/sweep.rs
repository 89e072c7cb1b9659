//! The table of a sweep.

use std::time::Duration;

use super::table::{Align, Table};
use super::units::{duration, grouped, si};
use crate::sweep::{Point, Spread, State, short};

/// A row for each point, with the means of its seeds and their standard deviations.
pub fn table(points: &[Point], columns: Option<usize>) -> String {
    let Some(first) = points.first() else { return String::new() };
    let mut heads: Vec<(&str, Align)> =
        first.point.iter().map(|(key, _)| (short(key), Align::Left)).collect();
    let stands = points.iter().any(|point| point.state != State::Finished);
    heads.extend([
        ("runs", Align::Right),
        ("best", Align::Right),
        ("last", Align::Right),
        ("best loss", Align::Right),
        ("last loss", Align::Right),
        ("params", Align::Right),
        ("MACs", Align::Right),
        ("a step", Align::Right),
    ]);
    if stands {
        heads.extend([("epochs", Align::Right), ("state", Align::Left)]);
    }
    let mut table = Table::new(&heads);
    for point in points {
        let mut cells: Vec<String> = point.point.iter().map(|(_, value)| value.clone()).collect();
        cells.extend(figures(point));
        if stands {
            cells.extend([point.epochs.to_string(), point.state.word().to_owned()]);
        }
        table.row(cells);
    }
    table.within(columns)
}

fn figures(point: &Point) -> [String; 8] {
    let percent = |spread: Option<Spread>| figure(spread, |value| format!("{:.2}", value * 100.0), " %");
    let loss = |spread: Option<Spread>| figure(spread, |value| format!("{value:.4}"), "");
    let step = |seconds: f64| duration(Duration::from_secs_f64(seconds));
    [
        point.last_accuracy.map_or(0, |spread| spread.n).to_string(),
        percent(point.best_accuracy),
        percent(point.last_accuracy),
        loss(point.best_loss),
        loss(point.last_loss),
        grouped(point.params),
        si(point.macs),
        point.step_seconds.map_or("-".to_owned(), step),
    ]
}

/// `91.20 ± 0.31 %`; without a spread where there is one value.
fn figure(spread: Option<Spread>, text: impl Fn(f64) -> String, unit: &str) -> String {
    match spread {
        Some(Spread { mean, deviation: Some(deviation), .. }) => {
            format!("{} ± {}{unit}", text(mean), text(deviation))
        }
        Some(Spread { mean, deviation: None, .. }) => text(mean) + unit,
        None => "-".to_owned(),
    }
}

/// The point whose trainings were the best in the mean, in words; `None` where none was evaluated.
pub fn best(points: &[Point]) -> Option<String> {
    let scored = points.iter().filter_map(|point| Some((point, point.best_accuracy?)));
    let (point, spread) = scored.rev().max_by(|(_, a), (_, b)| a.mean.total_cmp(&b.mean))?;
    if point.point.is_empty() {
        return None;
    }
    let name = point
        .point
        .iter()
        .map(|(key, value)| format!("{}={value}", short(key)))
        .collect::<Vec<_>>()
        .join(" ");
    let percent = figure(Some(spread), |value| format!("{:.2}", value * 100.0), " %");
    Some(format!("best      {name}: {percent} of the test images"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lr: &str, accuracies: &[f64], state: State) -> Point {
        let spread = |scale: f64| Spread::of(accuracies.iter().map(|value| value * scale));
        Point {
            point: vec![("train.optimizer.lr".into(), lr.into())],
            state,
            epochs: 3,
            best_accuracy: spread(1.0),
            last_accuracy: spread(1.0),
            best_loss: spread(2.0),
            last_loss: spread(3.0),
            params: 1234,
            macs: 40_551_040,
            step_seconds: Some(0.0123),
        }
    }

    #[test]
    fn points_are_rows_with_spreads() {
        let points = [
            point("0.1", &[0.5, 0.6], State::Finished),
            point("0.2", &[0.55], State::LeftOut),
            point("9", &[], State::Diverged),
        ];
        insta::assert_snapshot!(table(&points, None));
        assert_eq!(best(&points).as_deref(), Some("best      lr=0.1: 55.00 ± 7.07 % of the test images"));
        assert_eq!(best(&points[2..]), None);
        assert!(!table(&points[..1], None).contains("state"));
    }
}
