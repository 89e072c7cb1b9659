//! The network that a training learns from. It sees the very images that are trained on, changed and mixed, as in evaluation: folded, with
//! its running statistics.

use resnetc_compiler::spec::train::Normalize;

use super::batches::BatchExecutor;
use crate::data::batch::Batch;
use crate::engines::Engines;
use crate::error::{Error, Result};
use crate::exec::RunArgs;

/// A trained network, on a device of its own.
pub struct Teacher {
    network: BatchExecutor,
    /// From the training's pixels to the teacher's, a factor and a summand for each channel; none where both are normalised alike.
    pub(super) normalize: Option<Vec<[f32; 2]>>,
    /// `[n][height][width][channels]`
    images: Vec<f32>,
    told: String,
}

impl Teacher {
    /// A network with its weights loaded and plans for the batches of the training. Pixels that are normalised as `trained` are turned into
    /// what `own` makes of them. `told` is what checkpoints call it.
    ///
    /// # Errors
    /// [`Error::Data`] where the normalisations are not of the same channels.
    pub fn new(
        network: BatchExecutor,
        [trained, own]: [&Normalize; 2],
        told: impl Into<String>,
    ) -> Result<Self> {
        let channels = [trained.mean.len(), trained.std.len(), own.mean.len(), own.std.len()];
        if channels.iter().any(|&count| count != channels[0]) {
            return Err(Error::Data(
                "a teacher's pixels have as many channels as those of the training".into(),
            ));
        }
        // ((x * s + m) - m') / s'
        let change = |channel: usize| {
            let [s, m] = [trained.std[channel], trained.mean[channel]].map(f64::from);
            let [own_s, own_m] = [own.std[channel], own.mean[channel]].map(f64::from);
            [(s / own_s) as f32, ((m - own_m) / own_s) as f32]
        };
        let normalize = (trained != own).then(|| (0..channels[0]).map(change).collect());
        Ok(Teacher { network, normalize, images: Vec::new(), told: told.into() })
    }

    /// What checkpoints call it: network, file and a digest of its weights.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// The engines that its device has chosen.
    ///
    /// # Errors
    /// Where the device has failed.
    pub fn engines(&self) -> Result<Engines> {
        self.network.engines()
    }

    /// Width of its logits.
    pub fn classes(&self) -> usize {
        self.network.exec.classes()
    }

    /// Its logits of images `[n][height][width][channels]`, normalised for the training.
    pub(super) fn logits(&mut self, images: &[f32], count: usize) -> Result<Vec<f32>> {
        let index = self.network.plan_for(count);
        let images = match &self.normalize {
            None => images,
            Some(channels) => {
                self.images.clear();
                let pixels = images.chunks_exact(channels.len());
                let turned = pixels.flat_map(|pixel| pixel.iter().zip(channels).map(|(x, [a, b])| x * a + b));
                self.images.extend(turned);
                &self.images
            }
        };
        self.network.exec.set_input_nhwc(index, images)?;
        self.network.exec.run(index, &RunArgs::default(), None)?;
        self.network.exec.output(index, "logits")
    }
}

/// A network to be trained, and who it learns from.
pub struct Pupil {
    pub(super) network: BatchExecutor,
    pub(super) teacher: Option<Teacher>,
}

impl Pupil {
    /// Learns from a teacher, whose plans have the batches of the network's.
    pub fn of(network: BatchExecutor, teacher: Teacher) -> Self {
        Pupil { network, teacher: Some(teacher) }
    }

    /// Where the training plan reads a teacher's logits, there is one, of as many classes.
    pub(super) fn check(self) -> Result<Self> {
        let plan = self.network.plan();
        let classes = plan.teacher.map(|buffer| plan.buffer(buffer).shape.0[1]);
        match (classes, self.teacher.as_ref().map(Teacher::classes)) {
            (Some(wanted), given) if given != Some(wanted) => {
                let given = given.map_or("none is there".to_owned(), |given| format!("it has {given}"));
                let text = format!("`{}` learns from a teacher of {wanted} classes: {given}", plan.name);
                Err(Error::Incompatible(text))
            }
            _ => Ok(self),
        }
    }
}

/// Learns from labels alone.
impl From<BatchExecutor> for Pupil {
    fn from(network: BatchExecutor) -> Self {
        Pupil { network, teacher: None }
    }
}

/// Asks the teacher of a batch, where there is one: what [`Batch::teacher`] is. It sees the images in its own size, whatever they were
/// shrunk to.
pub(super) fn ask(teacher: Option<&mut Teacher>, batch: &mut Batch) -> Result<()> {
    if let Some(teacher) = teacher {
        let images = if batch.whole.is_empty() { &batch.images } else { &batch.whole };
        batch.teacher = teacher.logits(images, batch.labels.len())?;
    }
    Ok(())
}
