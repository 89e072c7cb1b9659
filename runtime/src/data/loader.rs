//! Batches, prepared by worker threads ahead of the step that wants them.
//!
//! Step `s` is prepared by worker `s % workers`, each with its own bounded queue, so batches come in order without any
//! sorting; used buffers travel back, so nothing is allocated after the first rounds. What is in a batch depends on
//! `(seed, epoch, picture, repeat)` only, never on the number of workers.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use super::batch::{Batch, Form};
use super::order::Turn;
use super::source::Source;
use super::transform::{Transform, Workspace};
use crate::error::{Error, Result};

/// Batches that a worker may have ready, beyond the one it works on.
const AHEAD: usize = 2;

/// Which images, in which order.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// Number of the epoch: selects the random changes.
    pub epoch: usize,
    /// Which picture comes when.
    pub order: Vec<Turn>,
    /// Images per step; the last step has what is left.
    pub batch_size: usize,
    /// Steps to pass over: those done before an interruption.
    pub first_step: usize,
    /// How images come.
    pub form: Form,
}

impl Epoch {
    /// Steps of the whole epoch, those passed over included.
    pub fn steps(&self) -> usize {
        self.order.len().div_ceil(self.batch_size)
    }

    /// Positions in `order` of one step.
    fn range(&self, step: usize) -> Range<usize> {
        step * self.batch_size..((step + 1) * self.batch_size).min(self.order.len())
    }
}

/// What every worker reads.
#[derive(Debug)]
struct Work {
    source: Arc<dyn Source>,
    transform: Arc<Transform>,
    epoch: Epoch,
}

/// One worker's ends of its queues.
#[derive(Debug)]
struct Worker {
    ready: Receiver<Result<Batch>>,
    used: Sender<Batch>,
    thread: JoinHandle<()>,
}

/// The batches of one epoch, in order. Dropping it stops its threads, wherever they are.
#[derive(Debug)]
pub struct Loader {
    workers: Vec<Worker>,
    next: usize,
    steps: usize,
}

impl Loader {
    /// Starts the workers (at least one).
    ///
    /// # Errors
    /// [`Error::Device`] where the system gives no thread.
    pub fn start(
        source: Arc<dyn Source>,
        transform: Arc<Transform>,
        epoch: Epoch,
        workers: usize,
    ) -> Result<Self> {
        let (steps, next) = (epoch.steps(), epoch.first_step);
        let count = workers.clamp(1, steps.saturating_sub(next).max(1));
        let work = Arc::new(Work { source, transform, epoch });
        let mut loader = Loader { workers: Vec::with_capacity(count), next, steps };
        for turn in 0..count {
            let (ready_to, ready) = sync_channel(AHEAD);
            let (used, used_from) = channel();
            let work = Arc::clone(&work);
            let thread = std::thread::Builder::new()
                .name(format!("resnetc-data-{turn}"))
                .spawn(move || prepare(&work, next + turn, count, &ready_to, &used_from))
                .map_err(|e| Error::Device(format!("cannot start a data thread: {e}")))?;
            loader.workers.push(Worker { ready, used, thread });
        }
        // `prepare` counts from `first_step`, so worker 0 has the first step.
        loader.workers.rotate_right(next % count);
        Ok(loader)
    }

    /// The next batch with the number of its step within the epoch; `None` at the epoch's end, and after an error.
    ///
    /// # Errors
    /// Where one of its pictures cannot be read or does not fit the network.
    ///
    /// # Panics
    /// If a worker panicked.
    pub fn next_batch(&mut self) -> Result<Option<(usize, Batch)>> {
        if self.next >= self.steps {
            return Ok(None);
        }
        let step = self.next;
        let worker = &self.workers[step % self.workers.len()];
        let batch = worker.ready.recv().expect("a worker ends only after its last step or an error");
        self.next = if batch.is_ok() { step + 1 } else { self.steps };
        Ok(Some((step, batch?)))
    }

    /// Gives a batch's memory back, after [`Loader::next_batch`] gave it for `step`.
    pub fn recycle(&self, step: usize, batch: Batch) {
        // A worker that is done with its last step needs no buffer any more.
        let _ = self.workers[step % self.workers.len()].used.send(batch);
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        for Worker { ready, used, thread } in self.workers.drain(..) {
            // A worker that waits to deliver wakes up when there is nobody to deliver to.
            drop((ready, used));
            let _ = thread.join();
        }
    }
}

