//! How a training's images come, in each size that they have.

use std::sync::Arc;

use resnetc_compiler::spec::preprocess::Preprocess;
use resnetc_compiler::spec::train::TrainConfig;

use super::batches::BatchExecutor;
use super::fit::{check_fit, input_size};
use crate::data::Dataset;
use crate::data::batch::Form;
use crate::data::transform::Transform;
use crate::error::{Error, Result};

/// How images of one size come.
pub(super) struct Material {
    /// `[height, width]` of the images.
    pub size: [usize; 2],
    /// Augmentation and normalisation.
    pub transform: Arc<Transform>,
    /// How the device takes images.
    pub form: Form,
}

/// A material for each size that images have in some epoch. The last one has the network's own size.
pub(super) struct Materials {
    /// In the order of the epochs.
    all: Vec<Material>,
}

impl Materials {
    /// Checks that data and network fit, and asks the device how it takes images. Pictures of any size are fitted by `preprocess`.
    pub fn new(
        config: &TrainConfig,
        dataset: &Dataset,
        network: &mut BatchExecutor,
        preprocess: Option<&Preprocess>,
    ) -> Result<Self> {
        if dataset.train.is_empty() || dataset.test.is_empty() {
            return Err(Error::Data(format!("{} has no images to train or to test on", dataset.name)));
        }
        let maker = Maker { config, preprocess: preprocess.filter(|_| dataset.train.any_size()) };
        let full = input_size(network.plan())?;
        let [height, width, _] = full;
        let mut all = Vec::new();
        // The own size first: a device that keeps the pictures keeps them for it.
        for size in config.sizes([height, width]).into_iter().rev() {
            network.check_size(size)?;
            let transform = maker.transform(full, size)?;
            if all.is_empty() {
                check_fit(network.plan(), &*dataset.train, transform.frames())?;
            }
            // A teacher is shown the images, too.
            let form = match transform.on_host() || config.distill.is_some() {
                true => Form::Floats,
                false => network.prepare_images(size, &transform.preparation(&*dataset.train))?,
            };
            all.push(Material { size, transform: Arc::new(transform), form });
        }
        all.reverse();
        Ok(Materials { all })
    }

    /// Images of the network's own size.
    pub fn full(&self) -> &Material {
        self.all.last().expect("the last epoch has images")
    }

    /// The images of an epoch, counted from 0.
    pub fn of(&self, epoch: usize, config: &TrainConfig) -> &Material {
        let size = config.size_in(epoch, self.full().size);
        self.all.iter().find(|material| material.size == size).unwrap_or_else(|| self.full())
    }
}

/// What the transforms of all sizes have in common.
struct Maker<'a> {
    config: &'a TrainConfig,
    /// Where pictures have any size.
    preprocess: Option<&'a Preprocess>,
}

impl Maker<'_> {
    /// Pictures of any size are cut to the size of the epoch, and changed in it. Others are changed as they are and then shrunk. A teacher
    /// sees images of the network's own size, so that all are made in it where there is one.
    fn transform(&self, full: [usize; 3], size: [usize; 2]) -> Result<Transform> {
        let own = [full[0], full[1]];
        let whole = self.made_in(own, full)?;
        if size == own {
            return Ok(whole);
        }
        match whole.frames() && self.config.distill.is_none() {
            true => self.made_in(size, full),
            false => Ok(whole.shrinking(size)),
        }
    }

    fn made_in(&self, size: [usize; 2], [height, width, channels]: [usize; 3]) -> Result<Transform> {
        let TrainConfig { normalize, augment, seed, mix, .. } = self.config;
        let transform = Transform::new([size[0], size[1], channels], normalize, augment, *seed)?.mixing(*mix);
        Ok(match self.preprocess {
            Some(preprocess) => transform.fitting(&preprocess.scaled([height, width], size)),
            None => transform,
        })
    }
}
