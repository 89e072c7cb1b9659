//! Losses of targets that are more than a label, as `Objective` defines them, and their gradients. Logits are few: all is `f64`.

use resnetc_compiler::ir::op::{Distillation, Objective};
use resnetc_compiler::plan::LossGeometry;

use super::loss::{max, sum_rows};
use crate::ctx::Ctx;
use crate::maps::expect_len;
use crate::memory::{Dst, Src};
use crate::threads::chunk;

/// What a loss reads.
pub struct Batch<'a> {
    /// `[rows][classes]`
    pub logits: Src<'a, f32>,
    /// `[rows]`
    pub labels: Src<'a, u32>,
    /// The other images' labels and the images' own shares, `[rows]` each.
    pub partners: Option<(Src<'a, u32>, Src<'a, f32>)>,
    /// A teacher's logits, `[rows][classes]`.
    pub teacher: Option<Src<'a, f32>>,
    /// `[classes]`
    pub weights: Option<Src<'a, f32>>,
}

/// The same as slices.
struct Read<'a> {
    g: &'a LossGeometry,
    logits: &'a [f32],
    labels: &'a [u32],
    partners: Option<(&'a [u32], &'a [f32])>,
    weights: Option<&'a [f32]>,
    /// How much is learned from a teacher's logits.
    teacher: Option<(Distillation, &'a [f32])>,
    /// What the sum is divided by.
    divisor: f64,
}

/// Mean loss and number of right answers; see [`LossGeometry::divisor`]. A label that is no class makes the loss NaN. Needs
/// [`cross_entropy_scratch_len`](super::loss::cross_entropy_scratch_len).
pub fn forward(ctx: &Ctx<'_>, g: &LossGeometry, batch: &Batch<'_>, [loss, correct]: [Dst<'_, f32>; 2]) {
    expect_len(loss.len(), 1, "loss");
    expect_len(correct.len(), 1, "correct");
    let read = Read::new(g, batch);
    let total = sum_rows(ctx, g.rows, g.rows * g.classes, &|row| read.row(row).loss());
    // SAFETY: the threads are done.
    let (loss, correct) = unsafe { (loss.slice(0..1), correct.slice(0..1)) };
    (loss[0], correct[0]) = ((total[0] / read.divisor) as f32, total[1] as f32);
}

/// Gradient by the logits, times `scale`.
pub fn backward(ctx: &Ctx<'_>, g: &LossGeometry, batch: &Batch<'_>, scale: f32, dx: Dst<'_, f32>) {
    expect_len(dx.len(), g.rows * g.classes, "dlogits");
    let read = Read::new(g, batch);
    let factor = f64::from(scale) / read.divisor;
    ctx.parallel(dx.len(), &|thread| {
        for row in chunk(g.rows, 1, thread, ctx.threads.count()) {
            // SAFETY: the row is this thread's.
            let dx = unsafe { dx.slice(row * g.classes..(row + 1) * g.classes) };
            read.row(row).gradient(factor, dx);
        }
    });
}

impl<'a> Read<'a> {
    fn new(g: &'a LossGeometry, batch: &Batch<'a>) -> Self {
        let Batch { logits, labels, partners, teacher, weights } = *batch;
        expect_len(logits.len(), g.rows * g.classes, "logits");
        expect_len(labels.len(), g.rows, "labels");
        if let Some((others, shares)) = partners {
            expect_len(others.len(), g.rows, "others");
            expect_len(shares.len(), g.rows, "shares");
        }
        if let Some(teacher) = teacher {
            expect_len(teacher.len(), g.rows * g.classes, "a teacher's logits");
        }
        if let Some(weights) = weights {
            expect_len(weights.len(), g.classes, "class weights");
        }
        // SAFETY: nothing writes what a loss reads meanwhile; its gradient does not lie on the logits.
        let (logits, labels, partners, teacher, weights) = unsafe {
            let partners = partners.map(|(others, shares)| (others.slice(), shares.slice()));
            let teacher = g.distillation.zip(teacher.map(|teacher| teacher.slice()));
            (logits.slice(), labels.slice(), partners, teacher, weights.map(|weights| weights.slice()))
        };
        let mut read = Read { g, logits, labels, partners, weights, teacher, divisor: 0.0 };
        let of_labels = || labels.iter().map(|&label| read.weight_of(label)).sum();
        read.divisor = g.divisor().unwrap_or_else(of_labels);
        read
    }

    /// NaN for a label that is no class.
    fn weight_of(&self, label: u32) -> f64 {
        let known = (label as usize) < self.g.classes;
        if known { self.weight(label as usize) } else { f64::NAN }
    }

    fn weight(&self, class: usize) -> f64 {
        self.weights.map_or(1.0, |weights| f64::from(weights[class]))
    }

    fn row(&self, row: usize) -> Row<'_> {
        let (other, share) = match self.partners {
            Some((others, shares)) => (others[row], f64::from(shares[row])),
            None => (self.labels[row], 1.0),
        };
        let of_row = |values: &'a [f32]| &values[row * self.g.classes..][..self.g.classes];
        let pupil = self.teacher.map(|(how, teacher)| Pupil {
            how,
            // What is distilled is divided by the images, whatever the rest is divided by.
            share: f64::from(how.alpha) * self.divisor / self.g.rows as f64,
            teacher: of_row(teacher),
        });
        Row { of: self, logits: of_row(self.logits), label: self.labels[row], other, share, pupil }
    }
}

