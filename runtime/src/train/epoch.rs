//! One epoch: its steps, and what follows them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use resnetc_compiler::spec::train::Schedule;

use super::event::{Event, StepEvent};
use super::teacher::ask;
use super::trainer::{Pace, Trainer};
use crate::data::Source;
use crate::data::batch::Batch;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Rank, shuffled};
use crate::device::Until;
use crate::error::{NotFinite, Result};
use crate::exec::{RunArgs, StepResult};
use crate::metrics::{EpochRecord, Sums};
use crate::optim::lr_at;

/// Tells of the pictures that could not be read.
fn tell_faults(source: &dyn Source, observe: &mut dyn FnMut(Event<'_>)) {
    source.take_faults().iter().for_each(|text| observe(Event::Unreadable { text }));
}

/// What is left of an epoch, while it lasts.
pub(super) struct Pass {
    start: Instant,
    /// Images whose steps have been collected.
    images: usize,
    /// Steps that were submitted and not yet collected, with their images.
    submitted: Vec<(usize, usize)>,
}

impl Trainer {
    /// What is left of the current epoch; false where the stop flag ended it early.
    pub(super) fn epoch(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let number = self.progress.epoch;
        observe(Event::EpochStarted { epoch: number + 1 });
        let epoch = Epoch {
            epoch: number,
            order: shuffled(self.dataset.train.len(), self.config.seed, number as u64, Rank::ONLY),
            batch_size: self.network.batch_size(),
            first_step: self.progress.step,
            form: self.form,
        };
        let source = Arc::clone(&self.dataset.train);
        let mut loader = Loader::start(source, Arc::clone(&self.transform), epoch, self.options.workers)?;
        let mut pass = Pass { start: Instant::now(), images: 0, submitted: Vec::new() };
        loop {
            let (step, mut batch) = match loader.next_batch() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                // What was submitted counts: the state that is saved has to be that of a known step.
                Err(error) => {
                    return Err(self.collect(Until::All, &mut pass, observe).err().unwrap_or(error));
                }
            };
            tell_faults(&*self.dataset.train, observe);
            self.submit(step, &mut batch)?;
            pass.submitted.push((step, batch.labels.len()));
            loader.recycle(step, batch);
            let last = step + 1 == self.steps();
            if pass.submitted.len() >= self.network.exec.depth() {
                self.collect(Until::Room, &mut pass, observe)?;
            }
            // What was told may have asked for an end, too.
            if last || self.stopped() {
                self.collect(Until::All, &mut pass, observe)?;
            }
            if !last && self.stopped() {
                return Ok(false);
            }
        }
        self.end_steps();
        let pace = Pace { seconds: pass.start.elapsed().as_secs_f64(), images: pass.images };
        self.close_epoch(pace, observe)
    }

    /// Whether an end was asked for.
    pub(super) fn stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    /// Steps of an epoch.
    pub(super) fn steps(&self) -> usize {
        self.dataset.train.len().div_ceil(self.network.batch_size())
    }

    /// The learning rate of a step; both count from 0.
    pub(super) fn lr_of(&self, epoch: usize, step: usize) -> f32 {
        let reduced = match &self.config.schedule {
            Schedule::Plateau(plateau) => self.progress.reductions.factor(plateau),
            _ => 1.0,
        };
        lr_at(&self.config, epoch * self.steps() + step, self.steps(), reduced)
    }

    /// Forward, backward, update: hands them over to the device.
    fn submit(&mut self, step: usize, batch: &mut Batch) -> Result<()> {
        ask(self.teacher.as_mut(), batch)?;
        let index = self.network.plan_for(batch.labels.len());
        let number = (self.progress.epoch * self.steps() + step) as u64;
        let args =
            RunArgs { lr: self.lr_of(self.progress.epoch, step), seed: self.config.seed, step: number };
        self.network.exec.submit(index, batch, self.form, &args)
    }

    /// Waits for steps that were submitted, and tells of each; their losses are finite.
    fn collect(&mut self, until: Until, pass: &mut Pass, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let results: Vec<StepResult> = StepResult::all(self.network.exec.collect(until)?).collect();
        let epoch = self.progress.epoch;
        let done = pass.submitted.drain(..results.len());
        for ((step, images), StepResult { loss, correct }) in done.zip(results) {
            self.progress.step = step + 1;
            if !loss.is_finite() {
                return Err(self.diverged(NotFinite::Loss(loss)));
            }
            self.progress.sums.add(loss, correct as u64, images);
            pass.images += images;
            observe(Event::Step(StepEvent {
                epoch: epoch + 1,
                step: step + 1,
                steps: self.steps(),
                loss,
                mean_loss: self.progress.sums.mean_loss(),
                lr: self.lr_of(epoch, step),
                images_per_second: pass.images as f64 / pass.start.elapsed().as_secs_f64(),
            }));
        }
        Ok(())
    }

    /// The epoch's steps are done; its evaluation and its line in the log are still open.
    fn end_steps(&mut self) {
        self.progress.open = Some(std::mem::take(&mut self.progress.sums));
        self.progress.epoch += 1;
        self.progress.step = 0;
    }

    /// Whether what is done every so many epochs is to be done after this one.
    pub(super) fn due(&self, every: usize) -> bool {
        let epoch = self.progress.epoch;
        epoch == self.config.epochs || epoch.is_multiple_of(every.max(1))
    }

    /// Saves where it is time to, evaluates, writes the log, and saves what came of it; false where the stop flag ended that.
    ///
    /// The weights are saved first: whatever goes wrong later, the epoch's work is not lost.
    pub(super) fn close_epoch(&mut self, pace: Pace, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let Some(sums) = self.progress.open else { return Ok(true) };
        let evaluate = self.due(self.config.evaluate_every);
        if evaluate || self.due(self.config.checkpoint_every) {
            self.save_last(observe)?;
        }
        let (mut test, mut best) = (None, false);
        if evaluate {
            let Some(sums) = self.evaluator.evaluate_as(&self.network.exec, &self.options.stop)? else {
                return Ok(false);
            };
            tell_faults(&*self.dataset.test, observe);
            best = self.judge(&sums, observe)?;
            test = Some(sums);
        }
        let record = self.record(&sums, test, pace);
        // The log before the checkpoint that says it is written: a resumed training cuts what is beyond its checkpoint, but
        // cannot write what is missing.
        self.log.append(&record)?;
        self.progress.open = None;
        observe(Event::EpochDone(&record));
        if let Some(sums) = test {
            self.watch(&sums, observe);
        }
        self.save_epoch(best, observe)?;
        Ok(true)
    }

    /// What evaluations bring about that get no better: a lower rate, or the end.
    fn watch(&mut self, sums: &Sums, observe: &mut dyn FnMut(Event<'_>)) {
        let epoch = self.progress.epoch;
        if let Schedule::Plateau(plateau) = &self.config.schedule
            && self.progress.reductions.observe(plateau, sums)
            && epoch < self.config.epochs
        {
            observe(Event::RateReduced { lr: self.lr_of(epoch, 0) });
        }
        if let Some(early) = &self.config.early_stopping {
            self.progress.patience.observe(early, sums);
            self.tell_early_end(observe);
        }
    }

    /// Says so where evaluations end the training before its last epoch.
    pub(super) fn tell_early_end(&self, observe: &mut dyn FnMut(Event<'_>)) {
        if let Some(early) = &self.config.early_stopping
            && self.ends_early()
            && self.progress.epoch < self.config.epochs
        {
            observe(Event::EndsEarly { metric: early.metric, evaluations: self.progress.patience.bad });
        }
    }

    /// Whether evaluations have been no better for too long.
    pub(super) fn ends_early(&self) -> bool {
        self.config.early_stopping.is_some_and(|early| self.progress.patience.is_over(&early))
    }

    /// Whether no evaluation before was as good.
    fn judge(&mut self, sums: &Sums, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        if !sums.loss.is_finite() {
            return Err(self.diverged(NotFinite::Evaluation(sums.mean_loss())));
        }
        let best = self.progress.best.is_none_or(|before| sums.correct > before.correct);
        if best {
            self.progress.best = Some(*sums);
        }
        observe(Event::Evaluated { epoch: self.progress.epoch, sums: *sums, best });
        Ok(best)
    }

    fn record(&self, sums: &Sums, test: Option<Sums>, pace: Pace) -> EpochRecord {
        let Pace { seconds, images } = pace;
        let epoch = self.progress.epoch;
        EpochRecord {
            epoch,
            lr: self.lr_of(epoch - 1, self.steps() - 1),
            train_loss: sums.mean_loss(),
            train_accuracy: sums.accuracy(),
            test_accuracy: test.map(|t| t.accuracy()),
            test_loss: test.map(|t| t.mean_loss()),
            seconds,
            images_per_second: if seconds > 0.0 { images as f64 / seconds } else { 0.0 },
        }
    }
}
