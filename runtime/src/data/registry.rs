//! How each data set of [`resnetc_compiler::datasets`] is loaded.

use resnetc_compiler::datasets::{CIFAR10, CIFAR100, DATASETS, NAMES, SHAPES10};

use super::fetch::Progress;
use super::places::Places;
use super::source::Dataset;
use super::{cifar, shapes10};
use crate::error::{Error, Result};

/// Finds, downloads or draws a data set.
type Load = fn(&Places, &mut dyn FnMut(Progress)) -> Result<Dataset>;

/// One loader per data set.
const LOADERS: [(&str, Load); DATASETS.len()] = [
    (CIFAR10.name, |places, progress| cifar::load(&cifar::CIFAR10, places, progress)),
    (CIFAR100.name, |places, progress| cifar::load(&cifar::CIFAR100, places, progress)),
    (SHAPES10.name, |_, _| Ok(shapes10::generate(shapes10::Config::default()))),
];

/// Loads a data set by name; `progress` hears how a download goes, should one be needed.
///
/// # Errors
/// [`Error::Data`] for an unknown name or damaged files, [`Error::Fetch`] where nothing was found and nothing could be
/// downloaded; the message says which file to put where.
pub fn load(name: &str, places: &Places, progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
    match LOADERS.iter().find(|(known, _)| *known == name) {
        Some((_, load)) => load(places, progress),
        None => Err(Error::Data(format!("no data set {name:?}: there are {}", NAMES.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_has_a_loader_and_no_other_name_has() {
        assert_eq!(LOADERS.map(|(name, _)| name), NAMES);
        let error = load("mnist", &Places::default(), &mut |_| ()).expect_err("unknown").to_string();
        assert_eq!(error, r#"no data set "mnist": there are cifar10, cifar100, shapes10"#);
    }
}
