//! What a network answers to all images of a test set, and what is counted of it.
//!
//! An image takes 16 bytes, with two classes 20, however many classes there are: everything but the losses is counted from the
//! answers when it is asked for.

use std::collections::BTreeMap;

use crate::metrics::{Metrics, Sums};

/// Bins of the expected calibration error.
const BINS: usize = 15;
/// Answers that count as right for the top-5 accuracy.
const TOP: usize = 5;

/// The answer to an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The image's class.
    pub label: u32,
    /// The class with the largest logit; the first of equal ones, as PyTorch's argmax.
    pub predicted: u32,
    /// Its softmax probability.
    pub probability: f32,
    /// Whether the label is among the five likeliest classes; of equal logits the first counts.
    pub in_top5: bool,
}

/// How a class fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassCount {
    /// Its images.
    pub images: u64,
    /// Those that were classified right.
    pub right: u64,
    /// Images of all classes that were taken for this one.
    pub predicted: u64,
}

impl ClassCount {
    /// Fraction of its images classified right; `None` without images.
    pub fn recall(&self) -> Option<f64> {
        (self.images > 0).then(|| self.right as f64 / self.images as f64)
    }

    /// `2 right / (images + predicted)`; `None` where both are none.
    fn f1(&self) -> Option<f64> {
        let both = self.images + self.predicted;
        (both > 0).then(|| 2.0 * self.right as f64 / both as f64)
    }
}

/// The answers to all images of a source, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// Losses and right answers.
    pub sums: Sums,
    classes: usize,
    answers: Vec<Answer>,
    /// With two classes: each image's second logit less its first. It orders images as the probability does, without the ties
    /// that a rounded probability has near 0 and 1.
    margins: Vec<f32>,
}

impl Evaluation {
    /// Without images yet; `classes` is the width of the logits.
    pub fn new(classes: usize) -> Self {
        Evaluation { classes, ..Evaluation::default() }
    }

    /// Adds images: `logits` is `[labels.len()][classes]`. A loss is `log(sum(exp(logits))) - logits[label]`.
    ///
    /// # Panics
    /// Where a label is no class, or there are too few logits.
    pub fn add(&mut self, logits: &[f32], labels: &[u32]) {
        assert_eq!(logits.len(), labels.len() * self.classes, "a row of logits for each label");
        for (row, &label) in logits.chunks_exact(self.classes.max(1)).zip(labels) {
            self.add_row(row, label);
        }
    }

    fn add_row(&mut self, row: &[f32], label: u32) {
        let mut top = 0;
        for (class, value) in row.iter().enumerate() {
            if *value > row[top] {
                top = class;
            }
        }
        let (shift, own) = (f64::from(row[top]), row[label as usize]);
        let total: f64 = row.iter().map(|&v| (f64::from(v) - shift).exp()).sum();
        self.sums.loss += total.ln() + shift - f64::from(own);
        self.sums.correct += u64::from(top == label as usize);
        self.sums.images += 1;
        let (before, after) = row.split_at(label as usize);
        let better =
            before.iter().filter(|&&v| v >= own).count() + after.iter().filter(|&&v| v > own).count();
        self.answers.push(Answer {
            label,
            predicted: top as u32,
            probability: (1.0 / total) as f32,
            in_top5: better < TOP,
        });
        if let [first, second] = row {
            self.margins.push(second - first);
        }
    }

    /// Width of the logits.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The answers, in the order of the images.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// Each class by itself.
    pub fn by_class(&self) -> Vec<ClassCount> {
        let mut counts = vec![ClassCount::default(); self.classes];
        for answer in &self.answers {
            counts[answer.label as usize].images += 1;
            counts[answer.label as usize].right += u64::from(answer.label == answer.predicted);
            counts[answer.predicted as usize].predicted += 1;
        }
        counts
    }

