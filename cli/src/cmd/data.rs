//! Data sets by name, with a bar while one is downloaded, and people's own pictures by path.

use std::path::Path;

use resnetc::{Spec, SpecOptions};
use resnetc_compiler::datasets::{self, Facts};
use resnetc_compiler::spec::train::TrainConfig;
use resnetc_runtime::data::pictures::{self, Rules};
use resnetc_runtime::data::{self, Dataset, Places};

use super::spec;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::Progress;

/// The network that is trained where the command line names none.
pub const NETWORK: &str = "resnet20";
/// The same for people's own pictures.
const NETWORK_OF_PICTURES: &str = "resnet18";

/// A data set that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// One that has a name.
    Named(&'static Facts),
    /// Pictures under a path, as `train.dataset` has it.
    Path(String),
}

impl Wanted {
    /// The value of `train.dataset`, as an override.
    pub fn set(&self) -> String {
        match self {
            Wanted::Named(facts) => format!("train.dataset={}", facts.name),
            Wanted::Path(path) => format!("train.dataset={}", serde_json::Value::from(path.as_str())),
        }
    }

    /// The network for it where none is named, and what to override in it. Nothing that is so already: of a changed network, the
    /// figures in its spec do not hold and are not checked.
    pub fn network(&self) -> Result<(&'static str, Vec<String>)> {
        let Wanted::Named(dataset) = self else { return Ok((NETWORK_OF_PICTURES, Vec::new())) };
        let spec = Spec::builtin(NETWORK, &SpecOptions::default())?;
        let spec = spec.resolved();
        let mut set = Vec::new();
        if spec.input.value != dataset.input {
            set.push(format!("input={:?}", dataset.input));
        }
        if spec.classes.value != dataset.classes {
            set.push(format!("classes={}", dataset.classes));
        }
        Ok((NETWORK, set))
    }
}

/// The data set of that name, or the pictures under that path; refuses others before anything expensive. A name comes before a folder
/// that is called the same.
pub fn find(value: &str) -> Result<Wanted> {
    if let Some(facts) = datasets::find(value) {
        return Ok(Wanted::Named(facts));
    }
    match (datasets::is_path(value), Path::new(value).exists()) {
        (true, _) => Ok(Wanted::Path(value.to_owned())),
        (false, true) => Ok(Wanted::Path(format!("./{value}"))),
        (false, false) => Err(Failure::Usage(format!(
            "no data set is called `{value}`; there are {}, and paths of pictures",
            datasets::NAMES.join(", ")
        ))),
    }
}

/// Finds, downloads or generates a data set that has a name.
pub fn load(name: &str, places: &Places, output: &Output) -> Result<Dataset> {
    let mut bar: Option<Progress> = None;
    let dataset = data::load(name, places, &mut |progress| {
        bar.get_or_insert_with(|| Progress::bytes(output, name, progress.total)).set(progress.done);
    });
    Ok(dataset?)
}

/// Finds the pictures under a path, and tells what there is to tell.
pub fn pictures(path: &str, config: &TrainConfig, output: &Output) -> Result<Dataset> {
    let dataset = pictures::load(Path::new(path), &Rules::new(config.reading, config.seed))?;
    dataset.told.iter().for_each(|line| output.warn(&format!("data      {line}")));
    Ok(dataset)
}

/// The spec with as many classes as there are: those that a compiled-in network has give way, and that is told. Options that open the
/// same spec later get what was changed.
///
/// # Errors
/// Where the user's own spec, or an option, says another number.
pub fn with_classes(
    name: &str,
    options: &mut SpecOptions,
    classes: &[String],
    output: &Output,
) -> Result<Spec> {
    let found = spec::open(name, options)?;
    let (stated, count) = (found.resolved().classes.value, classes.len());
    if stated != count {
        if let Some(place) = found.states_classes() {
            return Err(Failure::Usage(format!(
                "{place} says `classes: {stated}`, the pictures have {count} classes ({}): write `classes: {count}` there, or leave it \
                 out where the base is a compiled-in network",
                named(classes)
            )));
        }
        options.set.insert(0, format!("classes={count}"));
        output.warn(&format!(
            "classes   {count} in place of {stated}, as the pictures have: {}",
            named(classes)
        ));
    }
    spec::load(name, options, output)
}

/// The first names.
pub fn named(classes: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = classes.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if classes.len() > SHOWN { format!("{shown}, ...") } else { shown }
}

/// What is said of a picture that could not be read.
pub fn stood_in_for(text: &str, output: &Output) {
    output.warn(&format!("warning: {text}; another picture of its class stands in for it"));
}
