//! Muon's update: a pass for the mean gradient, five steps of products, a pass for the step.

use resnetc_compiler::ir::update::{
    Matrix, MuonAttrs, NEWTON_SCHULZ, NEWTON_SCHULZ_EPS, NEWTON_SCHULZ_STEPS,
};

use super::now::{Now, unscaled};
use super::product::Product;
use crate::ctx::Ctx;
use crate::maps::{MapOp, Operands, Place, expect_len, map_flat, sum_flat, sum_flat_scratch_len};
use crate::memory::{Dst, LINE, Src};
use crate::simd::{Access, Simd, Vector};
use crate::threads::chunk;

/// Floats of scratch memory: the sums of the threads, the matrix twice, two products of its shorter side.
pub fn muon_scratch_len(matrix: &Matrix, threads: usize) -> usize {
    let [long, short] = matrix.sides();
    sum_flat_scratch_len(threads) + 2 * (long * short).next_multiple_of(LINE) + 2 * short * short
}

/// One step of Muon on one filter and its mean gradient in place; the formula is [`MuonAttrs`]'.
pub fn muon(
    ctx: &Ctx<'_>,
    attrs: &MuonAttrs,
    now: Now,
    matrix: Matrix,
    grad: Src<'_, f32>,
    param: Dst<'_, f32>,
    mean: Dst<'_, f32>,
) {
    let len = param.len();
    expect_len(matrix.rows * matrix.cols, len, "matrix");
    expect_len(grad.len(), len, "grad");
    expect_len(mean.len(), len, "momentum_buffer");
    let [long, short] = matrix.sides();
    let (_, own) = ctx.scratch.split_at(sum_flat_scratch_len(ctx.threads.count()));
    let (first, rest) = own.split_at(len.next_multiple_of(LINE));
    let (second, squares) = rest.split_at(len.next_multiple_of(LINE));
    let (first, second) = (first.part(0..len), second.part(0..len));
    let entry = (1.0 - f64::from(attrs.momentum)) as f32;
    let Now { unscale, rate, .. } = now;
    map_flat(ctx, len, &Mean { entry, nesterov: attrs.nesterov, unscale, grad, mean, moved: first });
    let norm = sum_flat(ctx, len, &Square(first.src()))[0].sqrt() as f32;
    spread(ctx, &matrix, 1.0 / (norm + NEWTON_SCHULZ_EPS), first.src(), second);
    let orthogonal = orthogonalise(ctx, [long, short], second, first, squares);
    let kept = (1.0 - f64::from(rate) * f64::from(attrs.weight_decay)) as f32;
    let rate = (f64::from(rate) * matrix.scale()) as f32;
    apply(ctx, &matrix, [kept, rate], orthogonal.src(), param);
}

/// Newton and Schulz's iteration on `x [long, short]`; `other` is of the same size. Says where the result is. A matrix with more columns than
/// rows is transposed before: so all products are over contiguous rows, and the square ones are of the shorter side.
fn orthogonalise<'a>(
    ctx: &Ctx<'_>,
    [long, short]: [usize; 2],
    mut x: Dst<'a, f32>,
    mut other: Dst<'a, f32>,
    squares: Dst<'a, f32>,
) -> Dst<'a, f32> {
    let [a, b, c] = NEWTON_SCHULZ;
    let (gram, rest) = squares.split_at(short * short);
    let polynomial = rest.part(0..short * short);
    for _ in 0..NEWTON_SCHULZ_STEPS {
        let columns = Product {
            size: [short, short, long],
            left: x.src(),
            steps: [1, short],
            right: x.src(),
            factor: 1.0,
            added: None,
            out: gram,
        };
        columns.run(ctx);
        let square = Product {
            size: [short; 3],
            left: gram.src(),
            steps: [short, 1],
            right: gram.src(),
            factor: c,
            added: Some((gram.src(), b)),
            out: polynomial,
        };
        square.run(ctx);
        let next = Product {
            size: [long, short, short],
            left: x.src(),
            steps: [short, 1],
            right: polynomial.src(),
            factor: 1.0,
            added: Some((x.src(), a)),
            out: other,
        };
        next.run(ctx);
        (x, other) = (other, x);
    }
    x
}

