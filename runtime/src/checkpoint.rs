//! Checkpoints of a training: one safetensors file that holds all of its state.
//!
//! Parameters and running statistics lie under their names in their logical layouts, as any other program expects
//! them; the optimizer's state under `optimizer.<tensor>.<name>`, as in `optimizer.velocity.<name>`; the rest as JSON in the metadata. Random streams
//! have no state but their coordinates (seed, epoch, index), so the counters below are the generators' state too.

use std::path::Path;

use resnetc_compiler::datasets;
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::plan::{AVERAGE, GRADIENT_SUM, LOSS_SCALE, Plan};
use serde::{Deserialize, Serialize};

use crate::engines::Engines;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::metrics::Sums;
use crate::patience::{Patience, Reductions};
use crate::settings::Settings;
use crate::weights::ParamStore;
use crate::weights::file::{self, Metadata};

/// Changes when older programs could misread a file.
const FORMAT: u32 = 1;
/// Before the names of the optimizer's tensors.
const OPTIMIZER: &str = "optimizer.";
/// Key of [`Progress`] in the metadata.
const PROGRESS: &str = "training";

/// How far a training is, and what it must be continued with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Version of the file's form.
    pub format: u32,
    /// Name of the network.
    pub network: String,
    /// Data set trained on.
    pub dataset: String,
    /// Names of its classes, in the order of their numbers, where it is in no list of data sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Seed of weights, order and augmentation.
    pub seed: u64,
    /// Images of a batch.
    pub batch_size: usize,
    /// Batches of an update.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Processes that shared it, each with such batches.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
    /// Threads of the device; another number may sum in another order.
    pub threads: usize,
    /// Whole epochs done.
    pub epoch: usize,
    /// Batches done of the next epoch. Each is a step but where several make an update.
    pub step: usize,
    /// Sums over these.
    pub sums: Sums,
    /// Sums over the test images at the best evaluation so far.
    pub best: Option<Sums>,
    /// Sums over the images of the last whole epoch, while its evaluation and its line in the log are still to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Sums>,
    /// How often a rate that falls on plateaus has fallen.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reductions: Reductions,
    /// How long evaluations have been no better, where that ends the training.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patience: Patience,
    /// Whether the average of the weights that it holds is what is to be used.
    #[serde(default, skip_serializing_if = "is_default")]
    pub averaged: bool,
    /// What it is trained with; other settings than before are no hindrance.
    #[serde(default)]
    pub settings: Settings,
    /// What it is made of.
    #[serde(default)]
    pub identity: Identity,
    /// The engines that it pins, where it is deterministic and measurements choose engines.
    #[serde(default, skip_serializing_if = "Engines::is_empty")]
    pub engines: Engines,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

impl Progress {
    /// Before the first step.
    pub fn start(network: &str, dataset: &str, seed: u64, batch_size: usize, threads: usize) -> Self {
        Progress {
            format: FORMAT,
            network: network.to_string(),
            dataset: dataset.to_string(),
            classes: Vec::new(),
            seed,
            batch_size,
            accumulate: 1,
            ranks: 1,
            threads,
            epoch: 0,
            step: 0,
            sums: Sums::default(),
            best: None,
            open: None,
            reductions: Reductions::default(),
            patience: Patience::default(),
            averaged: false,
            settings: Settings::default(),
            identity: Identity::default(),
            engines: Engines::default(),
        }
    }

    /// The batch of the epoch that a training goes on with which would start as `fresh`: with another number of processes, the one by which at
    /// most as many images are done. Which images are next is the same; where batches do not meet, some of them come again.
    pub fn step_with(&self, fresh: &Progress) -> usize {
        if self.ranks == fresh.ranks {
            return self.step;
        }
        let batches = self.step * self.ranks / fresh.ranks;
        batches / self.accumulate.max(1) * self.accumulate.max(1)
    }

