//! The mean answer to several views of the same images (test-time augmentation).

use resnetc_compiler::spec::train::tta::Mean;

/// Logits of views that are being averaged.
#[derive(Debug, Clone, Default)]
pub struct Views {
    mean: Mean,
    classes: usize,
    /// `[images][classes]`: sums of logits, or logarithms of sums of probabilities.
    sums: Vec<f64>,
    /// How many views there are in them.
    count: usize,
}

impl Views {
    /// None yet, of networks with so many classes.
    pub fn new(mean: Mean, classes: usize) -> Self {
        Views { mean, classes, ..Views::default() }
    }

    /// Views that were added since the last mean.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Adds the logits of one view, `[images][classes]`; of each view there are as many images.
    pub fn add(&mut self, logits: &[f32]) {
        if self.count == 0 {
            let none = if self.mean == Mean::Logits { 0.0 } else { f64::NEG_INFINITY };
            self.sums.clear();
            self.sums.resize(logits.len(), none);
        }
        self.count += 1;
        let classes = self.classes.max(1);
        for (sums, row) in self.sums.chunks_exact_mut(classes).zip(logits.chunks_exact(classes)) {
            let row = row.iter().map(|&logit| f64::from(logit));
            match self.mean {
                Mean::Logits => sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x),
                Mean::Probabilities => {
                    let all = row.clone().fold(f64::NEG_INFINITY, log_add);
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum = log_add(*sum, x - all));
                }
            }
        }
    }

    /// The mean of the views, `[images][classes]`, as logits: those of mean probabilities are their logarithms. Begins anew.
    pub fn take(&mut self, to: &mut Vec<f32>) {
        let count = self.count.max(1) as f64;
        to.clear();
        to.extend(self.sums.iter().map(|sum| match self.mean {
            Mean::Logits => (sum / count) as f32,
            Mean::Probabilities => (sum - count.ln()) as f32,
        }));
        self.count = 0;
    }
}

/// `log(exp(a) + exp(b))`, which does not overflow. NaN of either is NaN.
fn log_add(a: f64, b: f64) -> f64 {
    let (more, less) = if a > b { (a, b) } else { (b, a) };
    more + (less - more).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(mean: Mean, views: &[[f32; 4]]) -> Vec<f32> {
        let (mut sums, mut out) = (Views::new(mean, 2), Vec::new());
        // Twice: nothing is left of the first time.
        for _ in 0..2 {
            views.iter().for_each(|view| sums.add(view));
            assert_eq!(sums.count(), views.len());
            sums.take(&mut out);
        }
        out
    }

    #[test]
    fn logits_are_averaged() {
        let views = [[1.0, 2.0, -4.0, 8.0], [3.0, 6.0, 0.0, 0.0]];
        assert_eq!(mean(Mean::Logits, &views), [2.0, 4.0, -2.0, 4.0]);
    }

    #[test]
    fn probabilities_are_averaged() {
        let l = |p: f32| p.ln();
        // (1/4, 3/4) and (3/4, 1/4); (1/2, 1/2), from logits that overflow, and (1/5, 4/5).
        let views = [[0.0, l(3.0), 2000.0, 2000.0], [l(3.0), 0.0, 0.0, l(4.0)]];
        let found: Vec<f32> = mean(Mean::Probabilities, &views).iter().map(|log| log.exp()).collect();
        for (found, expected) in found.iter().zip([0.5, 0.5, 0.35, 0.65]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        // What is impossible by all views is still a number.
        assert_eq!(mean(Mean::Probabilities, &[[0.0, 5000.0, 0.0, 0.0]])[0], -5000.0);
        assert!(mean(Mean::Probabilities, &[[f32::NAN, 0.0, 0.0, 0.0]])[0].is_nan());
    }
}
