//! When a training saves, under which names, and what it keeps.

use std::path::PathBuf;

use super::event::Event;
use super::folder::{BEST, LAST, epoch_file};
use super::health;
use super::trainer::Trainer;
use crate::checkpoint::Checkpoint;
use crate::error::{Divergence, Error, NotFinite, Result};
use crate::weights::file::{write_atomic, write_atomic_after};

impl Trainer {
    /// Writes the state under each of these names; returns the path of the last one.
    ///
    /// # Errors
    /// [`Error::Diverged`] where the state is not finite: nothing is written then. The device's and the disk's.
    pub(super) fn save(&mut self, names: &[String], observe: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        if !self.team.writes() {
            self.network.exec.give_optimizer()?;
            self.saved = Some(self.place());
            return Ok(self.folder.path.join(LAST));
        }
        let bytes = self.state()?.to_bytes()?;
        // Before the checkpoint that stands for them, as the log is; but where that fails the checkpoint still counts.
        let recorded = self.records.flush();
        let mut path = PathBuf::new();
        for name in names {
            path = self.folder.path.join(name);
            if self.folder.replaces() {
                // The other training goes when this one's bytes are on the disk, and not before.
                write_atomic_after(&path, &bytes, || self.folder.clear(&path))?;
            } else {
                write_atomic(&path, &bytes)?;
            }
            observe(Event::Saved { path: &path });
        }
        self.log.begin()?;
        self.records.begin()?;
        self.last_good = Some(path.clone());
        self.saved = Some(self.place());
        recorded.map(|()| path)
    }

    /// Writes the last checkpoint unless that was just done; returns its path.
    pub(super) fn save_last(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        match self.saved == Some(self.place()) {
            true => Ok(self.folder.path.join(LAST)),
            false => self.save(&[LAST.to_owned()], observe),
        }
    }

    /// The whole state as it is now, of finite numbers.
    fn state(&self) -> Result<Checkpoint> {
        let mut progress = self.progress.clone();
        progress.threads = self.options.threads;
        progress.averaged = self.has_average();
        let params = self.network.exec.store_params()?;
        let optimizer = self.network.exec.store_optimizer()?;
        let checkpoint = Checkpoint { progress, params, optimizer };
        match health::examine(&checkpoint, self.network.plan()) {
            Some(what) => Err(self.diverged(what)),
            None => Ok(checkpoint),
        }
    }

    /// The error of numbers that are not finite after the steps done.
    pub(super) fn diverged(&self, what: NotFinite) -> Error {
        let updates = self.updates();
        let (epoch, step) = match (self.progress.epoch, self.progress.step) {
            (0, 0) => (1, 0),
            (epoch, 0) => (epoch, updates.count()),
            (epoch, step) => (epoch + 1, updates.of(step - 1) + 1),
        };
        Error::Diverged(Box::new(Divergence {
            what,
            epoch,
            step,
            lr: self.lr_of(epoch - 1, step.saturating_sub(1)),
            warmup: self.config.warmup.is_some(),
            last_good: self.last_good.clone(),
        }))
    }

    /// Saves the state after an epoch that is evaluated and logged, under all names that are due.
    pub(super) fn save_epoch(&mut self, best: bool, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let (epoch, keep) = (self.progress.epoch, self.config.keep);
        let checkpoint = self.due(self.config.checkpoint_every) || self.ends_early();
        let periodic = keep.every.is_some_and(|every| epoch.is_multiple_of(every));
        let mut names = Vec::new();
        if best && keep.best {
            names.push(BEST.to_owned());
        }
        if periodic || (checkpoint && keep.last > 0) {
            names.push(epoch_file(epoch));
        }
        if checkpoint || !names.is_empty() {
            names.push(LAST.to_owned());
            self.save(&names, observe)?;
        }
        if checkpoint && keep.last > 0 {
            self.forget_oldest()?;
        }
        Ok(())
    }

    /// Removes the checkpoint of the epoch that is not among the last ones to be kept any more.
    fn forget_oldest(&self) -> Result<()> {
        let (every, keep) = (self.config.checkpoint_every.max(1), self.config.keep);
        let epoch = self.progress.epoch;
        // The epochs before this one that left a checkpoint, newest first.
        let newest = (epoch - 1) / every * every;
        let oldest = newest.saturating_sub((keep.last - 1).saturating_mul(every));
        let periodic = keep.every.is_some_and(|every| oldest.is_multiple_of(every));
        if oldest == 0 || periodic || !self.team.writes() { Ok(()) } else { self.folder.forget(oldest) }
    }

    /// Saves what was done before an error, if that is worth anything, and says so in the error.
    pub(super) fn rescue(&mut self, error: Error, observe: &mut dyn FnMut(Event<'_>)) -> Error {
        // After these the device's memory is not to be trusted. One process saves for all, where all have the same, which it has not where each
        // has a part of the state.
        let alone = !self.network.exec.is_sharded() && !self.apart;
        let failed = matches!(error, Error::Diverged(_) | Error::Device(_) | Error::Ranks(_));
        if !self.team.writes() || !alone || failed {
            return error;
        }
        match self.save_last(observe) {
            Ok(checkpoint) => Error::Saved { error: Box::new(error), checkpoint },
            Err(_) => error,
        }
    }
}