/// A worker's life: every `stride`-th step from `first` on, up to one that fails.
fn prepare(
    work: &Work,
    first: usize,
    stride: usize,
    ready: &SyncSender<Result<Batch>>,
    used: &Receiver<Batch>,
) {
    let mut workspace = Workspace::default();
    for step in (first..work.epoch.steps()).step_by(stride) {
        let mut batch = used.try_recv().unwrap_or_default();
        let filled = fill(work, step, &mut batch, &mut workspace);
        let failed = filled.is_err();
        if ready.send(filled.map(|()| batch)).is_err() || failed {
            return;
        }
    }
}

fn fill(work: &Work, step: usize, batch: &mut Batch, workspace: &mut Workspace) -> Result<()> {
    let Work { source, transform, epoch } = work;
    let turns = &epoch.order[epoch.range(step)];
    batch.labels.clear();
    batch.labels.extend(turns.iter().map(|turn| source.label(turn.picture as usize)));
    if epoch.form == Form::Floats {
        let make = |index: usize, out: &mut [f32]| {
            transform.apply(&**source, turns[index], epoch.epoch, workspace, out)
        };
        return transform.fill(batch, [epoch.epoch, step], make);
    }
    batch.pictures.clear();
    let pixels = epoch.form == Form::Pixels;
    turns.iter().try_for_each(|&turn| {
        transform.append(&**source, turn, epoch.epoch, pixels, workspace, &mut batch.pictures)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::order::{Rank, once, repeated, sequential, shuffled};
    use crate::data::shapes10;
    use crate::data::source::tests::Odd;
    use resnetc_compiler::spec::train::{Augment, Mix, Normalize};

    fn normalize() -> Normalize {
        Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] }
    }

    fn loader(len: usize, batch_size: usize, epoch: usize, first_step: usize, workers: usize) -> Loader {
        let set = shapes10::generate(shapes10::Config { train: len, test: 0, seed: 1 });
        let augment =
            [Augment::Crop { padding: 4 }, Augment::Flip { probability: 0.5 }, Augment::Cutout { size: 8 }];
        let transform = Transform::new([32, 32, 3], &normalize(), &augment, 9).expect("three channels");
        let order = once(shuffled(len, 9, epoch as u64, Rank::ONLY));
        let epoch = Epoch { epoch, order, batch_size, first_step, form: Form::Floats };
        Loader::start(set.train, Arc::new(transform), epoch, workers).expect("threads")
    }

    fn all(mut loader: Loader) -> Vec<(usize, Batch)> {
        let mut batches = Vec::new();
        while let Some((step, batch)) = loader.next_batch().expect("every picture can be read") {
            batches.push((step, batch.clone()));
            loader.recycle(step, batch);
        }
        batches
    }

    #[test]
    fn any_number_of_workers_gives_the_same_batches() {
        let one = all(loader(50, 8, 2, 0, 1));
        for workers in [2, 3, 5, 20] {
            assert_eq!(one, all(loader(50, 8, 2, 0, workers)), "{workers} workers");
        }
        assert_ne!(one, all(loader(50, 8, 3, 0, 1)), "another epoch has another order and other changes");
    }

    #[test]
    fn keeps_the_last_partial_batch() {
        let sizes: Vec<usize> = all(loader(50, 8, 0, 0, 2)).iter().map(|(_, b)| b.labels.len()).collect();
        assert_eq!(sizes, [8, 8, 8, 8, 8, 8, 2]);
        assert_eq!(all(loader(16, 8, 0, 0, 1)).len(), 2);
    }

    #[test]
    fn starts_in_the_middle_as_if_it_had_run_from_the_start() {
        let whole = all(loader(50, 8, 1, 0, 2));
        for first in 0..=7 {
            for workers in [1, 2, 3] {
                assert_eq!(whole[first..], all(loader(50, 8, 1, first, workers)), "from {first}, {workers}");
            }
        }
    }

    fn mixed(epoch: usize, first_step: usize, workers: usize) -> Vec<(usize, Batch)> {
        let set = shapes10::generate(shapes10::Config { train: 50, test: 0, seed: 1 });
        let mix = Mix { mixup: 0.8, cutmix: 1.0, probability: 1.0, switch: 0.5, epochs: None };
        let augment = [Augment::Crop { padding: 4 }];
        let transform = Transform::new([32, 32, 3], &normalize(), &augment, 9).expect("three channels");
        let order = once(shuffled(50, 9, epoch as u64, Rank::ONLY));
        let epoch = Epoch { epoch, order, batch_size: 8, first_step, form: Form::Floats };
        all(Loader::start(set.train, Arc::new(transform.mixing(Some(mix))), epoch, workers).expect("threads"))
    }

    #[test]
    fn mixtures_depend_on_epoch_and_step_alone() {
        let whole = mixed(2, 0, 1);
        assert_eq!(whole, mixed(2, 0, 3));
        for first in [1, 4, 6] {
            assert_eq!(whole[first..], mixed(2, first, 2));
        }
        let shares = |batches: &[(usize, Batch)]| -> Vec<f32> {
            batches.iter().map(|(_, batch)| batch.partners.shares[0]).collect()
        };
        assert_ne!(shares(&whole), shares(&mixed(3, 0, 1)));
        for (_, batch) in &whole {
            let others: Vec<u32> = batch.labels.iter().rev().copied().collect();
            assert_eq!((&batch.partners.labels, batch.partners.shares.len()), (&others, batch.labels.len()));
        }
    }

    #[test]
    fn a_repeated_picture_is_changed_otherwise_each_time() {
        let batches = |workers: usize, first_step: usize, form: Form| {
            let set = shapes10::generate(shapes10::Config { train: 30, test: 0, seed: 1 });
            let augment = [Augment::Crop { padding: 4 }, Augment::Cutout { size: 8 }];
            let transform = Transform::new([32, 32, 3], &normalize(), &augment, 9).expect("three channels");
            let order = repeated(30, 9, 4, Rank::ONLY, 3);
            let epoch = Epoch { epoch: 4, order, batch_size: 6, first_step, form };
            all(Loader::start(set.train, Arc::new(transform), epoch, workers).expect("threads"))
        };
        let one = batches(1, 0, Form::Floats);
        assert_eq!(one, batches(3, 0, Form::Floats));
        assert_eq!(one[2..], batches(2, 2, Form::Floats));
        for (_, batch) in &one {
            let images: Vec<_> = batch.images.chunks(32 * 32 * 3).collect();
            for (images, labels) in images.chunks(3).zip(batch.labels.chunks(3)) {
                assert!(labels.iter().all(|label| *label == labels[0]));
                assert!(images[0] != images[1] && images[1] != images[2] && images[0] != images[2]);
            }
        }
        // A device that makes the images itself draws alike.
        for (_, batch) in batches(2, 0, Form::Indices) {
            let edits: Vec<_> = batch.pictures.edits.chunks(2).collect();
            assert!(batch.pictures.indices.chunks(3).all(|same| same[0] == same[1] && same[1] == same[2]));
            assert!(edits.chunks(3).all(|edits| edits[0] != edits[1] && edits[1] != edits[2]));
        }
    }

    #[test]
    fn stops_when_dropped_early() {
        let mut some = loader(200, 4, 0, 0, 3);
        let first = some.next_batch().expect("every picture can be read");
        assert_eq!(first.map(|(step, batch)| (step, batch.labels.len())), Some((0, 4)));
        // Joins the three threads, which wait to deliver: the test would hang if they did not wake up.
        drop(some);
    }

    /// Pictures of 10 rows are what the network takes: number 6 alone.
    #[test]
    fn a_picture_that_does_not_fit_ends_the_epoch_at_its_step() {
        for workers in [1, 2, 5] {
            let transform = Transform::new([10, 5, 3], &normalize(), &[], 0).expect("three channels");
            let epoch = Epoch {
                epoch: 0,
                order: once(vec![6, 6, 6, 3, 6, 6]),
                batch_size: 2,
                first_step: 0,
                form: Form::Floats,
            };
            let source = Arc::new(Odd::new(&["cat", "dog"], 8));
            let mut loader = Loader::start(source, Arc::new(transform), epoch, workers).expect("threads");
            let (step, batch) = loader.next_batch().expect("both fit").expect("three steps");
            assert_eq!((step, batch.labels), (0, vec![0, 0]));
            let error = loader.next_batch().expect_err("picture 3 has 7 rows").to_string();
            assert!(error.starts_with("image 3 of odd is 3x7x5"), "{error}");
            assert!(loader.next_batch().expect("no further error").is_none());
        }
    }

    #[test]
    fn a_broken_picture_is_an_error_of_its_step() {
        let transform = Transform::new([4, 5, 3], &normalize(), &[], 0).expect("three channels");
        let epoch = Epoch {
            epoch: 0,
            order: once(sequential(1, Rank::ONLY)),
            batch_size: 1,
            first_step: 0,
            form: Form::Floats,
        };
        let source = Arc::new(Odd { broken: Some(0), ..Odd::new(&["cat", "dog"], 1) });
        let mut loader = Loader::start(source, Arc::new(transform), epoch, 1).expect("a thread");
        assert_eq!(loader.next_batch().expect_err("it is broken").to_string(), "odd/0.png: cut off");
    }
}
