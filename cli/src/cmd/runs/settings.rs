//! In which settings trainings differ.

use std::collections::BTreeMap;

use crate::runs::Run;

/// A setting with its value in each training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path in the spec, or what it is besides.
    pub key: String,
    /// `-` where a training does not have it.
    pub values: Vec<String>,
}

/// What stands for a setting that is not there.
const NONE: &str = "-";

/// The settings that are not the same in all trainings, with those that no spec has before them.
///
/// # Errors
/// A training whose spec cannot be read, and why.
pub fn differing(runs: &[Run]) -> Result<Vec<Setting>, String> {
    let mut all: Vec<BTreeMap<String, String>> = Vec::new();
    for run in runs {
        let settings = run.settings().map_err(|why| format!("{}: {why}", run.folder.display()))?;
        all.push(settings);
    }
    let keys = ["data", "images", "device", "threads"];
    let besides = keys.into_iter().zip(0..).map(|(key, place)| Setting {
        key: key.to_owned(),
        values: runs.iter().map(|run| besides(run)[place].clone()).collect(),
    });
    let mut keys: Vec<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    keys.sort();
    keys.dedup();
    let of = |key: &String| Setting {
        key: key.clone(),
        values: all.iter().map(|one| one.get(key).map_or(NONE, String::as_str).to_owned()).collect(),
    };
    let differs = |setting: &Setting| setting.values.iter().any(|value| *value != setting.values[0]);
    Ok(besides.chain(keys.into_iter().map(of)).filter(differs).collect())
}

/// Data and device, of which specs do not speak.
fn besides(run: &Run) -> [String; 4] {
    let facts = &run.file.facts;
    let images = format!("{} + {}", facts.train_images, facts.test_images);
    [facts.dataset.clone(), images, facts.device.clone(), facts.threads.to_string()]
}
