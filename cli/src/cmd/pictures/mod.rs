//! `resnetc run SPEC --weights FILE --predict PATH...`: what a network says of pictures.

mod answers;
mod classes;
mod classify;
mod explain;
mod list;

use std::path::Path;

use resnetc::{Model, Spec, WeightsOptions};
use resnetc_compiler::datasets;
use resnetc_compiler::spec::train::tta::Shown;
use resnetc_pictures::{Limits, Preparer, decode};
use resnetc_runtime::checkpoint::{self, TrainedOn};

use self::answers::{Answers, Form};
use self::classes::Classes;
use self::classify::Classifier;
use self::list::Item;
use super::data::{self, Wanted};
use super::setup::Setup;
use super::{spec, weights};
use crate::args::{PictureArgs, RunArgs};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Classes of each picture that are told where the command line says nothing.
const TOP: usize = 5;

/// Runs the command.
pub fn predict(name: &str, file: &WeightsOptions, args: &RunArgs, setup: &Setup, output: &Output) -> Result {
    let (wanted, limits) = (&args.pictures, args.pictures.limits());
    let stdin = wanted.predict.iter().filter(|path| spec::is_stdin(path)).count();
    if stdin > 1 || (stdin > 0 && spec::is_stdin(Path::new(name))) {
        return Err(Failure::Usage("standard input can be read once: `-` stands for one thing alone".into()));
    }
    let trained_on = checkpoint::trained_on(&file.file);
    let mut options = spec::run_options(args);
    // What normalised the pixels in training, unless the spec or an argument says otherwise.
    options.set.splice(0..0, trained_on.as_ref().and_then(dataset));
    let spec = match trained_on.as_ref().map(|trained| &trained.classes[..]) {
        None | Some([]) => spec::load(name, &options, output)?,
        Some(classes) => data::with_classes(name, &mut options, classes, output)?,
    };
    let classes = Classes::find(wanted.classes.as_deref(), trained_on.as_ref(), &spec)?;
    let preparer = preparer(&spec, &limits)?;
    let (items, unlisted) = items(wanted, &limits, output)?;

    let answers = Answers { output, form: form(args), top: wanted.top.unwrap_or(TOP), classes };
    let load = || Ok(Model::of(&spec, &weights::load(&spec, file, output)?, &setup.device)?);
    let views = views(&spec, wanted)?;
    let classifier = Classifier {
        items: &items,
        limits,
        preparer: &preparer,
        views: &views,
        answers: &answers,
        load: &load,
    };
    let done = classifier.run(args.batch, setup.device.threads())?;
    if let (Some(path), Some(class)) = (&wanted.explain_picture, done.first) {
        let subject = explain::Subject { name, options: &options, weights: file, device: &setup.device };
        let picture = items[0].read(&limits).and_then(|bytes| decode(&bytes, &limits));
        explain::explain(&subject, preparer, &picture.map_err(Failure::failed)?, class, path)?;
    }
    if unlisted + done.bad == 0 { Ok(()) } else { Err(Failure::Found) }
}

/// The override that names what weights were trained on, where a spec may name it.
fn dataset(trained_on: &TrainedOn) -> Option<String> {
    let TrainedOn { dataset, .. } = trained_on;
    let known = datasets::find(dataset).map(Wanted::Named);
    let wanted = known.or_else(|| datasets::is_path(dataset).then(|| Wanted::Path(dataset.clone())));
    wanted.map(|wanted| wanted.set())
}

/// What makes inputs of pictures; refuses a network that has no use for them.
fn preparer(spec: &Spec, limits: &Limits) -> Result<Preparer> {
    let resolved = spec.resolved();
    if resolved.head.layers.is_none() {
        let text =
            format!("`{}` has no head: it gives feature maps, which say nothing of classes", spec.name());
        return Err(Failure::Usage(text));
    }
    let preparer = Preparer::new(resolved.input.value, &resolved.preprocess, limits);
    preparer.map_err(|error| Failure::Usage(error.to_string()))
}

/// What the network is shown of each picture; one view alone is explained.
fn views(spec: &Spec, wanted: &PictureArgs) -> Result<Vec<Shown>> {
    let tta = &spec.resolved().train.tta;
    match wanted.explain_picture.is_some() && !tta.is_none() {
        true => Err(Failure::Usage(format!(
            "--explain-picture explains the answer to one view, `tta: {tta}` takes the mean of {}: add --tta none",
            tta.views().len()
        ))),
        false => Ok(tta.views()),
    }
}

/// The pictures, and how many paths are none, which was told.
fn items(wanted: &PictureArgs, limits: &Limits, output: &Output) -> Result<(Vec<Item>, usize)> {
    let mut bad = 0;
    let items = list::list(&wanted.predict, limits, &mut |fault| {
        bad += 1;
        output.error(&fault);
    });
    if wanted.explain_picture.is_some() && items.len() != 1 {
        let text = format!("--explain-picture explains one picture, there are {}", items.len());
        return Err(Failure::Usage(text));
    }
    Ok((items, bad))
}

fn form(args: &RunArgs) -> Form {
    match (args.json, args.pictures.csv) {
        (true, _) => Form::Json,
        (_, true) => Form::Csv,
        _ => Form::Text,
    }
}
