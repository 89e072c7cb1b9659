//! Ranks that update by their own gradients (local SGD; Stich 2019): what they do to be one again, and what a rank without images keeps.

use super::trainer::Trainer;
use crate::error::Result;
use crate::exec::Executor;
use crate::weights::ParamStore;

/// What a batch without an image that counts must not change.
pub(super) enum Aside {
    /// It has images that count.
    Nothing,
    /// Running statistics: their image has no share in the update.
    Statistics(ParamStore),
    /// All: the update is made by other ranks alone.
    All { params: ParamStore, optimizer: ParamStore },
}

impl Aside {
    /// Makes it what it was.
    pub fn put_back(self, exec: &Executor) -> Result<()> {
        match self {
            Aside::Nothing => Ok(()),
            Aside::Statistics(statistics) => exec.load_statistics(&statistics),
            Aside::All { params, optimizer } => {
                exec.load_params(&params)?;
                exec.load_optimizer(&optimizer)
            }
        }
    }
}

impl Trainer {
    /// Keeps what a batch must not change.
    pub(super) fn set_aside(&self, step: usize) -> Result<Aside> {
        let (updates, exec) = (self.updates(), &self.network.exec);
        if updates.skips(step) {
            let (params, optimizer) = (exec.store_params()?, exec.store_optimizer()?);
            return Ok(Aside::All { params, optimizer });
        }
        match updates.images(step) == 0 && !self.config.parallel.sync_bn {
            true => Ok(Aside::Statistics(exec.store_statistics()?)),
            false => Ok(Aside::Nothing),
        }
    }

    /// Behind a batch of an update, whose results are collected: makes ranks one. Running statistics too, so that a training that goes on
    /// from here is the one that never stopped.
    pub(super) fn synchronize(&mut self, step: usize) -> Result<()> {
        let weight = self.updates().weight(step);
        self.network.synchronize(weight)?;
        self.team.share_statistics(&self.network.exec)?;
        self.apart = false;
        Ok(())
    }
}
