//! `resnetc schedule`: the learning rate over a training.

use std::fmt::Write;

use resnetc_compiler::datasets;
use resnetc_compiler::spec::train::{Schedule, TrainConfig};
use resnetc_runtime::optim::lr_at;
use serde::Serialize;

use super::{find_lr, spec};
use crate::args::ScheduleArgs;
use crate::chart::{Axis, Chart, Scale, svg, terminal, text};
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::report::units::grouped;

/// Images of an epoch where nothing says how many: those of CIFAR-10.
const IMAGES: usize = datasets::CIFAR10.images;
/// Most points of a curve.
const POINTS: usize = 2000;
/// Most steps whose rates are computed.
const STEPS: usize = 1 << 26;

/// A step at which the rate changes, or the size of the images.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    epoch: usize,
    step: usize,
    lr: f32,
    /// `[height, width]` of the images, where it changes over the training.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<[usize; 2]>,
}

/// Runs the command.
pub fn schedule(args: &ScheduleArgs, output: &Output) -> Result {
    let loaded = spec::load(&args.spec, &spec::options(&args.overrides), output)?;
    let train = &loaded.resolved().train;
    let known = train.dataset.as_deref().and_then(datasets::find).map(|facts| facts.images);
    let images = args.images.or(known).unwrap_or(IMAGES);
    let steps = train.updates(images);
    let total = steps.checked_mul(train.epochs).filter(|&total| total <= STEPS).ok_or_else(|| {
        Failure::Usage(format!("{} epochs of {steps} steps are too many to draw", train.epochs))
    })?;
    // What is counted in steps and never comes: as a training says it.
    if let Some(warnings) = loaded.training_warnings(images, output.color, output.width)? {
        output.warn(&warnings);
    }
    let rate = |step: usize| lr_at(train, step, steps, 1.0);
    let [_, full @ ..] = loaded.resolved().input.value;
    let size = |epoch: usize| train.progressive_resizing.map(|_| train.size_in(epoch, full));
    let rows = changes(total, steps, rate, size);
    if args.json {
        return output.result(&serde_json::to_string_pretty(&rows).expect("rows have only string keys"));
    }
    let chart = chart(loaded.name(), train, steps, total, rate);
    if let Some(path) = &args.svg {
        let picture = svg(&chart).ok_or_else(|| Failure::Failed("no rate is a number".to_owned()))?;
        files::write(path, picture.as_bytes())?;
    }
    let curve = terminal(&chart, output.page.columns.unwrap_or(find_lr::COLUMNS));
    let rates: Vec<&Row> = rows.chunk_by(|a, b| a.lr == b.lr).map(|same| &same[0]).collect();
    let sizes: Vec<&Row> = rows.chunk_by(|a, b| a.size == b.size).map(|same| &same[0]).collect();
    output.result(&(curve + &told(train, steps, &rates) + &told_sizes(&sizes)))
}

/// The steps at which the rate is another than before, or the size of the images in an epoch, counted from 0.
fn changes(
    total: usize,
    steps: usize,
    rate: impl Fn(usize) -> f32,
    size: impl Fn(usize) -> Option<[usize; 2]>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for step in 0..total {
        let (lr, size) = (rate(step), size(step / steps));
        if rows.last().is_none_or(|last| (last.lr, last.size) != (lr, size)) {
            rows.push(Row { epoch: step / steps + 1, step: step % steps + 1, lr, size });
        }
    }
    rows
}

/// The sizes of images, where they change.
fn told_sizes(rows: &[&Row]) -> String {
    let line = |row: &&Row| {
        let [height, width] = row.size?;
        Some(format!("from epoch {}: images of {height}x{width}\n", row.epoch))
    };
    rows.iter().filter_map(line).collect()
}

fn chart(name: &str, train: &TrainConfig, steps: usize, total: usize, rate: impl Fn(usize) -> f32) -> Chart {
    let every = total.div_ceil(POINTS).max(1);
    let mut points = Vec::new();
    for step in (0..total).step_by(every) {
        points.push((step as f64 / steps as f64, f64::from(rate(step))));
    }
    // A training of one step has one rate, and lasts.
    points.push((train.epochs as f64, f64::from(rate(total - 1))));
    Chart {
        beside: Vec::new(),
        title: format!("{name}: learning rate"),
        x: Axis { label: "epoch".to_owned(), scale: Scale::Linear },
        y: Axis { label: "learning rate".to_owned(), scale: Scale::Linear },
        points,
        mark: None,
    }
}

/// The curve in words: few changes one by one, many by their ends.
fn told(train: &TrainConfig, steps: usize, rows: &[&Row]) -> String {
    let (name, epochs) = (train.optimizer.name(), train.epochs);
    let mut out =
        format!("{name}, {epochs} epochs of {} steps of {}\n", grouped(steps as u64), train.batch_size);
    let line = |Row { epoch, step, lr, .. }: &Row| {
        let lr = text(f64::from(*lr));
        match step {
            1 => format!("from epoch {epoch}: {lr}\n"),
            _ => format!("from epoch {epoch}, step {step}: {lr}\n"),
        }
    };
    match rows {
        few if few.len() <= 12 => few.iter().for_each(|row| out += &line(row)),
        many => {
            let highest = many.iter().max_by(|a, b| a.lr.total_cmp(&b.lr));
            let ends = [("first", many.first()), ("highest", highest), ("last", many.last())];
            for (what, row) in ends.into_iter().filter_map(|(what, row)| Some((what, row?))) {
                let lr = text(f64::from(row.lr));
                let _ = writeln!(out, "{what:<8} {lr:<8} epoch {}, step {}", row.epoch, row.step);
            }
        }
    }
    if let Schedule::Plateau(plateau) = &train.schedule {
        let _ = writeln!(
            out,
            "times {} whenever more than {} evaluations in a row have no better {}",
            plateau.factor,
            plateau.patience,
            plateau.metric.word()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Row, changes};

    #[test]
    fn changes_are_those_of_the_rate() {
        let rate = |step: usize| if step < 5 { 0.1 } else { 0.01 };
        let row = |epoch, step, lr, size| Row { epoch, step, lr, size };
        assert_eq!(changes(12, 4, rate, |_| None), [row(1, 1, 0.1, None), row(2, 2, 0.01, None)]);
        let size = |epoch: usize| Some([16 + epoch / 2 * 16; 2]);
        let [small, large] = [Some([16; 2]), Some([32; 2])];
        let expected = [row(1, 1, 0.1, small), row(2, 2, 0.01, small), row(3, 1, 0.01, large)];
        assert_eq!(changes(12, 4, rate, size), expected);
    }
}