    /// What keeps a training that would start as `fresh` from going on from here; the number of threads does not.
    fn conflict(&self, fresh: &Progress) -> Option<String> {
        let differ = |what: &str, was: String, is: String| {
            (was != is).then(|| format!("it was trained with {what} {was}, not {is}"))
        };
        differ("data set", self.dataset.clone(), fresh.dataset.clone())
            .or_else(|| differ("classes", self.classes.join(", "), fresh.classes.join(", ")))
            .or_else(|| differ("seed", self.seed.to_string(), fresh.seed.to_string()))
            .or_else(|| differ("batch size", self.batch_size.to_string(), fresh.batch_size.to_string()))
            .or_else(|| differ("`accumulate`", self.accumulate.to_string(), fresh.accumulate.to_string()))
            .or_else(|| self.other_teacher(fresh))
            .or_else(|| self.other_network(fresh))
    }

    /// One that was taught goes on with the same teacher, or without any.
    fn other_teacher(&self, fresh: &Progress) -> Option<String> {
        let [was, is] = [self, fresh].map(|progress| &progress.identity.teacher);
        let differ = !was.is_empty() && !is.is_empty() && was != is;
        differ.then(|| {
            format!("it has learned from the teacher {was}, not from {is}: another network, or other weights")
        })
    }

    /// Networks whose tensors have the same names and shapes may still compute something else.
    fn other_network(&self, fresh: &Progress) -> Option<String> {
        let [was, is] = [self, fresh].map(|progress| &progress.identity.network);
        let differ = !was.is_empty() && !is.is_empty() && was != is;
        differ.then(|| {
            let text = "it is of another network, whose tensors have the same names and shapes: its strides, activations, order \
                        of layers or the like differ; `resnetc diff` tells two specs apart";
            text.to_owned()
        })
    }
}

/// A training's whole state.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Counters.
    pub progress: Progress,
    /// Parameters and running statistics.
    pub params: ParamStore,
    /// The optimizer's state: `velocity.<parameter>`.
    pub optimizer: ParamStore,
}

impl Checkpoint {
    /// The bytes of its file; equal checkpoints give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut all = self.params.clone();
        for (name, tensor) in self.optimizer.iter() {
            all.insert(format!("{OPTIMIZER}{name}"), tensor.shape.clone(), tensor.data.clone());
        }
        let progress = serde_json::to_string(&self.progress).expect("numbers and strings serialise");
        file::to_bytes(&all, &Metadata::from([(PROGRESS.to_string(), progress)]))
    }

    /// Reads a file whole. A file without a training's state (weights alone) is refused.
    pub fn load(path: &Path) -> Result<Checkpoint> {
        let (all, metadata) = file::load(path)?;
        let progress = progress(path, &metadata)?;
        let (params, optimizer) = split(&all);
        Ok(Checkpoint { progress, params, optimizer })
    }

    /// Checks that a training of `plan` that would start as `fresh` can go on from here.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the tensors that differ first, or the setting that differs.
    pub fn check(&self, path: &Path, plan: &Plan, fresh: &Progress) -> Result<()> {
        let wrong = |reason: String| Err(Error::Checkpoint { path: path.to_path_buf(), reason });
        let differences = differences(&self.params, &self.optimizer, plan);
        if !differences.is_empty() {
            let more = differences.len().saturating_sub(SHOWN);
            let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
            let shown = differences[..differences.len().min(SHOWN)].join("; ");
            return wrong(format!(
                "it is of network `{}`, not of this `{}`: {shown}{rest}",
                self.progress.network, plan.name
            ));
        }
        match self.progress.conflict(fresh) {
            Some(reason) => wrong(reason),
            None => Ok(()),
        }
    }
}

/// The training's state in a file's metadata.
fn progress(path: &Path, metadata: &Metadata) -> Result<Progress> {
    let wrong = |reason: String| Error::Checkpoint { path: path.to_path_buf(), reason };
    let text = metadata
        .get(PROGRESS)
        .ok_or_else(|| wrong("it has weights but no training state, so no training can go on".into()))?;
    let progress: Progress =
        serde_json::from_str(text).map_err(|e| wrong(format!("its training state is damaged: {e}")))?;
    if progress.format != FORMAT {
        return Err(wrong(format!("its format is {}, this program reads {FORMAT}", progress.format)));
    }
    Ok(progress)
}

/// Differences told in full.
const SHOWN: usize = 3;

/// How far the training of a checkpoint is. The file is read whole, for its checksum is over all of it.
///
/// # Errors
/// See [`Checkpoint::load`].
pub fn load_progress(path: &Path) -> Result<Progress> {
    progress(path, &file::load(path)?.1)
}

