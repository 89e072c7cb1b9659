//! What was found under a path, before it is checked.

use std::collections::BTreeMap;

use super::place::Place;
use crate::error::{Error, Result};

/// Names of the part that is trained on.
pub(super) const TRAIN: &[&str] = &["train", "training"];
/// Names of the part that is evaluated on, the first that is there.
pub(super) const TEST: &[&str] = &["val", "valid", "validation", "test", "testing"];

/// Pictures by their classes.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// What messages call it: a folder or a file.
    pub name: String,
    /// Places of each class' pictures, in an order that does not depend on the file system's.
    pub classes: BTreeMap<String, Vec<Place>>,
    /// Files that are none of pictures.
    pub others: usize,
    /// Hidden files.
    pub hidden: usize,
}

/// All pictures under a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is trained on or, where there is nothing else, split.
    pub train: Split,
    /// What is evaluated on.
    pub test: Option<Split>,
    /// All classes in the order of their numbers, where the source says it; there may be more than have pictures.
    pub classes: Option<Vec<String>>,
    /// Further remarks.
    pub told: Vec<String>,
}

/// Pictures that come in any order with the name of their part, if they have one.
#[derive(Debug, Default)]
pub(super) struct Parts(BTreeMap<String, Split>);

impl Parts {
    /// Adds a picture. `part` is empty where the list names none.
    pub fn add(&mut self, part: &str, class: &str, place: Place) {
        let split = self.0.entry(part.to_ascii_lowercase()).or_default();
        split.classes.entry(class.to_owned()).or_default().push(place);
    }

    /// What is trained and evaluated on.
    ///
    /// # Errors
    /// [`Error::Data`] where parts have other names than those that are known.
    pub fn found(mut self, name: &str) -> Result<Found> {
        self.0.iter_mut().for_each(|(part, split)| {
            split.name = if part.is_empty() { name.to_owned() } else { format!("part {part} of {name}") };
        });
        if self.0.len() <= 1 {
            let train = self.0.into_values().next();
            let train = train.unwrap_or_else(|| Split { name: name.to_owned(), ..Split::default() });
            return Ok(Found { train, test: None, classes: None, told: Vec::new() });
        }
        let parts: Vec<String> = self.0.keys().cloned().collect();
        let mut take = |names: &[&str]| names.iter().find_map(|&name| self.0.remove(name));
        match (take(TRAIN), take(TEST)) {
            (Some(train), Some(test)) => {
                let left: Vec<&str> = self.0.keys().map(String::as_str).collect();
                let told = (!left.is_empty()).then(|| format!("left alone in {name}: {}", left.join(", ")));
                let told = told.into_iter().collect();
                Ok(Found { train, test: Some(test), classes: None, told })
            }
            _ => Err(Error::Data(format!(
                "{name} has the parts {}: `train` and `val` are needed, or none",
                parts.join(", ")
            ))),
        }
    }
}
