//! Blocks with labels become a data set: classes by their numbers, split where nothing else says how.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::choose;
use super::super::rules::Rules;
use super::block::Block;
use crate::data::source::{Dataset, Picture, Source};
use crate::error::{Error, Result};

/// Pictures with a number each.
pub(super) struct Labelled {
    /// What messages call it.
    pub name: String,
    /// The pictures.
    pub block: Block,
    /// The class of each, as the file has it: any whole number.
    pub labels: Vec<i64>,
}

impl Labelled {
    /// Pictures and labels, if these are as many.
    ///
    /// # Errors
    /// [`Error::Data`] where they are not.
    pub fn new(name: String, block: Block, labels: Vec<i64>) -> Result<Self> {
        match labels.len() == block.len() {
            true => Ok(Labelled { name, block, labels }),
            false => {
                Err(Error::Data(format!("{name}: {} pictures, but {} labels", block.len(), labels.len())))
            }
        }
    }
}

/// The data set of what is trained on and evaluated on; where there is nothing to evaluate on, it is split by seed and class. A class is
/// called by its number; classes that are evaluated on have to be trained on.
///
/// # Errors
/// [`Error::Data`] where classes are missing or alone.
pub(super) fn dataset(name: &str, train: Labelled, test: Option<Labelled>, rules: &Rules) -> Result<Dataset> {
    let numbers: BTreeSet<i64> = train.labels.iter().copied().collect();
    let classes: Arc<[String]> = numbers.iter().map(ToString::to_string).collect();
    choose::check_several(&train.name, &classes)?;
    let part = |part: &str, from: &Labelled, chosen: Option<Vec<u32>>| -> Result<Arc<dyn Source>> {
        let label = |number: &i64| match numbers.contains(number) {
            true => Ok(numbers.range(..number).count() as u32),
            false => Err(Error::Data(format!(
                "{} has pictures of class {number}, {} has none: a class that is evaluated on has to be trained on",
                from.name, train.name
            ))),
        };
        let labels = match &chosen {
            None => from.labels.iter().map(label).collect::<Result<_>>()?,
            Some(chosen) => chosen.iter().map(|&i| label(&from.labels[i as usize])).collect::<Result<_>>()?,
        };
        let (name, classes) = (format!("{name}/{part}"), Arc::clone(&classes));
        Ok(Arc::new(Stored { name, classes, block: from.block.clone(), chosen, labels }))
    };
    if let Some(test) = test {
        return Dataset::new(name, part("train", &train, None)?, part("test", &test, None)?);
    }
    let [left, kept] = split(&train, rules)?;
    let told = choose::told(&train.name, rules, [left.len(), kept.len()]);
    let (train, test) = (part("train", &train, Some(left))?, part("test", &train, Some(kept))?);
    Ok(Dataset { told: vec![told], ..Dataset::new(name, train, test)? })
}

/// Numbers of the pictures that are trained on, and of those that are kept.
fn split(all: &Labelled, rules: &Rules) -> Result<[Vec<u32>; 2]> {
    let mut by_class = std::collections::BTreeMap::<i64, Vec<u32>>::new();
    for (index, &label) in all.labels.iter().enumerate() {
        by_class.entry(label).or_default().push(index as u32);
    }
    let mut parts = [Vec::new(), Vec::new()];
    for (class, indices) in by_class {
        let names: Vec<String> = indices.iter().map(ToString::to_string).collect();
        let kept = choose::kept(&all.name, &class.to_string(), &names, rules)?;
        indices.iter().zip(kept).for_each(|(&index, kept)| parts[usize::from(kept)].push(index));
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// Pictures of a block.
struct Stored {
    name: String,
    classes: Arc<[String]>,
    block: Block,
    /// Which pictures of the block; all where there is none.
    chosen: Option<Vec<u32>>,
    labels: Vec<u32>,
}

impl Source for Stored {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        Ok(self.block.picture(self.chosen.as_ref().map_or(index, |chosen| chosen[index] as usize)))
    }

    fn pixels(&self) -> Option<([usize; 3], &[u8])> {
        self.block.whole().filter(|_| self.chosen.is_none())
    }
}