/// What the weights of a file were trained on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainedOn {
    /// The value of `train.dataset`: a name, or a path.
    pub dataset: String,
    /// Names of the classes, in the order of their numbers; empty where a list of data sets has them.
    pub classes: Vec<String>,
}

/// The data set that the weights of a file were trained on. `None` where it does not say so, as files of weights alone and of other
/// programs do not: whoever loads them says what is wrong with them.
pub fn trained_on(path: &Path) -> Option<TrainedOn> {
    let metadata = file::metadata(path).ok()?;
    let Progress { dataset, classes, settings, .. } = progress(path, &metadata).ok()?;
    let written = settings.text("dataset").filter(|value| datasets::is_path(value));
    Some(TrainedOn { dataset: written.map_or(dataset, str::to_owned), classes })
}

/// The engines that a checkpoint pins. The file is not read whole.
///
/// # Errors
/// Where it is no checkpoint.
pub fn engines(path: &Path) -> Result<Engines> {
    Ok(progress(path, &file::metadata(path)?)?.engines)
}

/// The weights of a file, whether it is a checkpoint or has weights alone: what evaluation needs.
pub fn load_weights(path: &Path) -> Result<ParamStore> {
    let (all, _) = file::load(path)?;
    Ok(split(&all).0)
}

/// Whether a file is a checkpoint that holds an average of the weights which is to be used.
pub fn has_average(path: &Path) -> bool {
    file::metadata(path)
        .and_then(|metadata| progress(path, &metadata))
        .is_ok_and(|progress| progress.averaged)
}

/// The same weights as [`load_weights`] reads, but for those of which the file holds an average: it has that.
///
/// # Errors
/// Where the file cannot be read.
pub fn load_average(path: &Path) -> Result<ParamStore> {
    let (all, _) = file::load(path)?;
    let (mut params, optimizer) = split(&all);
    for (name, tensor) in optimizer.iter() {
        if let Some(name) = averaged(name).filter(|name| params.get(name).is_some()) {
            params.insert(name, tensor.shape.clone(), tensor.data.clone());
        }
    }
    Ok(params)
}

/// The tensor that one of the optimizer's is an average of.
fn averaged(name: &str) -> Option<&str> {
    name.strip_prefix(AVERAGE)?.strip_prefix('.')
}

/// Parameters with statistics, and the optimizer's tensors, without what their names begin with.
fn split(all: &ParamStore) -> (ParamStore, ParamStore) {
    let (mut params, mut optimizer) = (ParamStore::new(), ParamStore::new());
    for (name, tensor) in all.iter() {
        let (store, name) = match name.strip_prefix(OPTIMIZER) {
            Some(name) => (&mut optimizer, name),
            None => (&mut params, name),
        };
        store.insert(name, tensor.shape.clone(), tensor.data.clone());
    }
    all.left_out().for_each(|(name, found)| params.leave_out(name, found));
    (params, optimizer)
}

/// Tensors missing, too many, or of another shape than the plan's, one sentence each.
fn differences(params: &ParamStore, optimizer: &ParamStore, plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let mut expected = Vec::new();
    for slot in plan.slots.iter().filter(|slot| slot.role.of_network()) {
        let buffer = plan.buffer(slot.buffer);
        compare(params, &buffer.name, &buffer.name, &buffer.shape, &mut found);
        for (_, tensor, buffer) in plan.optimizer_tensors(slot) {
            let name = format!("{tensor}.{}", buffer.name);
            expected.push(name.clone());
            // Between updates the sum is zero, and not stored; an average may begin on the way.
            if [GRADIENT_SUM, AVERAGE].contains(&tensor) && optimizer.get(&name).is_none() {
                continue;
            }
            compare(optimizer, &name, &format!("{OPTIMIZER}{name}"), &buffer.shape, &mut found);
        }
    }
    let known = |name: &str| plan.slots.iter().any(|s| plan.buffer(s.buffer).name == name);
    found.extend(params.iter().filter(|(name, _)| !known(name)).map(|(n, _)| format!("`{n}` is not in it")));
    // A training may go on in another precision: with a scaled loss that starts anew, or without one. So it may without an average.
    let optional = |name: &str| name.starts_with(LOSS_SCALE) || averaged(name).is_some();
    let known = |name: &str| optional(name) || expected.iter().any(|e| e == name);
    let extra = optimizer.iter().filter(|(name, _)| !known(name));
    found.extend(extra.map(|(name, _)| format!("`{OPTIMIZER}{name}` is not in it")));
    found
}

