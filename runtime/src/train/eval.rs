//! Evaluation: the folded inference plan over all pictures of a source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resnetc_compiler::plan::Plan;
use resnetc_compiler::spec::preprocess::Preprocess;
use resnetc_compiler::spec::train::Normalize;

use super::batches::BatchExecutor;
use super::fit::{check_fit, input_size};
use crate::data::Source;
use crate::data::batch::Form;
use crate::data::loader::{Epoch, Loader};
use crate::data::order::{Rank, sequential};
use crate::data::transform::Transform;
use crate::device::Until;
use crate::error::Result;
use crate::exec::{Executor, RunArgs};
use crate::metrics::Sums;
use crate::weights::ParamStore;

/// Classifies a source's pictures with a network's weights. Has a device of its own: folded tensors are not the trained ones.
pub struct Evaluator {
    network: BatchExecutor,
    source: Arc<dyn Source>,
    transform: Arc<Transform>,
    /// How the device takes images.
    form: Form,
    /// Width of the logits.
    classes: usize,
    workers: usize,
}

impl Evaluator {
    /// Classifies with inference plans, loaded for as many images as the source has. Pictures are normalised, not
    /// changed; those that come in different sizes are fitted and normalised as `preprocess` says, where that is given.
    ///
    /// # Errors
    /// Where the images do not fit the network.
    pub fn new(
        mut network: BatchExecutor,
        source: Arc<dyn Source>,
        (normalize, preprocess): (&Normalize, Option<&Preprocess>),
        workers: usize,
    ) -> Result<Self> {
        let size = input_size(network.plan())?;
        let transform = match preprocess.filter(|_| source.any_size()) {
            Some(preprocess) => Transform::new(size, &preprocess.normalize, &[], 0)?.fitting(preprocess),
            None => Transform::new(size, normalize, &[], 0)?,
        };
        check_fit(network.plan(), &*source, transform.frames())?;
        let transform = Arc::new(transform);
        let form = network.exec.prepare_images(&transform.preparation(&*source))?;
        let classes = network.exec.classes();
        Ok(Evaluator { network, source, transform, form, classes, workers })
    }

    /// What is evaluated on.
    pub fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// The plan of the full batch.
    pub fn plan(&self) -> &Plan {
        self.network.plan()
    }

    /// Sums of the cross-entropy (without label smoothing) and of right answers over all images; `progress` hears the
    /// number of images done.
    ///
    /// # Errors
    /// Where the weights are another network's; the device's.
    pub fn evaluate(&mut self, params: &ParamStore, progress: &mut dyn FnMut(usize)) -> Result<Sums> {
        self.network.exec.load_params(params)?;
        let mut go_on = |images| {
            progress(images);
            true
        };
        Ok(self.classify(&mut go_on)?.expect("nothing stops it"))
    }

    /// The same with the weights that another network of the same spec has on its device; `None` where the flag was set.
    pub(super) fn evaluate_as(&mut self, network: &Executor, stop: &AtomicBool) -> Result<Option<Sums>> {
        self.network.exec.copy_params(network)?;
        self.classify(&mut |_| !stop.load(Ordering::Relaxed))
    }

    /// Sums over all images, unless `go_on`, which hears the number of images done, says no before the end.
    fn classify(&mut self, go_on: &mut dyn FnMut(usize) -> bool) -> Result<Option<Sums>> {
        let epoch = Epoch {
            epoch: 0,
            order: sequential(self.source.len(), Rank::ONLY),
            batch_size: self.network.batch_size(),
            first_step: 0,
            form: self.form,
        };
        let (steps, source) = (epoch.steps(), Arc::clone(&self.source));
        let mut loader = Loader::start(source, Arc::clone(&self.transform), epoch, self.workers)?;
        let (mut sums, mut labels) = (Sums::default(), Vec::new());
        while let Some((step, batch)) = loader.next_batch()? {
            let index = self.network.plan_for(batch.labels.len());
            self.network.exec.submit(index, &batch, self.form, &RunArgs::default())?;
            labels.push(batch.labels.clone());
            loader.recycle(step, batch);
            let until = match step + 1 == steps {
                true => Until::All,
                false if labels.len() >= self.network.exec.depth() => Until::Room,
                false => continue,
            };
            score_all(self.network.exec.collect(until)?, self.classes, &mut labels, &mut sums);
            if !go_on(sums.images as usize) {
                // What is under way must not be taken for the next evaluation's.
                self.network.exec.collect(Until::All)?;
                return Ok(None);
            }
        }
        Ok(Some(sums))
    }
}

/// Scores the first batches' logits, and takes their labels away.
fn score_all(mut logits: &[f32], classes: usize, labels: &mut Vec<Vec<u32>>, sums: &mut Sums) {
    let mut done = 0;
    while !logits.is_empty() {
        let (batch, rest) = logits.split_at(labels[done].len() * classes);
        score(batch, &labels[done], sums);
        (logits, done) = (rest, done + 1);
    }
    labels.drain(..done);
}

/// Adds each image's `log(sum(exp(logits))) - logits[label]`, and whether the label has the largest logit (the first of
/// equal ones, as PyTorch's argmax). `logits` is `[labels.len()][classes]`.
fn score(logits: &[f32], labels: &[u32], sums: &mut Sums) {
    let classes = logits.len() / labels.len().max(1);
    for (row, &label) in logits.chunks_exact(classes.max(1)).zip(labels) {
        let mut top = 0;
        for (class, value) in row.iter().enumerate() {
            if *value > row[top] {
                top = class;
            }
        }
        let shift = f64::from(row[top]);
        let total: f64 = row.iter().map(|&v| (f64::from(v) - shift).exp()).sum();
        sums.loss += total.ln() + shift - f64::from(row[label as usize]);
        sums.correct += u64::from(top == label as usize);
        sums.images += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_the_formulas() {
        let mut sums = Sums::default();
        // Softmax of (0, ln 3) is (1/4, 3/4); of (1000, 1000) a half each, without overflow.
        score(&[0.0, 3f32.ln(), 1000.0, 1000.0], &[0, 0], &mut sums);
        assert!((sums.loss - (4f64.ln() + 2f64.ln())).abs() < 1e-6, "{}", sums.loss);
        assert_eq!((sums.correct, sums.images), (1, 2));
    }
}