    /// The confusion matrix: how many images of a class (the first) were taken for another or the same (the second). Pairs that never
    /// came are not in it.
    pub fn confusion(&self) -> BTreeMap<(u32, u32), u64> {
        let mut cells = BTreeMap::new();
        for answer in &self.answers {
            *cells.entry((answer.label, answer.predicted)).or_default() += 1;
        }
        cells
    }

    /// What is counted of the answers besides the sums.
    pub fn metrics(&self) -> Metrics {
        let counts = self.by_class();
        let top5 = self.answers.iter().filter(|answer| answer.in_top5).count();
        Metrics {
            top5_accuracy: (self.classes > TOP).then(|| ratio(top5 as f64, self.answers.len() as f64)),
            balanced_accuracy: mean(counts.iter().filter_map(ClassCount::recall)),
            macro_f1: mean(counts.iter().filter_map(ClassCount::f1)),
            auroc: self.auroc(),
            calibration_error: self.calibration_error(),
        }
    }

    /// The share of pairs of an image of each class in which the second class's has the larger margin; equal ones count half. By
    /// ranks of the sorted margins (Mann and Whitney 1947).
    fn auroc(&self) -> Option<f64> {
        if self.classes != 2 {
            return None;
        }
        let second = |index: &usize| self.answers[*index].label == 1;
        let mut order: Vec<usize> = (0..self.margins.len()).collect();
        order.sort_by(|&a, &b| self.margins[a].total_cmp(&self.margins[b]));
        let (mut below, mut pairs) = (0.0, 0.0);
        for equal in order.chunk_by(|&a, &b| self.margins[a] == self.margins[b]) {
            let positives = equal.iter().filter(|index| second(index)).count() as f64;
            let negatives = equal.len() as f64 - positives;
            pairs += positives * (below + negatives / 2.0);
            below += negatives;
        }
        let positives = order.len() as f64 - below;
        (positives > 0.0 && below > 0.0).then(|| pairs / (positives * below))
    }

    fn calibration_error(&self) -> f64 {
        // Sum of probabilities and right answers; an image's bin is weighted by its images, so they cancel.
        let mut bins = [(0.0, 0.0); BINS];
        for answer in &self.answers {
            let bin = &mut bins[((f64::from(answer.probability) * BINS as f64) as usize).min(BINS - 1)];
            bin.0 += f64::from(answer.probability);
            bin.1 += f64::from(u8::from(answer.label == answer.predicted));
        }
        let apart: f64 = bins.iter().map(|(probability, right)| (probability - right).abs()).sum();
        ratio(apart, self.answers.len() as f64)
    }
}

/// 0 of nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    ratio(sum, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_answers_are_the_formulas() {
        let mut found = Evaluation::new(2);
        // Softmax of (0, ln 3) is (1/4, 3/4); of (1000, 1000) a half each, without overflow.
        found.add(&[0.0, 3f32.ln(), 1000.0, 1000.0], &[0, 0]);
        assert!((found.sums.loss - (4f64.ln() + 2f64.ln())).abs() < 1e-6, "{}", found.sums.loss);
        assert_eq!((found.sums.correct, found.sums.images), (1, 2));
        let answers: Vec<_> = found.answers().iter().map(|a| (a.predicted, a.probability)).collect();
        assert_eq!(answers, [(1, 0.75), (0, 0.5)]);
        assert_eq!(found.metrics().auroc, None, "there is one class alone");
    }

    #[test]
    fn the_fifth_counts_and_the_sixth_does_not() {
        let mut found = Evaluation::new(6);
        found.add(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], &[4]);
        found.add(&[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], &[5]);
        found.add(&[0.0; 6], &[5]);
        let in_top: Vec<bool> = found.answers().iter().map(|answer| answer.in_top5).collect();
        assert_eq!(in_top, [true, false, false]);
    }

    #[test]
    fn nothing_has_no_metrics_that_are_not_finite() {
        let Metrics { balanced_accuracy, macro_f1, calibration_error, .. } = Evaluation::new(3).metrics();
        assert_eq!([balanced_accuracy, macro_f1, calibration_error], [0.0; 3]);
    }
}