/// `to [long, short] = factor * from`, transposed where `from` is wide.
fn spread(ctx: &Ctx<'_>, matrix: &Matrix, factor: f32, from: Src<'_, f32>, to: Dst<'_, f32>) {
    let ([long, short], threads) = (matrix.sides(), ctx.threads.count());
    let (step, along) = if matrix.is_wide() { (1, matrix.cols) } else { (short, 1) };
    // SAFETY: nothing writes it meanwhile.
    let from = unsafe { from.slice() };
    ctx.parallel(to.len(), &|thread| {
        for row in chunk(long, 1, thread, threads) {
            // SAFETY: a row is one thread's.
            let to = unsafe { to.slice(row * short..(row + 1) * short) };
            for (to, x) in to.iter_mut().zip(from[row * step..].iter().step_by(along)) {
                *to = x * factor;
            }
        }
    });
}

/// `param = kept * param - rate * step`, where the step is transposed if the parameter is wide.
fn apply(ctx: &Ctx<'_>, matrix: &Matrix, [kept, rate]: [f32; 2], step: Src<'_, f32>, param: Dst<'_, f32>) {
    let (Matrix { rows, cols, .. }, threads) = (*matrix, ctx.threads.count());
    let (down, along) = if matrix.is_wide() { (1, rows) } else { (cols, 1) };
    // SAFETY: nothing writes it meanwhile.
    let step = unsafe { step.slice() };
    ctx.parallel(param.len(), &|thread| {
        for row in chunk(rows, 1, thread, threads) {
            // SAFETY: a row is one thread's.
            let param = unsafe { param.slice(row * cols..(row + 1) * cols) };
            for (p, x) in param.iter_mut().zip(step[row * down..].iter().step_by(along)) {
                *p = kept * *p - rate * x;
            }
        }
    });
}

/// Moves the mean gradient, and makes what the step is of.
#[derive(Clone, Copy)]
struct Mean<'a> {
    /// `1 - momentum`
    entry: f32,
    nesterov: bool,
    unscale: f32,
    grad: Src<'a, f32>,
    mean: Dst<'a, f32>,
    moved: Dst<'a, f32>,
}

impl MapOp<0, 2, 2> for Mean<'_> {
    type Element = f32;
    /// The entry, the factor of the gradient.
    type Channel<V: Vector> = [V; 2];

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 2, 2> {
        Operands {
            channels: [],
            inputs: [self.grad, self.mean.src()].map(|view| Some(view.into())),
            outputs: [self.mean, self.moved].map(|view| Some(view.into())),
        }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, simd: Simd<V>, []: [V; 0]) -> [V; 2] {
        [simd.splat(self.entry), simd.splat(self.unscale)]
    }

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, k: [V; 2], [g, m]: [V; 2]) -> [V; 2] {
        let g = unscaled(g, self.unscale, k[1]);
        let m = g.sub(m).mul_add(k[0], m);
        [m, if self.nesterov { g.sub(m).mul_add(k[0], m) } else { m }]
    }
}

/// Squares of the elements.
#[derive(Clone, Copy)]
struct Square<'a>(Src<'a, f32>);

impl MapOp<0, 1, 1> for Square<'_> {
    type Element = f32;
    type Channel<V: Vector> = ();

    #[inline(always)]
    fn operands(&self) -> Operands<'_, f32, 0, 1, 1> {
        Operands { channels: [], inputs: [Some(self.0.into())], outputs: [None] }
    }

    #[inline(always)]
    fn channel<V: Vector>(&self, _: Simd<V>, []: [V; 0]) {}

    #[inline(always)]
    fn apply<V: Vector>(&self, _: Place<V, impl Access>, (): (), [x]: [V; 1]) -> [V; 1] {
        [x.mul(x)]
    }
}
