//! What classes are called.

use std::collections::BTreeMap;
use std::path::Path;

use resnetc::Spec;
use resnetc_compiler::datasets::{self, Facts, IMAGENET};
use resnetc_runtime::checkpoint::TrainedOn;
use resnetc_runtime::files;

use crate::failure::{Failure, Result};

/// Most bytes of a file with names.
const MOST: u64 = 16 << 20;

/// Names of a network's classes; none where they are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<String>);

impl Classes {
    /// The name of a class.
    pub fn name(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str)
    }

    /// Those of a file; else those that the weights have names for, or of the data set that the weights were trained on, that the spec is trained on, or of ImageNet where
    /// the network has its classes and its pictures.
    pub fn find(file: Option<&Path>, trained_on: Option<&TrainedOn>, spec: &Spec) -> Result<Self> {
        let spec = spec.resolved();
        let count = spec.classes.value;
        if let Some(file) = file {
            return read(file, count)
                .map(Classes)
                .map_err(|reason| Failure::Failed(format!("{}: {reason}", file.display())));
        }
        if let Some(own) = trained_on.map(|trained| &trained.classes).filter(|own| own.len() == count) {
            return Ok(Classes(own.clone()));
        }
        let trained_on = trained_on.and_then(|trained| datasets::find(&trained.dataset));
        let dataset = || spec.train.dataset.as_deref().and_then(datasets::find);
        let imagenet = || {
            let [channels, height, width] = spec.input.value;
            let photographs = channels == IMAGENET.input[0] && height.min(width) >= 64;
            photographs.then_some(&IMAGENET)
        };
        let fits = |facts: &&Facts| facts.classes == count;
        let found =
            trained_on.filter(fits).or_else(|| dataset().filter(fits)).or_else(|| imagenet().filter(fits));
        Ok(Classes(found.map_or_else(Vec::new, |facts| facts.labels().map(str::to_owned).collect())))
    }
}

fn read(file: &Path, count: usize) -> std::result::Result<Vec<String>, String> {
    let text = files::read_text(file, MOST).map_err(|error| error.to_string())?;
    let names = match text.trim_start().chars().next() {
        Some('[') => {
            serde_json::from_str(&text).map_err(|error| format!("no JSON list of names: {error}"))?
        }
        Some('{') => of_map(&text)?,
        _ => text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
    };
    match names.len() == count {
        true => Ok(names),
        false => Err(format!("it has {} names, the network has {count} classes", names.len())),
    }
}

/// `{"0": "tench", ...}`, or `{"0": ["n01440764", "tench"], ...}` as Keras has it.
fn of_map(text: &str) -> std::result::Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Name {
        One(String),
        Several(Vec<String>),
    }
    let map: BTreeMap<String, Name> =
        serde_json::from_str(text).map_err(|error| format!("no JSON map from numbers to names: {error}"))?;
    let mut names = vec![None; map.len()];
    for (key, name) in map {
        let place = key.parse::<usize>().ok().and_then(|class| names.get_mut(class));
        let Some(place) = place else {
            return Err(format!(
                "`{key}` is no number of one of {} classes, which count from 0",
                names.len()
            ));
        };
        *place = match name {
            Name::One(name) => Some(name),
            Name::Several(names) => names.into_iter().next_back(),
        };
    }
    let missing = |class: usize| format!("class {class} has no name");
    names.into_iter().enumerate().map(|(class, name)| name.ok_or_else(|| missing(class))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str, count: usize) -> std::result::Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        read(file.path(), count)
    }

    #[test]
    fn names_are_read_in_every_form() {
        let names = Ok(vec!["great white shark".to_owned(), "tench".to_owned()]);
        assert_eq!(reads("great white shark\r\n\ntench\n", 2), names);
        assert_eq!(reads(r#" ["great white shark", "tench"]"#, 2), names);
        assert_eq!(reads(r#"{"1": "tench", "0": "great white shark"}"#, 2), names);
        assert_eq!(reads(r#"{"0": ["n0", "great white shark"], "1": ["n1", "tench"]}"#, 2), names);
    }

    #[test]
    fn wrong_names_are_refused() {
        let error = |text: &str| reads(text, 2).expect_err("refused");
        assert_eq!(error("a\nb\nc"), "it has 3 names, the network has 2 classes");
        assert_eq!(
            error(r#"{"0": "a", "2": "b"}"#),
            "`2` is no number of one of 2 classes, which count from 0"
        );
        assert_eq!(error(r#"{"0": "a", "00": "b"}"#), "class 1 has no name");
        assert!(error("[1, 2]").starts_with("no JSON list of names"));
        assert!(error("{").starts_with("no JSON map"));
    }

    #[test]
    fn compiled_in_networks_know_their_classes() {
        let classes = |name: &str, dataset: Option<&str>| {
            let spec = Spec::builtin(name, &Default::default()).expect("compiled in");
            let trained = dataset.map(|name| TrainedOn { dataset: name.to_owned(), classes: Vec::new() });
            Classes::find(None, trained.as_ref(), &spec).expect("no file")
        };
        assert_eq!(classes("resnet50", None).name(1), Some("goldfish"));
        assert_eq!(classes("resnet20", None).name(9), Some("truck"));
        assert_eq!(classes("resnet20", Some("shapes10")).name(0), Some("circle"));
        assert_eq!(classes("resnet20", Some("cifar100")).name(0), Some("airplane"), "of other classes");
    }
}
