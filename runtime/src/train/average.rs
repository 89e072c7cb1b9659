//! The average of the weights: what it keeps of itself at an update, and, of one over epochs, the batch statistics that belong to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::material::Material;
use super::trainer::Trainer;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{once, shuffled};
use crate::device::Until;
use crate::error::Result;
use crate::exec::RunArgs;
use crate::weights::ParamStore;

/// Whether there is an average to be evaluated.
pub(super) enum Average {
    /// Not, or not yet.
    None,
    /// The stop flag was set on the way to it.
    Stopped,
    /// This one.
    Of(ParamStore),
}

impl Trainer {
    /// What the average keeps of itself at an update of an epoch, both counted from 0.
    pub(super) fn decay_of(&self, epoch: usize, update: usize) -> f32 {
        let (updates, config) = (self.updates().count(), &self.config);
        match (config.ema, config.swa) {
            (Some(ema), _) => ema.decay_at((epoch * updates + update) as u64),
            (None, Some(swa)) if update + 1 == updates => swa.decay_after(epoch + 1, config.epochs),
            _ => 1.0,
        }
    }

    /// Whether the average that a checkpoint holds is what is to be used: a moving one from the first update on, one over epochs when
    /// its statistics have been found.
    pub(super) fn has_average(&self) -> bool {
        let (config, progress) = (&self.config, &self.progress);
        match (config.ema, config.swa) {
            (Some(_), _) => (progress.epoch, self.updates().of(progress.step)) != (0, 0),
            (None, Some(_)) => progress.epoch >= config.epochs && progress.open.is_none(),
            (None, None) => false,
        }
    }

    /// The average that is to be evaluated now.
    pub(super) fn average(&mut self) -> Result<Average> {
        let over_epochs = self.config.ema.is_none() && self.config.swa.is_some();
        if over_epochs && self.progress.epoch < self.config.epochs {
            return Ok(Average::None);
        }
        let Some(average) = self.network.exec.store_average()? else { return Ok(Average::None) };
        if !over_epochs {
            return Ok(Average::Of(average));
        }
        Ok(self.with_statistics(average)?.map_or(Average::Stopped, Average::Of))
    }

    /// Gives the average of the weights the statistics that batches have with it. They are written where the average lies. The weights of
    /// the training make room for it, and come back.
    fn with_statistics(&mut self, mut average: ParamStore) -> Result<Option<ParamStore>> {
        let exec = &self.network.exec;
        let (params, optimizer) = (exec.store_params()?, exec.store_optimizer()?);
        let loaded = exec.load_params(&average);
        let found = loaded.and_then(|()| self.batch_statistics());
        let exec = &self.network.exec;
        exec.load_params(&params)?;
        exec.load_optimizer(&optimizer)?;
        let Some(statistics) = found? else { return Ok(None) };
        for (name, tensor) in statistics.iter() {
            average.insert(name, tensor.shape.clone(), tensor.data.clone());
        }
        exec.load_average_statistics(&statistics)?;
        Ok(Some(average))
    }

    /// The means over batches of their means and variances, with the weights that are loaded, over one pass of training images: PyTorch's
    /// `update_bn`. `None` where the stop flag was set.
    pub(super) fn batch_statistics(&mut self) -> Result<Option<ParamStore>> {
        let (updates, number) = (self.updates(), self.config.epochs);
        let &Material { ref transform, form, .. } = self.materials.full();
        let images = self.dataset.train.len();
        let mut order = once(shuffled(images, self.config.seed, number as u64, self.team.rank()));
        self.fill_up(&mut order);
        let epoch =
            Epoch { epoch: number, order, batch_size: self.network.batch_size(), first_step: 0, form };
        let source = Arc::clone(&self.dataset.train);
        let mut loader = Loader::start(source, Arc::clone(transform), epoch, self.options.workers)?;
        let mut means = Means::default();
        while let Some((step, batch)) = loader.next_batch()? {
            let index = self.network.statistics_for(batch.labels.len())?;
            let step_number = (number * updates.batches() + step) as u64;
            let (own, share) = (updates.images(step), updates.share(step));
            let args = RunArgs { seed: self.config.seed, step: step_number, share, ..RunArgs::default() };
            self.team.at_step(step_number);
            self.network.exec.submit(index, &batch, form, &args)?;
            loader.recycle(step, batch);
            self.network.exec.collect(Until::All)?;
            if own > 0 {
                means.add(self.network.exec.store_statistics()?);
            }
            self.agreed |= self.team.any(self.options.stop.load(Ordering::Relaxed))?;
            if self.stopped() {
                return Ok(None);
            }
        }
        let count = means.count as f32;
        self.team.mean(means.finish(), count).map(Some)
    }
}

/// Means of tensors, in double precision.
#[derive(Default)]
struct Means {
    /// The last that were added.
    last: ParamStore,
    sums: Vec<Vec<f64>>,
    count: f64,
}

impl Means {
    fn add(&mut self, tensors: ParamStore) {
        self.sums.resize_with(tensors.len(), Vec::new);
        for ((_, tensor), sums) in tensors.iter().zip(&mut self.sums) {
            sums.resize(tensor.data.len(), 0.0);
            sums.iter_mut().zip(&tensor.data).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        self.count += 1.0;
        self.last = tensors;
    }

    fn finish(self) -> ParamStore {
        let mut means = ParamStore::new();
        for ((name, tensor), sums) in self.last.iter().zip(&self.sums) {
            let mean = sums.iter().map(|sum| (sum / self.count) as f32).collect();
            means.insert(name, tensor.shape.clone(), mean);
        }
        means
    }
}
