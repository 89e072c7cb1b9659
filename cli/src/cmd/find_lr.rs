//! `resnetc run --train DATASET --find-lr`: a range test of learning rates, drawn.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

use resnetc::train::{Range, RangeStep, Recommended, range_test, recommended};
use resnetc::{DeviceOptions, Spec};
use resnetc_runtime::data::Dataset;
use resnetc_runtime::weights::ParamStore;

use crate::chart::{Axis, Chart, Scale, svg, terminal};
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;
use crate::signals::Signals;

/// Columns of a curve where nobody says how wide the place is.
pub const COLUMNS: usize = 80;

/// Runs the test.
pub fn find_lr(
    spec: &Spec,
    dataset: &Dataset,
    device: &DeviceOptions,
    first: Option<&ParamStore>,
    range: &Range,
    picture: Option<&Path>,
    output: &Output,
) -> Result {
    let signals = Signals::catch("stopping after this step")?;
    let bar = Progress::count(output, "learning rates", range.steps as u64);
    let mut done = 0;
    let steps = range_test(spec, dataset, device, first, range, &mut |step| {
        done += 1;
        bar.set(done);
        bar.say(format!("rate {:.1e}  loss {:.4}", step.lr, step.loss));
        match signals.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    drop(bar);
    let found = recommended(&steps);
    let chart = chart(spec.name(), &dataset.name, &steps, found);
    if let Some(path) = picture {
        let picture = svg(&chart).ok_or_else(|| Failure::Failed("no loss was a number".to_owned()))?;
        files::write(path, picture.as_bytes())?;
    }
    let rows = terminal(&chart, output.page.columns.unwrap_or(COLUMNS));
    output.result(&(rows + &told(&steps, range, found)))?;
    signals.status().map_or(Ok(()), |status| Err(Failure::Signal(status)))
}

fn chart(network: &str, dataset: &str, steps: &[RangeStep], found: Option<Recommended>) -> Chart {
    Chart {
        beside: Vec::new(),
        title: format!("{network} on {dataset}: loss by learning rate"),
        x: Axis { label: "learning rate".to_owned(), scale: Scale::Log },
        y: Axis { label: "mean loss".to_owned(), scale: Scale::Linear },
        points: steps.iter().map(|step| (f64::from(step.lr), step.smooth)).collect(),
        mark: found.map(|Recommended { steepest: RangeStep { lr, smooth, .. }, .. }| {
            ((f64::from(lr), smooth), format!("the loss falls fastest at {lr:.1e}"))
        }),
    }
}

/// What the curve says, in words.
fn told(steps: &[RangeStep], range: &Range, found: Option<Recommended>) -> String {
    let ended = match steps.last() {
        Some(last) if steps.len() < range.steps => {
            format!("ended after {} of {} steps, at {:.1e}\n", steps.len(), range.steps, last.lr)
        }
        _ => String::new(),
    };
    ended
        + &match found {
            Some(Recommended { lowest, .. }) => format!(
                "it is lowest at {:.1e}: try rates up to a tenth of that, {:.1e}, with --lr",
                lowest.lr,
                lowest.lr / 10.0
            ),
            None => "the loss never fell: try lower rates, as in --find-lr 1e-9..1e-3, or check the data"
                .to_owned(),
        }
}
