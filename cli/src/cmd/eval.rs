//! `resnetc run SPEC --eval DATASET --weights FILE`: how many test images a network gets right.

use std::time::Instant;

use resnetc::WeightsOptions;
use resnetc::train::evaluator;
use resnetc_runtime::checkpoint;
use resnetc_runtime::data::Dataset;
use resnetc_runtime::evaluation::Evaluation;
use resnetc_runtime::metrics::Metrics;
use resnetc_runtime::train::predictions;
use serde::Serialize;

use super::data::Wanted;
use super::setup::Setup;
use super::{data, spec, weights};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;
use crate::report;
use crate::report::training::percent;
use crate::report::units::{duration, grouped};

/// Images per run where the command line says nothing: divides every test set.
const BATCH: usize = 100;

/// Runs the command.
pub fn eval(
    name: &str,
    dataset: &str,
    file: &WeightsOptions,
    args: &RunArgs,
    setup: &Setup,
    output: &Output,
) -> Result {
    let wanted = data::find(dataset)?;
    let mut options = spec::run_options(args);
    // The data set first: what normalises its pixels follows from it, unless the spec or an argument says otherwise.
    options.set.insert(0, wanted.set());
    let (spec, pictures) = match &wanted {
        Wanted::Named(_) => (spec::load(name, &options, output)?, None),
        Wanted::Path(path) => {
            let pictures = data::pictures(path, &spec::open(name, &options)?.resolved().train, output)?;
            check_classes(&pictures, file)?;
            (data::with_classes(name, &mut options, pictures.classes(), output)?, Some(pictures))
        }
    };
    spec.check()?;
    let weights = weights::store(&spec, file, output)?;
    let test = match pictures {
        Some(pictures) => pictures.test,
        None => data::load(dataset, &setup.places, output)?.test,
    };

    let total = test.len();
    let mut evaluator = evaluator(&spec, &setup.device, test, args.batch.unwrap_or(BATCH))?;
    let bar = Progress::count(output, "evaluating", total as u64);
    let started = Instant::now();
    let found = evaluator.assess(&weights, &mut |images| bar.set(images as u64))?;
    drop(bar);
    for text in evaluator.source().take_faults() {
        data::stood_in_for(&text, output);
    }

    let report = Report::new(spec.name(), dataset, &found);
    output.result(&match args.json {
        true => serde_json::to_string(&report).expect("a report has only string keys"),
        false => format!(
            "{report}, {}\n\n{}",
            duration(started.elapsed()),
            report::metrics::table(&report.metrics)
        ),
    })?;
    if let Some(path) = &args.predictions {
        files::write(path, &predictions(&found, evaluator.source()))?;
        output.warn(&format!("wrote {}", path.display()));
    }
    match report.loss.is_finite() {
        true => Ok(()),
        false => Err(Failure::Failed(format!(
            "the loss is {}: weights of {} that are not finite, or too large, leave logits that say nothing",
            report.loss,
            file.file.display()
        ))),
    }
}

/// The pictures have the classes that the weights were trained on, in the same order.
fn check_classes(pictures: &Dataset, file: &WeightsOptions) -> Result {
    let trained = checkpoint::trained_on(&file.file).map(|trained| trained.classes).unwrap_or_default();
    if trained.is_empty() || trained == pictures.classes() {
        return Ok(());
    }
    let (is, was) = (data::named(pictures.classes()), data::named(&trained));
    let file = file.file.display();
    Err(Failure::Failed(format!("{} has the classes {is}; {file} was trained on {was}", pictures.name)))
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    network: &'a str,
    dataset: &'a str,
    correct: u64,
    total: u64,
    accuracy: f64,
    loss: f64,
    #[serde(flatten)]
    metrics: Metrics,
}

impl<'a> Report<'a> {
    fn new(network: &'a str, dataset: &'a str, found: &Evaluation) -> Self {
        let (sums, metrics) = (&found.sums, found.metrics());
        let (correct, total) = (sums.correct, sums.images);
        Report {
            network,
            dataset,
            correct,
            total,
            accuracy: sums.accuracy(),
            loss: sums.mean_loss(),
            metrics,
        }
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (correct, total) = (grouped(self.correct), grouped(self.total));
        let accuracy = percent(self.accuracy);
        write!(f, "{} on {}: {correct} of {total} right ({accuracy}), ", self.network, self.dataset)?;
        write!(f, "loss {:.4}", self.loss)
    }
}
