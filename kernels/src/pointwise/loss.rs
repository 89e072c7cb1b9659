//! Softmax, cross-entropy with label smoothing, and its gradient. Rows are images; logits are few, so sums are `f64`.

use super::activation::exp;
use crate::ctx::Ctx;
use crate::maps::{Partials, expect_len};
use crate::memory::{Dst, Src};
use crate::simd::{Simd, Vector, Work};
use crate::threads::chunk;

/// Of each thread: loss, and right answers.
type Sums<'a> = Partials<'a, 2, 0>;

/// Floats of scratch memory for [`cross_entropy`].
pub fn cross_entropy_scratch_len(threads: usize) -> usize {
    Sums::scratch_len(1, threads)
}

/// `y = exp(x - max) / sum(exp(x - max))` for each of the rows of `classes`; `y` may be `x`.
pub fn softmax(ctx: &Ctx<'_>, rows: usize, classes: usize, x: Src<'_, f32>, y: Dst<'_, f32>) {
    expect_len(x.len(), rows * classes, "logits");
    expect_len(y.len(), rows * classes, "probabilities");
    ctx.parallel(x.len(), &|thread| {
        for row in chunk(rows, 1, thread, ctx.threads.count()) {
            ctx.isa.dispatch(Softmax { x, y, row, classes });
        }
    });
}

/// Mean loss and number of right answers:
/// `loss = mean((1 - s) * (lse - x[label]) + s / classes * sum(lse - x))` with `lse = ln(sum(exp(x)))` and smoothing `s`.
/// Of equal logits the first counts as the largest. A label that is no class makes the loss NaN.
pub fn cross_entropy(
    ctx: &Ctx<'_>,
    classes: usize,
    smoothing: f32,
    x: Src<'_, f32>,
    labels: Src<'_, u32>,
    [loss, correct]: [Dst<'_, f32>; 2],
) {
    let rows = labels.len();
    expect_len(x.len(), rows * classes, "logits");
    expect_len(loss.len(), 1, "loss");
    expect_len(correct.len(), 1, "correct");
    // SAFETY: nothing writes logits or labels meanwhile.
    let (logits, labels) = unsafe { (x.slice(), labels.slice()) };
    let total = sum_rows(ctx, rows, x.len(), &|row| {
        let (logits, label) = (&logits[row * classes..][..classes], labels[row]);
        ctx.isa.dispatch(Loss { logits, label, smoothing })
    });
    // SAFETY: the threads are done.
    let (loss, correct) = unsafe { (loss.slice(0..1), correct.slice(0..1)) };
    (loss[0], correct[0]) = ((total[0] / rows as f64) as f32, total[1] as f32);
}

/// Sums over rows of two numbers of each, in an order that the number of threads alone decides; `work` is that of all rows. Needs
/// [`cross_entropy_scratch_len`].
pub(super) fn sum_rows(
    ctx: &Ctx<'_>,
    rows: usize,
    work: usize,
    of_row: &(dyn Fn(usize) -> [f64; 2] + Sync),
) -> [f64; 2] {
    let threads = ctx.threads.count();
    let partials = Sums::new(ctx, 1);
    ctx.parallel(work, &|thread| {
        let mut sum = [0.0, 0.0];
        for row in chunk(rows, 1, thread, threads) {
            let [first, second] = of_row(row);
            sum[0] += first;
            sum[1] += second;
        }
        // SAFETY: the thread's own.
        let ([first, second], []) = unsafe { partials.of(thread) };
        (first[0], second[0]) = (sum[0], sum[1]);
    });
    let mut total = [0.0, 0.0];
    for thread in 0..threads {
        // SAFETY: written above; the threads are done.
        let sum = unsafe { partials.total(thread, 0) };
        total = [total[0] + sum[0], total[1] + sum[1]];
    }
    total
}

/// `dx = (softmax(x) - target) / rows * scale` with `target = (1 - s) * onehot(label) + s / classes`.
pub fn cross_entropy_backward(
    ctx: &Ctx<'_>,
    classes: usize,
    smoothing: f32,
    scale: f32,
    x: Src<'_, f32>,
    labels: Src<'_, u32>,
    dx: Dst<'_, f32>,
) {
    let rows = labels.len();
    expect_len(x.len(), rows * classes, "logits");
    expect_len(dx.len(), rows * classes, "dlogits");
    let per_row = 1.0 / rows as f32 * scale;
    let [on, off] = targets(classes, smoothing).map(|t| t as f32);
    ctx.parallel(x.len(), &|thread| {
        for row in chunk(rows, 1, thread, ctx.threads.count()) {
            ctx.isa.dispatch(Softmax { x, y: dx, row, classes });
            // SAFETY: the row is this thread's; nothing writes labels.
            let (dx, labels) = unsafe { (dx.slice(row * classes..(row + 1) * classes), labels.slice()) };
            let label = labels[row] as usize;
            for (class, d) in dx.iter_mut().enumerate() {
                *d = (*d - if class == label { on } else { off }) * per_row;
            }
        }
    });
}

/// Target probability of the label and of every other class.
fn targets(classes: usize, smoothing: f32) -> [f64; 2] {
    let off = f64::from(smoothing) / classes as f64;
    [1.0 - f64::from(smoothing) + off, off]
}

/// The largest, NaNs left out.
#[inline(always)]
pub(super) fn max(logits: &[f32]) -> f32 {
    logits.iter().fold(f32::NEG_INFINITY, |max, &v| if v > max { v } else { max })
}

struct Softmax<'a> {
    x: Src<'a, f32>,
    y: Dst<'a, f32>,
    row: usize,
    classes: usize,
}

impl Work for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, _: Simd<V>) {
        let range = self.row * self.classes..(self.row + 1) * self.classes;
        // SAFETY: the row is this thread's. `y` may be `x`: the copy is exact then, and from here on only `y` is used.
        let y = unsafe {
            std::ptr::copy(self.x.ptr().add(range.start), self.y.ptr().add(range.start), self.classes);
            self.y.slice(range)
        };
        let max = max(y);
        y.iter_mut().for_each(|v| *v = exp(*v - max));
        let scale = (1.0 / y.iter().map(|&v| f64::from(v)).sum::<f64>()) as f32;
        y.iter_mut().for_each(|v| *v *= scale);
    }
}

struct Loss<'a> {
    logits: &'a [f32],
    label: u32,
    smoothing: f32,
}

impl Work for Loss<'_> {
    /// Loss, and 1 if the answer is right.
    type Output = [f64; 2];

    #[inline(always)]
    fn run<V: Vector>(self, _: Simd<V>) -> [f64; 2] {
        let max = max(self.logits);
        let sum: f64 = self.logits.iter().map(|&v| f64::from(exp(v - max))).sum();
        let log_sum = f64::from(max) + sum.ln();
        let Some(&at_label) = self.logits.get(self.label as usize) else { return [f64::NAN, 0.0] };
        let s = f64::from(self.smoothing);
        let mut loss = (1.0 - s) * (log_sum - f64::from(at_label));
        if s != 0.0 {
            let distance: f64 = self.logits.iter().map(|&v| log_sum - f64::from(v)).sum();
            loss += s / self.logits.len() as f64 * distance;
        }
        let first = self.logits.iter().position(|&v| v == max);
        [loss, f64::from(first == Some(self.label as usize))]
    }
}
