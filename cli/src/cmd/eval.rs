//! `resnetc run SPEC --eval DATASET --checkpoint FILE`: how many test images a network gets right.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use resnetc_compiler::source::SourceMap;
use resnetc_runtime::checkpoint::load_weights;
use resnetc_runtime::data::transform::Transform;
use resnetc_runtime::metrics::Sums;
use resnetc_runtime::train::{Backend, Evaluator};
use serde::Serialize;

use super::{data, device, spec};
use crate::args::RunArgs;
use crate::failure::Result;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::training::percent;
use crate::report::units::{duration, grouped};

/// Images per run where the command line says nothing: divides every test set.
const BATCH: usize = 100;

/// Runs the command.
pub fn eval(name: &str, dataset: &str, checkpoint: &Path, args: &RunArgs, output: &Output) -> Result {
    data::check(dataset)?;
    let mut sources = SourceMap::default();
    // The data set first: what normalises its pixels follows from it, unless the spec or an argument says otherwise.
    let mut set = vec![format!("train.dataset={dataset}")];
    set.extend(args.overrides.sets());
    let spec = spec::load(name, &set, args.overrides.bounds.limits(), &mut sources, output)?;
    spec::check(&spec, &sources, output)?;
    let weights = load_weights(checkpoint)?;
    let test = data::load(dataset, args, output)?.test;

    let transform = Transform::new(test.size, &spec.train.normalize, &[], spec.train.seed)?;
    let mut compile = spec::compiler(&spec, &sources, output);
    let mut open = || device::open_for_inference(args);
    let mut backend = Backend { compile: &mut compile, device: &mut open };
    let batch = args.batch.unwrap_or(BATCH);
    let total = test.len();
    let workers = device::workers(args);
    let mut evaluator = Evaluator::new(&mut backend, test, Arc::new(transform), batch, workers)?;
    let bar = Progress::count(output, "evaluating", total as u64);
    let started = Instant::now();
    let sums = evaluator.evaluate(&weights, &mut |images| bar.set(images as u64))?;
    drop(bar);

    let report = Report::new(&spec.name.value, dataset, &sums);
    output.result(&match args.json {
        true => serde_json::to_string(&report).expect("a report has only string keys"),
        false => format!("{report}, {}", duration(started.elapsed())),
    })
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    network: &'a str,
    dataset: &'a str,
    correct: u64,
    total: u64,
    accuracy: f64,
    loss: f64,
}

impl<'a> Report<'a> {
    fn new(network: &'a str, dataset: &'a str, sums: &Sums) -> Self {
        let (correct, total) = (sums.correct, sums.images);
        Report { network, dataset, correct, total, accuracy: sums.accuracy(), loss: sums.mean_loss() }
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
