//! What a training is made of besides its settings, as its checkpoints remember it: one of another network cannot go on, and
//! one on other data or another device is told so.

use resnetc_compiler::ir::recompute::AGAIN;
use resnetc_compiler::plan::Plan;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::{Dataset, Source};
use crate::device::Choice;
use crate::error::Result;
use crate::exec::Executor;
use crate::hex::hex;
use crate::settings::Change;
use crate::weights::ParamStore;

/// Each part is a text that differs where the thing does; empty in checkpoints of programs that did not remember it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The network's operators, without their names and first values: see
    /// [`Graph::signature`](resnetc_compiler::ir::graph::Graph::signature).
    pub network: String,
    /// The pictures.
    pub data: String,
    /// The device with its instructions.
    pub device: String,
    /// How the device computes the training step, where it has several ways.
    pub algorithms: String,
    /// Who is learned from: a [`teacher`]'s name. Nothing where nobody is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub teacher: String,
}

impl Identity {
    /// Of a training on this data with this network's training plan; `network` is a [`digest`].
    ///
    /// # Errors
    /// Where a picture cannot be read.
    pub fn of(network: &str, dataset: &Dataset, exec: &Executor) -> Result<Self> {
        Ok(Identity {
            network: network.to_owned(),
            data: data(dataset)?,
            device: exec.describe(),
            algorithms: algorithms(exec),
            teacher: String::new(),
        })
    }

    /// The same of a training that learns from a [`teacher`].
    #[must_use]
    pub fn taught_by(self, teacher: &str) -> Self {
        Identity { teacher: teacher.to_owned(), ..self }
    }

    /// What is not as it was, where that is known, but for the network: it cannot change.
    pub fn changes(&self, now: &Identity) -> Vec<Change> {
        let parts = [
            ("the data", &self.data, &now.data),
            ("the device", &self.device, &now.device),
            ("the choice of algorithms", &self.algorithms, &now.algorithms),
        ];
        let differ = parts.into_iter().filter(|(_, was, is)| was != is && !was.is_empty());
        let change = |(setting, was, is): (&str, &String, &String)| Change {
            setting: setting.to_owned(),
            was: was.clone(),
            is: is.clone(),
        };
        differ.map(change).collect()
    }
}

/// A network with its weights as checkpoints call those that were learned from: `resnet56 (9f2c04b1)`, its name and a digest of its
/// operators and of all weights.
pub fn teacher(name: &str, network: &str, weights: &ParamStore) -> String {
    let mut hash = Sha256::new();
    hash.update(network);
    for (name, tensor) in weights.iter() {
        hash.update(name);
        tensor.data.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    format!("{name} ({})", hex(hash.finalize()))
}

/// SHA-256 of a text, in hexadecimal digits.
pub fn digest(text: &str) -> String {
    hex(Sha256::digest(text))
}

/// `50000 images (9f2c04b1) and 10000 to test on (77d0e3aa)`
fn data(dataset: &Dataset) -> Result<String> {
    let (train, test) = (&*dataset.train, &*dataset.test);
    let digests = (short(pictures(train)?), short(pictures(test)?));
    Ok(format!("{} images ({}) and {} to test on ({})", train.len(), digests.0, test.len(), digests.1))
}

/// All labels and the pixels of as many pictures as the source deems enough, spread evenly.
fn pictures(source: &dyn Source) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(source.classes().join("\n"));
    for index in 0..source.len() {
        hash.update(source.label(index).to_le_bytes());
    }
    if let Some(fingerprint) = source.fingerprint() {
        hash.update(fingerprint);
        return Ok(hex(hash.finalize()));
    }
    let taken = source.fingerprinted().min(source.len());
    for index in (0..taken).map(|i| i * source.len() / taken) {
        let picture = source.picture(index)?;
        picture.size().iter().for_each(|size| hash.update(size.to_le_bytes()));
        hash.update(picture.pixels());
    }
    Ok(hex(hash.finalize()))
}

/// `direct 12, winograd4 7 (3fa2c105)`: how often each algorithm was chosen, and a digest of which step has which.
fn algorithms(exec: &Executor) -> String {
    let plan: &Plan = exec.plan(0);
    // What is computed a second time is computed as the first time.
    let steps = plan.steps.iter().enumerate().filter(|(_, step)| !step.name.starts_with(AGAIN));
    let chosen = steps.filter_map(|(i, step)| Some((step, exec.choice(0, i)?)));
    let mut counts = std::collections::BTreeMap::new();
    let mut all = String::new();
    for (step, Choice { algorithm, variant, .. }) in chosen {
        *counts.entry(algorithm).or_insert(0) += 1;
        all += &format!("{} {algorithm}{}\n", step.name, variant.unwrap_or_default());
    }
    if counts.is_empty() {
        return String::new();
    }
    let counts: Vec<_> = counts.iter().map(|(algorithm, count)| format!("{algorithm} {count}")).collect();
    format!("{} ({})", counts.join(", "), short(digest(&all)))
}

/// Enough digits to tell two apart.
fn short(mut digest: String) -> String {
    digest.truncate(8);
    digest
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::memory::InMemory;

    fn dataset(pixel: u8, label: u32) -> Dataset {
        let classes: Arc<[String]> = ["a".to_owned(), "b".to_owned()].into();
        let pixels = [vec![0; 12], vec![pixel; 12]].concat();
        let source = |labels: Vec<u32>| {
            InMemory::new("x", Arc::clone(&classes), [2, 2, 3], pixels.clone(), labels).expect("two pictures")
        };
        let (train, test) = (source(vec![0, label]), source(vec![0, 1]));
        Dataset::new("x", Arc::new(train), Arc::new(test)).expect("they fit")
    }

    #[test]
    fn every_pixel_and_label_counts() {
        let text = |pixel, label| data(&dataset(pixel, label)).expect("readable");
        assert_eq!(text(3, 1), text(3, 1));
        assert_ne!(text(3, 1), text(4, 1));
        assert_ne!(text(3, 1), text(3, 0));
        assert!(text(3, 1).starts_with("2 images ("), "{}", text(3, 1));
    }

    #[test]
    fn what_was_not_remembered_has_not_changed() {
        let now = Identity { device: "cpu".into(), data: "2 images".into(), ..Identity::default() };
        assert_eq!(Identity::default().changes(&now), []);
        let before = Identity { device: "gpu".into(), ..now.clone() };
        let changes = before.changes(&now);
        let told: Vec<_> = changes.iter().map(|c| [&*c.setting, &*c.was, &*c.is]).collect();
        assert_eq!(told, [["the device", "gpu", "cpu"]]);
    }
}
