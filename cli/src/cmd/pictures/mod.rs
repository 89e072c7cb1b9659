//! `resnetc run SPEC --weights FILE --predict PATH...`: what a network says of pictures.

mod answers;
mod classes;
mod classify;
mod explain;
mod list;

use std::path::Path;

use resnetc::{Model, WeightsOptions};
use resnetc_compiler::datasets;
use resnetc_pictures::Preparer;
use resnetc_runtime::checkpoint;

use self::answers::{Answers, Form};
use self::classes::Classes;
use self::classify::Classifier;
use super::setup::Setup;
use super::spec;
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Classes of each picture that are told where the command line says nothing.
const TOP: usize = 5;

/// Runs the command.
pub fn predict(
    name: &str,
    weights: &WeightsOptions,
    args: &RunArgs,
    setup: &Setup,
    output: &Output,
) -> Result {
    let (wanted, limits) = (&args.pictures, args.pictures.limits());
    let stdin = wanted.predict.iter().filter(|path| spec::is_stdin(path)).count();
    if stdin > 1 || (stdin > 0 && spec::is_stdin(Path::new(name))) {
        return Err(Failure::Usage("standard input can be read once: `-` stands for one thing alone".into()));
    }
    let trained_on = checkpoint::dataset(&weights.file).and_then(|name| datasets::find(&name));
    let mut options = spec::options(&args.overrides);
    // What normalised the pixels in training, unless the spec or an argument says otherwise.
    options.set.splice(0..0, trained_on.map(|facts| format!("train.dataset={}", facts.name)));
    let spec = spec::load(name, &options, output)?;
    let classes = Classes::find(wanted.classes.as_deref(), trained_on, &spec)?;
    let resolved = spec.resolved();
    if resolved.head.layers.is_none() {
        let text =
            format!("`{}` has no head: it gives feature maps, and says nothing of classes", spec.name());
        return Err(Failure::Usage(text));
    }
    let preparer = Preparer::new(resolved.input.value, &resolved.preprocess, &limits)
        .map_err(|error| Failure::Usage(error.to_string()))?;

    let mut bad = 0;
    let items = list::list(&wanted.predict, &limits, &mut |fault| {
        bad += 1;
        output.error(&fault);
    });
    if wanted.explain_picture.is_some() && items.len() != 1 {
        let text = format!("--explain-picture explains one picture, there are {}", items.len());
        return Err(Failure::Usage(text));
    }
    let form = match (args.json, wanted.csv) {
        (true, _) => Form::Json,
        (_, true) => Form::Csv,
        _ => Form::Text,
    };
    let answers = Answers { output, form, top: wanted.top.unwrap_or(TOP), classes };
    let load = || Ok(Model::with_weights(&spec, weights, &setup.device)?);
    let classifier =
        Classifier { items: &items, limits, preparer: &preparer, answers: &answers, load: &load };
    let done = classifier.run(args.batch, setup.device.threads())?;
    bad += done.bad;
    if let (Some(path), Some(class)) = (&wanted.explain_picture, done.first) {
        let subject = explain::Subject { name, options: &options, weights, device: &setup.device };
        let picture = resnetc_pictures::decode(&items[0].read(&limits).map_err(Failure::failed)?, &limits);
        explain::explain(&subject, preparer, &picture.map_err(Failure::failed)?, class, path)?;
    }
    if bad == 0 { Ok(()) } else { Err(Failure::Found) }
}
