//! The processes that share a training, as its loop sees them: who has which images, what all have found together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::data::order::Rank;
use crate::error::{Error, Result};
use crate::evaluation::Evaluation;
use crate::exec::{Executor, StepResult};
use crate::files::read_bytes;
use crate::ranks::Collective;
use crate::weights::ParamStore;

/// The ranks of a training; a process that trains alone is the only one.
#[derive(Clone, Default)]
pub(super) struct Team {
    ranks: Option<Arc<Collective>>,
}

/// What a batch came to on one rank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub result: StepResult,
    /// The rank's images in it.
    pub images: usize,
}

impl Team {
    pub fn new(ranks: Option<Arc<Collective>>) -> Self {
        Team { ranks: ranks.filter(|ranks| ranks.size() > 1) }
    }

    /// This process among those that share the images.
    pub fn rank(&self) -> Rank {
        self.ranks.as_ref().map_or(Rank::ONLY, |ranks| Rank::new(ranks.rank(), ranks.size()))
    }

    /// Number of processes.
    pub fn size(&self) -> usize {
        self.ranks.as_ref().map_or(1, |ranks| ranks.size())
    }

    /// Whether this process writes what the training leaves: one does.
    pub fn writes(&self) -> bool {
        self.ranks.as_ref().is_none_or(|ranks| ranks.rank() == 0)
    }

    /// Shows others that a batch is begun, by its number from the training's start.
    pub fn at_step(&self, step: u64) {
        if let Some(ranks) = &self.ranks {
            ranks.pulse().step(step);
        }
    }

    /// Shows others that it goes on.
    pub fn goes_on(&self) {
        if let Some(ranks) = &self.ranks {
            ranks.pulse().beat();
        }
    }

    /// Whether any of them says so.
    ///
    /// # Errors
    /// Where a rank has gone, as of all that follows.
    pub fn any(&self, own: bool) -> Result<bool> {
        let Some(ranks) = &self.ranks else { return Ok(own) };
        Ok(ranks.gather(&[u8::from(own)])?.contains(&1))
    }

