//! Evaluation: the folded inference plan over a split.

use std::sync::Arc;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;

use super::Backend;
use crate::data::Split;
use crate::data::loader::{Epoch, Loader};
use crate::data::transform::Transform;
use crate::error::Result;
use crate::exec::{Executor, RunArgs};
use crate::metrics::Sums;
use crate::weights::ParamStore;

/// Classifies a split with a network's weights. Has a device of its own: folded tensors are not the trained ones.
pub struct Evaluator {
    exec: Executor,
    split: Arc<Split>,
    transform: Arc<Transform>,
    batches: Batches,
    workers: usize,
}

/// The full batch and, where the images do not divide, a plan for the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batches {
    pub full: usize,
    partial: Option<usize>,
}

impl Batches {
    /// Compiles and loads the plans that `images` need at `batch_size`: the first is the executor's plan 0.
    pub fn load(
        backend: &mut Backend<'_>,
        mode: Mode,
        images: usize,
        batch_size: usize,
    ) -> Result<(Executor, Self)> {
        let full = batch_size.min(images).max(1);
        let mut exec = Executor::new((backend.device)()?, (backend.compile)(mode, full)?)?;
        let partial = match images % full {
            0 => None,
            rest => Some(exec.add((backend.compile)(mode, rest)?)?),
        };
        Ok((exec, Batches { full, partial }))
    }

    /// The executor's plan for that many images: one of the two.
    pub fn plan_for(&self, images: usize) -> usize {
        match self.partial {
            Some(index) if images != self.full => index,
            _ => 0,
        }
    }
}

impl Evaluator {
    /// Compiles for inference and loads; the transform has to be one without random changes.
    pub fn new(
        backend: &mut Backend<'_>,
        split: Arc<Split>,
        transform: Arc<Transform>,
        batch_size: usize,
        workers: usize,
    ) -> Result<Self> {
        let (exec, batches) = Batches::load(backend, Mode::Infer, split.len(), batch_size)?;
        super::check_fit(exec.plan(0), &split)?;
        Ok(Evaluator { exec, split, transform, batches, workers })
    }

    /// The plan of the full batch.
    pub fn plan(&self) -> &Plan {
        self.exec.plan(0)
    }

    /// Sums of the cross-entropy (without label smoothing) and of right answers over all images; `progress` hears the
    /// number of images done.
    pub fn evaluate(&mut self, params: &ParamStore, progress: &mut dyn FnMut(usize)) -> Result<Sums> {
        self.exec.load_params(params)?;
        let epoch = Epoch {
            epoch: 0,
            order: (0..self.split.len() as u32).collect(),
            batch_size: self.batches.full,
            first_step: 0,
        };
        let mut loader =
            Loader::start(Arc::clone(&self.split), Arc::clone(&self.transform), epoch, self.workers)?;
        let mut sums = Sums::default();
        while let Some((step, batch)) = loader.next_batch() {
            let index = self.batches.plan_for(batch.labels.len());
            self.exec.set_input_nhwc(index, &batch.images)?;
            self.exec.run(index, &RunArgs::default(), None)?;
            score(&self.exec.output(index, "logits")?, &batch.labels, &mut sums);
            progress(sums.images as usize);
            loader.recycle(step, batch);
        }
        Ok(sums)
    }
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
