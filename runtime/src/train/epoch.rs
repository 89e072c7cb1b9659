//! One epoch: its steps, and what follows them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use resnetc_compiler::spec::train::{Schedule, TrainConfig};

use super::average::Average;
use super::event::{Event, StepEvent};
use super::material::Material;
use super::pass::Pass;
use super::teacher::ask;
use super::team::Share;
use super::trainer::{Pace, Trainer};
use super::updates::Updates;
use crate::data::Source;
use crate::data::batch::Batch;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Turn, repeated};
use crate::device::Until;
use crate::error::{NotFinite, Result};
use crate::evaluation::Evaluation;
use crate::exec::{RunArgs, StepResult};
use crate::metrics::{EpochRecord, Sums};
use crate::optim::lr_at;

/// Tells of the pictures that could not be read.
fn tell_faults(source: &dyn Source, observe: &mut dyn FnMut(Event<'_>)) {
    source.take_faults().iter().for_each(|text| observe(Event::Unreadable { text }));
}

/// What an evaluation found.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the weights as they are trained.
    weights: Evaluation,
    /// Of their average.
    average: Option<Evaluation>,
}

impl Found {
    /// What decides which evaluation is the best, and when evaluations get no better: the average's, where there is one.
    fn counts(&self) -> &Evaluation {
        self.average.as_ref().unwrap_or(&self.weights)
    }
}

impl Trainer {
    /// What is left of the current epoch; false where the stop flag ended it early.
    pub(super) fn epoch(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let number = self.progress.epoch;
        observe(Event::EpochStarted { epoch: number + 1 });
        let Material { transform, form, .. } = self.materials.of(number, &self.config);
        let epoch = Epoch {
            epoch: number,
            order: self.order(number),
            batch_size: self.network.batch_size(),
            first_step: self.progress.step,
            form: *form,
        };
        let source = Arc::clone(&self.dataset.train);
        let mut loader = Loader::start(source, Arc::clone(transform), epoch, self.options.workers)?;
        let mut pass = Pass::begin();
        loop {
            let asked = Instant::now();
            let next = loader.next_batch();
            pass.waited += asked.elapsed();
            let (step, mut batch) = match next {
                Ok(Some(next)) => next,
                Ok(None) => break,
                // What was submitted counts: the state that is saved has to be that of a known step.
                Err(error) => {
                    return Err(self.collect(Until::All, &mut pass, observe).err().unwrap_or(error));
                }
            };
            tell_faults(&*self.dataset.train, observe);
            pass.submitted.push((step, self.updates().images(step)));
            self.submit(step, &mut batch).map_err(|error| pass.failed_in(error, self.progress.epoch))?;
            loader.recycle(step, batch);
            if self.ends_with(step, &mut pass, observe)? {
                return Ok(false);
            }
        }
        self.end_steps();
        self.close_epoch(pass.pace(), observe)
    }