/// One image.
struct Row<'a> {
    of: &'a Read<'a>,
    logits: &'a [f32],
    label: u32,
    other: u32,
    share: f64,
    pupil: Option<Pupil<'a>>,
}

impl Row<'_> {
    /// The target of each class with the class's weight and logit.
    fn classes(&self) -> impl Iterator<Item = [f64; 3]> {
        let LossGeometry { classes, objective, smoothing, .. } = *self.of.g;
        let smoothing = f64::from(smoothing);
        let unknown = self.label as usize >= classes || self.other as usize >= classes;
        let off = if unknown { f64::NAN } else { smoothing / classes as f64 };
        self.logits.iter().enumerate().map(move |(class, &logit)| {
            let is = |label: u32, share: f64| if label as usize == class { share } else { 0.0 };
            let mixed = is(self.label, self.share) + is(self.other, 1.0 - self.share);
            let mut target = (1.0 - smoothing) * mixed + off;
            if let Objective::BinaryCrossEntropy { target_threshold: Some(threshold), .. } = objective
                && !target.is_nan()
            {
                target = f64::from(u8::from(target > f64::from(threshold)));
            }
            [target, self.of.weight(class), f64::from(logit)]
        })
    }

    fn log_sum(&self) -> f64 {
        log_sum(self.logits, 1.0)
    }

    /// Its part of the sum, and 1 if the answer is right: of equal logits the first counts as the largest.
    fn loss(&self) -> [f64; 2] {
        let max = max(self.logits);
        let right = self.logits.iter().position(|&v| v == max) == Some(self.label as usize);
        let sum: f64 = match self.of.g.objective {
            Objective::CrossEntropy => {
                let log_sum = self.log_sum();
                self.classes().map(|[t, w, x]| w * t * (log_sum - x)).sum()
            }
            Objective::BinaryCrossEntropy { .. } => self.classes().map(|[t, w, x]| w * binary(t, x)).sum(),
            Objective::Focal { gamma, alpha, .. } => {
                self.classes().map(|[t, w, x]| w * Focal::new(gamma, alpha, t, x).loss()).sum()
            }
            Objective::SoftmaxFocal { gamma } => {
                let log_sum = self.log_sum();
                self.classes().map(|[t, w, x]| w * t * Focus::new(gamma, x - log_sum).loss()).sum()
            }
        };
        let sum = match &self.pupil {
            Some(pupil) => pupil.labels() * sum + pupil.share * pupil.loss(self.logits),
            None => sum,
        };
        [sum, f64::from(u8::from(right))]
    }

    fn gradient(&self, factor: f64, dx: &mut [f32]) {
        match &self.pupil {
            Some(pupil) => {
                self.gradient_of_labels(factor * pupil.labels(), dx);
                pupil.add_gradient(self.logits, factor * pupil.share, dx);
            }
            None => self.gradient_of_labels(factor, dx),
        }
    }

    fn gradient_of_labels(&self, factor: f64, dx: &mut [f32]) {
        let dx = dx.iter_mut();
        match self.of.g.objective {
            Objective::CrossEntropy => {
                let (log_sum, all) = (self.log_sum(), self.classes().map(|[t, w, _]| w * t).sum::<f64>());
                for (d, [t, w, x]) in dx.zip(self.classes()) {
                    *d = (((x - log_sum).exp() * all - w * t) * factor) as f32;
                }
            }
            Objective::BinaryCrossEntropy { .. } => {
                for (d, [t, w, x]) in dx.zip(self.classes()) {
                    *d = ((sigmoid(x) - t) * w * factor) as f32;
                }
            }
            Objective::Focal { gamma, alpha, .. } => {
                for (d, [t, w, x]) in dx.zip(self.classes()) {
                    *d = (Focal::new(gamma, alpha, t, x).slope() * w * factor) as f32;
                }
            }
            Objective::SoftmaxFocal { gamma } => {
                let log_sum = self.log_sum();
                let slope = |[t, w, x]: [f64; 3]| w * t * Focus::new(gamma, x - log_sum).slope();
                let all = self.classes().map(slope).sum::<f64>();
                for (d, class) in dx.zip(self.classes()) {
                    *d = (((class[2] - log_sum).exp() * all - slope(class)) * factor) as f32;
                }
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `-(t * log(p) + (1 - t) * log(1 - p))` of `p = sigmoid(x)`, as `max(x, 0) - x * t + log(1 + exp(-|x|))`.
fn binary(t: f64, x: f64) -> f64 {
    x.max(0.0) - x * t + (-x.abs()).exp().ln_1p()
}

/// The focal loss of one class.
struct Focal {
    gamma: f64,
    /// `a`
    balance: f64,
    target: f64,
    x: f64,
    p: f64,
    /// `1 - p`, with all its digits.
    rest: f64,
    /// `1 - q`: how far the answer is from the target.
    miss: f64,
}

impl Focal {
    fn new(gamma: f32, alpha: f32, target: f64, x: f64) -> Self {
        let (alpha, p, rest) = (f64::from(alpha), sigmoid(x), sigmoid(-x));
        let balance = alpha * target + (1.0 - alpha) * (1.0 - target);
        let miss = p * (1.0 - target) + rest * target;
        Focal { gamma: f64::from(gamma), balance, target, x, p, rest, miss }
    }

    fn loss(&self) -> f64 {
        self.balance * self.miss.powf(self.gamma) * binary(self.target, self.x)
    }

    /// By the logit: `a * (1 - q)^gamma * (p - t + gamma * bce * (1 - 2t) * p * (1 - p) / (1 - q))`.
    fn slope(&self) -> f64 {
        let Focal { target: t, p, rest, miss, .. } = *self;
        // Where nothing is missed, the power has no slope either.
        let relative = if miss > 0.0 { (1.0 - 2.0 * t) * p * rest / miss } else { 0.0 };
        self.balance * miss.powf(self.gamma) * (p - t + self.gamma * binary(t, self.x) * relative)
    }
}

/// The softmax form's part of one class, without its target.
struct Focus {
    gamma: f64,
    /// `log(s)`
    log: f64,
    /// `1 - s`, with all its digits.
    miss: f64,
}

impl Focus {
    /// Of the logarithm of the class's probability.
    fn new(gamma: f32, log: f64) -> Self {
        Focus { gamma: f64::from(gamma), log, miss: (-log.exp_m1()).max(0.0) }
    }

    fn loss(&self) -> f64 {
        -self.miss.powf(self.gamma) * self.log
    }

    /// How fast the loss falls with the logarithm: `(1 - s)^g - g * s * (1 - s)^(g - 1) * log(s)`.
    fn slope(&self) -> f64 {
        // Where nothing is missed, the power has no slope either.
        let relative = if self.miss > 0.0 { self.log.exp() * self.log / self.miss } else { 0.0 * self.log };
        self.miss.powf(self.gamma) * (1.0 - self.gamma * relative)
    }
}

/// `log(sum(exp(x / temperature)))`
fn log_sum(logits: &[f32], temperature: f64) -> f64 {
    let max = f64::from(max(logits));
    max / temperature + logits.iter().map(|&v| ((f64::from(v) - max) / temperature).exp()).sum::<f64>().ln()
}

/// What one image learns from a teacher.
struct Pupil<'a> {
    how: Distillation,
    /// Its factor in the sum of the images' losses.
    share: f64,
    /// `[classes]`
    teacher: &'a [f32],
}

impl Pupil<'_> {
    /// The factor of the labels' loss.
    fn labels(&self) -> f64 {
        1.0 - f64::from(self.how.alpha)
    }

    /// The teacher's answer, where that is all that counts: the first of equal ones. NaN is nobody's answer.
    fn answer(&self) -> Option<usize> {
        let largest = max(self.teacher);
        self.teacher.iter().position(|&z| z == largest)
    }

    fn loss(&self, logits: &[f32]) -> f64 {
        if self.how.hard {
            return self.answer().map_or(f64::NAN, |class| log_sum(logits, 1.0) - f64::from(logits[class]));
        }
        let t = f64::from(self.how.temperature);
        let [p, q] = [logits, self.teacher].map(|logits| log_sum(logits, t));
        let pairs = logits.iter().zip(self.teacher).map(|(&x, &z)| [x, z].map(|v| f64::from(v) / t));
        t * t * pairs.map(|[x, z]| (z - q).exp() * ((z - q) - (x - p))).sum::<f64>()
    }

    /// `factor * T * (softmax(x / T) - softmax(z / T))`, or `factor * (softmax(x) - onehot)`.
    fn add_gradient(&self, logits: &[f32], factor: f64, dx: &mut [f32]) {
        let t = if self.how.hard { 1.0 } else { f64::from(self.how.temperature) };
        let [p, q] = [logits, self.teacher].map(|logits| log_sum(logits, t));
        let answer = self.answer();
        for (class, (d, (&x, &z))) in dx.iter_mut().zip(logits.iter().zip(self.teacher)).enumerate() {
            let target = match (self.how.hard, answer) {
                (false, _) => (f64::from(z) / t - q).exp(),
                (true, Some(answer)) => f64::from(u8::from(class == answer)),
                (true, None) => f64::NAN,
            };
            *d += (factor * t * ((f64::from(x) / t - p).exp() - target)) as f32;
        }
    }
}