/// Says where a tensor is missing or has another shape.
fn compare(store: &ParamStore, name: &str, shown: &str, shape: &Shape, found: &mut Vec<String>) {
    match store.get(name) {
        None => found.push(format!("`{shown}` is missing")),
        Some(t) if t.shape != *shape => found.push(format!("`{shown}` is {}, expected {shape}", t.shape)),
        Some(_) => (),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tests::tiny_plan;

    fn checkpoint(plan: &Plan) -> Checkpoint {
        let params = crate::init::initial(plan, 3).expect("a training plan");
        let mut optimizer = ParamStore::new();
        for slot in plan.slots.iter().filter(|s| s.role.trained()) {
            let buffer = plan.buffer(slot.buffer);
            let data = params.expect(&buffer.name, &buffer.shape).expect("just made").to_vec();
            optimizer.insert(format!("velocity.{}", buffer.name), buffer.shape.clone(), data);
        }
        let mut progress = Progress::start(&plan.name, "shapes10", 3, 8, 2);
        progress.epoch = 4;
        progress.step = 17;
        progress.sums.add(0.1, 5, 7);
        progress.sums.add(1.0 / 3.0, 5, 7);
        progress.settings = Settings::of(&crate::train::tests::config());
        progress.best = Some(Sums { loss: 0.3, correct: 6, images: 10 });
        Checkpoint { progress, params, optimizer }
    }

    fn saved(checkpoint: &Checkpoint) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("last.safetensors");
        file::write_atomic(&path, &checkpoint.to_bytes().expect("serialises")).expect("writable");
        (dir, path)
    }

    #[test]
    fn everything_survives_the_file() {
        let plan = tiny_plan(8);
        let written = checkpoint(&plan);
        let (_dir, path) = saved(&written);
        let read = Checkpoint::load(&path).expect("valid");
        assert_eq!(read, written);
        read.check(&path, &plan, &Progress::start("tiny", "shapes10", 3, 8, 1)).expect("same training");
        assert_eq!(load_weights(&path).expect("valid"), written.params);
    }

    #[test]
    fn another_network_is_named_with_its_first_differences() {
        let plan = tiny_plan(8);
        let mut other = checkpoint(&plan);
        let name = plan.buffer(plan.slots[0].buffer).name.clone();
        other.params.insert(&name, Shape::from([2]), vec![0.0; 2]);
        other.params.insert("extra.weight", Shape::from([1]), vec![0.0]);
        other.progress.network = "other".into();
        let (_dir, path) = saved(&other);
        let read = Checkpoint::load(&path).expect("valid");
        let message = read.check(&path, &plan, &other.progress).expect_err("another network").to_string();
        for part in [
            "of network `other`, not of this `tiny`",
            &format!("`{name}` is 2, expected "),
            "`extra.weight` is not in it",
        ] {
            assert!(message.contains(part), "{message:?} lacks {part:?}");
        }
    }

    #[test]
    fn another_seed_batch_size_or_data_set_is_refused() {
        let plan = tiny_plan(8);
        let written = checkpoint(&plan);
        for (fresh, reason) in [
            (Progress::start("tiny", "shapes10", 4, 8, 2), "seed 3, not 4"),
            (Progress::start("tiny", "shapes10", 3, 16, 2), "batch size 8, not 16"),
            (Progress::start("tiny", "cifar10", 3, 8, 2), "data set shapes10, not cifar10"),
        ] {
            let error = written.check(Path::new("x"), &plan, &fresh).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn weights_alone_are_no_checkpoint() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("w.safetensors");
        file::save(&path, &checkpoint(&tiny_plan(8)).params, &Metadata::new()).expect("writable");
        assert!(Checkpoint::load(&path).expect_err("no state").to_string().contains("no training state"));
        assert!(load_weights(&path).is_ok());
    }
}