    /// Collects what is to be collected behind a batch, and makes ranks one where they meet; whether the epoch ends here, as the stop flag
    /// asked for.
    fn ends_with(
        &mut self,
        step: usize,
        pass: &mut Pass,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool> {
        let updates = self.updates();
        let (last, ends) = (step + 1 == updates.batches(), updates.ends(step));
        let meets = updates.is_local() && updates.syncs(step);
        if pass.submitted.len() >= self.network.exec.depth() {
            self.collect(Until::Room, pass, observe)?;
        }
        // What was told may have asked for an end, too.
        if last || meets || self.stopped() {
            self.collect(Until::All, pass, observe)?;
        }
        if meets {
            self.synchronize(step)?;
        }
        // An update that has begun is made.
        Ok(!last && ends && self.stopped())
    }

    /// `[height, width]` of the images of an epoch, counted from 0, where it is not that of all epochs.
    fn told_size(&self, epoch: usize) -> Option<[usize; 2]> {
        self.config.progressive_resizing.map(|_| self.materials.of(epoch, &self.config).size)
    }

    /// Which picture comes when in an epoch.
    fn order(&self, epoch: usize) -> Vec<Turn> {
        let TrainConfig { seed, repeats, .. } = self.config;
        let mut turns =
            repeated(self.dataset.train.len(), seed, epoch as u64, self.team.rank(), repeats as u32);
        self.fill_up(&mut turns);
        turns
    }

    /// Gives a rank that has no image in the last batch its first one once more, which has no share in the update: all ranks make as many
    /// steps.
    pub(super) fn fill_up(&self, turns: &mut Vec<Turn>) {
        let short = turns.len().div_ceil(self.network.batch_size()) < self.updates().batches();
        turns.extend(turns.first().copied().filter(|_| short));
    }

    /// Whether an end was asked for, and all ranks know it.
    pub(super) fn stopped(&self) -> bool {
        if self.team.size() == 1 { self.options.stop.load(Ordering::Relaxed) } else { self.agreed }
    }

    /// Batches and updates of an epoch.
    pub(super) fn updates(&self) -> Updates {
        Updates::new(&self.config, self.network.batch_size(), self.dataset.train.len(), self.team.rank())
    }

    /// The learning rate of an update; both count from 0.
    pub(super) fn lr_of(&self, epoch: usize, update: usize) -> f32 {
        let reduced = match &self.config.schedule {
            Schedule::Plateau(plateau) => self.progress.reductions.factor(plateau),
            _ => 1.0,
        };
        let updates = self.updates().count();
        lr_at(&self.config, epoch * updates + update, updates, reduced)
    }

    /// Forward, backward and, where the batch ends one, update: hands them over to the device.
    fn submit(&mut self, step: usize, batch: &mut Batch) -> Result<()> {
        ask(self.teacher.as_mut(), batch)?;
        let (updates, epoch) = (self.updates(), self.progress.epoch);
        let &Material { size, form, .. } = self.materials.of(epoch, &self.config);
        let index = self.network.step_for(size, batch.labels.len(), updates.ends(step))?;
        let update = updates.of(step);
        let args = RunArgs {
            lr: self.lr_of(epoch, update),
            seed: self.config.seed,
            step: (epoch * updates.batches() + step) as u64,
            update: (epoch * updates.count() + update) as u64,
            share: updates.share(step),
            decay: self.decay_of(epoch, update),
        };
        self.team.at_step(args.step);
        let aside = self.set_aside(step)?;
        self.apart = updates.is_local();
        self.network.exec.submit(index, batch, form, &args)?;
        aside.put_back(&self.network.exec)
    }

    /// Waits for batches that were submitted, and tells other ranks of them where they meet.
    fn collect(&mut self, until: Until, pass: &mut Pass, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let collected = self.network.exec.collect(until);
        let collected = collected.map_err(|error| pass.failed_in(error, self.progress.epoch))?;
        let results: Vec<StepResult> = StepResult::all(collected).collect();
        let updates = self.updates();
        let done: Vec<(usize, usize)> = pass.submitted.drain(..results.len()).collect();
        for ((step, images), result) in done.into_iter().zip(results) {
            pass.untold.push((step, Share { result, images }));
            if updates.tells(step) {
                self.meet(pass, observe)?;
            }
        }
        Ok(())
    }

    /// Finds what batches came to on all ranks, and tells of each update that they end; their losses are finite.
    fn meet(&mut self, pass: &mut Pass, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let (epoch, updates) = (self.progress.epoch, self.updates());
        let (steps, own): (Vec<usize>, Vec<Share>) = pass.untold.drain(..).unzip();
        let (all, stop) = self.team.shares(&own, self.options.stop.load(Ordering::Relaxed))?;
        self.agreed |= stop;
        for (step, shares) in steps.into_iter().zip(all) {
            self.progress.step = step + 1;
            for Share { result: StepResult { loss, correct }, images } in shares {
                if images == 0 {
                    continue;
                }
                if !loss.is_finite() {
                    return Err(self.diverged(NotFinite::Loss(loss)));
                }
                self.progress.sums.add(loss, correct as u64, images);
                pass.update.add(loss, correct as u64, images);
                pass.images += images;
            }
            if !updates.ends(step) {
                continue;
            }
            let update = updates.of(step);
            let step = StepEvent {
                epoch: epoch + 1,
                step: update + 1,
                steps: updates.count(),
                loss: std::mem::take(&mut pass.update).mean_loss() as f32,
                mean_loss: self.progress.sums.mean_loss(),
                lr: self.lr_of(epoch, update),
                size: self.told_size(epoch),
                images_per_second: pass.images as f64 / pass.start.elapsed().as_secs_f64(),
            };
            self.records.step(&step)?;
            observe(Event::Step(step));
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
        epoch == self.config.epochs
            || self.options.pause_after == Some(epoch)
            || epoch.is_multiple_of(every.max(1))
    }

    /// Saves where it is time to, evaluates, writes the log, and saves what came of it; false where the stop flag ended that.
    ///
    /// The weights are saved first: whatever goes wrong later, the epoch's work is not lost.
    pub(super) fn close_epoch(&mut self, pace: Pace, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let Some(sums) = self.progress.open else { return Ok(true) };
        let evaluate = self.due(self.config.evaluate_every);
        self.team.share_statistics(&self.network.exec)?;
        if evaluate || self.due(self.config.checkpoint_every) {
            self.save_last(observe)?;
        }
        let (mut test, mut best, started) = (None, false, Instant::now());
        if evaluate {
            let Some(found) = self.evaluate()? else { return Ok(false) };
            tell_faults(&*self.dataset.test, observe);
            best = self.judge(&found, observe)?;
            test = Some(found);
        }
        let record = EpochRecord {
            evaluation_seconds: evaluate.then(|| started.elapsed().as_secs_f64()),
            ..self.record(&sums, test.as_ref(), pace)
        };
        // The log before the checkpoint that says it is written: a resumed training cuts what is beyond its checkpoint, but
        // cannot write what is missing.
        if self.team.writes() {
            self.log.append(&record)?;
        }
        self.records.epoch(&record, self.progress.epoch * self.updates().count())?;
        self.progress.open = None;
        observe(Event::EpochDone(&record));
        if let Some(found) = test {
            self.watch(&found.counts().sums, observe);
        }
        self.save_epoch(best, observe)?;
        Ok(true)
    }

    /// Evaluates the weights, and their average where one is kept; `None` where the stop flag ended it.
    fn evaluate(&mut self) -> Result<Option<Found>> {
        let stop = Arc::clone(&self.options.stop);
        let Some(weights) = self.evaluator.assess_as(&self.network.exec, &stop)? else { return Ok(None) };
        let average = match self.average()? {
            Average::None => return Ok(Some(Found { weights, average: None })),
            Average::Stopped => return Ok(None),
            Average::Of(average) => self.evaluator.assess_until(&average, &stop)?,
        };
        Ok(average.map(|average| Found { weights, average: Some(average) }))
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
    fn judge(&mut self, found: &Found, observe: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        for Evaluation { sums, .. } in std::iter::once(&found.weights).chain(&found.average) {
            if !sums.loss.is_finite() {
                return Err(self.diverged(NotFinite::Evaluation(sums.mean_loss())));
            }
        }
        let (epoch, evaluation) = (self.progress.epoch, found.counts());
        let best = self.progress.best.is_none_or(|before| evaluation.sums.correct > before.correct);
        if best {
            self.progress.best = Some(evaluation.sums);
        }
        self.records.evaluated(evaluation, self.evaluator.source(), best)?;
        let average = found.average.as_ref().map(|average| average.sums);
        observe(Event::Evaluated { epoch, sums: found.weights.sums, average, best, evaluation });
        Ok(best)
    }

    fn record(&self, sums: &Sums, test: Option<&Found>, pace: Pace) -> EpochRecord {
        let Pace { seconds, waited, images } = pace;
        let epoch = self.progress.epoch;
        let average = test.and_then(|found| found.average.as_ref());
        EpochRecord {
            epoch,
            lr: self.lr_of(epoch - 1, self.updates().count() - 1),
            size: self.told_size(epoch - 1),
            train_loss: sums.mean_loss(),
            train_accuracy: sums.accuracy(),
            test_accuracy: test.map(|found| found.weights.sums.accuracy()),
            test_loss: test.map(|found| found.weights.sums.mean_loss()),
            average_accuracy: average.map(|average| average.sums.accuracy()),
            average_loss: average.map(|average| average.sums.mean_loss()),
            test_metrics: test.map(|found| found.weights.metrics()),
            average_metrics: average.map(Evaluation::metrics),
            seconds,
            data_seconds: waited,
            evaluation_seconds: None,
            images_per_second: if seconds > 0.0 { images as f64 / seconds } else { 0.0 },
        }
    }
}
