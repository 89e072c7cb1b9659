//! What was found under a path, before it is checked.

use std::collections::BTreeMap;

use super::place::Place;

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
#[derive(Debug)]
pub(super) struct Found {
    /// What is trained on or, where there is nothing else, split.
    pub train: Split,
    /// What is evaluated on.
    pub test: Option<Split>,
    /// Further remarks.
    pub told: Vec<String>,
}