    /// What batches came to: of each of them what it did on each rank, in their order; and whether any wants to stop.
    pub fn shares(&self, own: &[Share], stop: bool) -> Result<(Vec<Vec<Share>>, bool)> {
        let Some(ranks) = &self.ranks else { return Ok((own.iter().map(|&own| vec![own]).collect(), stop)) };
        // Images and hits of a batch are whole numbers that `f32` has.
        let told = |own: &Share| [own.result.loss, own.result.correct, own.images as f32];
        let mut told: Vec<f32> = own.iter().flat_map(told).collect();
        told.push(f32::from(u8::from(stop)));
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&ranks.gather(bytemuck::cast_slice(&told))?);
        let share = |told: &[f32]| Share {
            result: StepResult { loss: told[0], correct: told[1] },
            images: told[2] as usize,
        };
        let ranks = || all.chunks_exact(told.len());
        let stop = ranks().any(|theirs| theirs[told.len() - 1] > 0.0);
        let of = |batch| ranks().map(|theirs| share(&theirs[3 * batch..][..3])).collect();
        Ok(((0..own.len()).map(of).collect(), stop))
    }

    /// Adds the answers to a batch of each rank, at most `most` images each, in the order of the images: that of [`Rank`].
    pub fn add_answers(
        &self,
        found: &mut Evaluation,
        logits: &[f32],
        labels: &[u32],
        most: usize,
    ) -> Result<()> {
        let Some(ranks) = &self.ranks else {
            found.add(logits, labels);
            return Ok(());
        };
        let classes = found.classes();
        let mut own = vec![labels.len() as u32];
        own.extend(labels);
        own.resize(1 + most, 0);
        own.extend(logits.iter().map(|logit| logit.to_bits()));
        own.resize(1 + most * (1 + classes), 0);
        let all: Vec<u32> = bytemuck::pod_collect_to_vec(&ranks.gather(bytemuck::cast_slice(&own))?);
        for image in 0..most {
            for theirs in all.chunks_exact(own.len()).filter(|theirs| image < theirs[0] as usize) {
                let logits = &theirs[1 + most + image * classes..][..classes];
                let logits: Vec<f32> = logits.iter().map(|&bits| f32::from_bits(bits)).collect();
                found.add(&logits, &theirs[1 + image..][..1]);
            }
        }
        Ok(())
    }

    /// Gives all ranks the mean of their running statistics, and of the averages of these. Each is a mean over batches with the same
    /// weights, so this is the one over the batches of all ranks, whenever it is taken.
    pub fn share_statistics(&self, exec: &Executor) -> Result<()> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        exec.load_statistics(&mean_of(ranks, exec.store_statistics()?, 1.0)?)?;
        let averages = exec.store_average_statistics()?;
        if averages.is_empty() {
            return Ok(());
        }
        exec.load_average_statistics(&mean_of(ranks, averages, 1.0)?)
    }

    /// The mean of tensors that all ranks have, each with a weight.
    pub fn mean(&self, own: ParamStore, weight: f32) -> Result<ParamStore> {
        match &self.ranks {
            Some(ranks) => mean_of(ranks, own, weight),
            None => Ok(own),
        }
    }

    /// What rank 0 has in a file, as a file that this rank can read.
    pub fn file(&self, path: Option<PathBuf>) -> Result<Option<Fetched>> {
        let Some(ranks) = &self.ranks else { return Ok(path.map(Fetched::own)) };
        let bytes = match &path {
            Some(path) => [&[1], &*read_bytes(path, u64::MAX).map_err(Error::io(path))?].concat(),
            None => vec![0],
        };
        let bytes = ranks.broadcast(bytes)?;
        match bytes.split_first() {
            Some((1, _)) if path.is_some() => Ok(path.map(Fetched::own)),
            Some((1, bytes)) => Fetched::written(bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// Checks that all ranks begin with the same weights: each makes its own.
    ///
    /// # Errors
    /// [`Error::Ranks`] with the first rank that has others.
    pub fn check_alike(&self, params: &ParamStore) -> Result<()> {
        let Some(ranks) = &self.ranks else { return Ok(()) };
        let mut digest = Sha256::new();
        for (name, tensor) in params.iter() {
            digest.update(name.as_bytes());
            digest.update(bytemuck::cast_slice::<f32, u8>(&tensor.data));
        }
        let own: [u8; 32] = digest.finalize().into();
        let all = ranks.gather(&own)?;
        match all.chunks_exact(own.len()).position(|theirs| *theirs != all[..own.len()]) {
            None => Ok(()),
            Some(rank) => Err(Error::Ranks(format!(
                "rank {rank} begins with other weights than rank 0: give all processes the same spec, seed, `--weights` and version"
            ))),
        }
    }
}

/// A file that this process can read.
pub(super) struct Fetched {
    pub path: PathBuf,
    _copy: Option<tempfile::NamedTempFile>,
}

impl Fetched {
    fn own(path: PathBuf) -> Self {
        Fetched { path, _copy: None }
    }

    fn written(bytes: &[u8]) -> Result<Self> {
        let wrong = Error::io(Path::new("the copy of rank 0's checkpoint"));
        let written = tempfile::NamedTempFile::new().and_then(|file| {
            std::fs::write(file.path(), bytes)?;
            Ok(file)
        });
        let copy = written.map_err(wrong)?;
        Ok(Fetched { path: copy.path().to_owned(), _copy: Some(copy) })
    }
}

/// The mean over ranks, in their order, in double precision; weights are not all zero.
fn mean_of(ranks: &Collective, own: ParamStore, weight: f32) -> Result<ParamStore> {
    let mut flat = vec![weight];
    own.iter().for_each(|(_, tensor)| flat.extend(&tensor.data));
    let all: Vec<f32> = bytemuck::pod_collect_to_vec(&ranks.gather(bytemuck::cast_slice(&flat))?);
    let total: f64 = all.chunks_exact(flat.len()).map(|theirs| f64::from(theirs[0])).sum();
    let mean = |index: usize| {
        // A rank that does not count may have anything.
        let theirs = all.chunks_exact(flat.len()).filter(|theirs| theirs[0] > 0.0);
        theirs.map(|theirs| f64::from(theirs[0]) / total * f64::from(theirs[index])).sum::<f64>() as f32
    };
    let (mut means, mut at) = (ParamStore::new(), 1);
    for (name, tensor) in own.iter() {
        let data = (at..at + tensor.data.len()).map(mean).collect();
        at += tensor.data.len();
        means.insert(name, tensor.shape.clone(), data);
    }
    Ok(means)
}
