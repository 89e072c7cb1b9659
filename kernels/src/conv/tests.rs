//! The convolutions against their definitions, on every instruction set that this machine has.

use proptest::prelude::*;
use resnetc_compiler::ir::op::{Activation, ConvAttrs};
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::ConvGeometry;

use super::epilogue::Epilogue;
use super::kernel::{ConvKernel, FilterKernel};
use super::naive;
use super::naive::Sum;
use super::problem::{Operation, Problem};
use super::registry;
use super::winograd::{Size, WinogradConvolution, WinogradFilter, applies};
use crate::conv::direct::DotConvolution;
use crate::conv::direct::filter::DirectFilter;
use crate::conv::direct::forward::DirectConvolution;
use crate::conv::direct::phase::Factors;
use crate::ctx::Ctx;
use crate::machine::Machine;
use crate::maps::{MapDst, MapSrc};
use crate::memory::Memory;
use crate::random::Key;
use crate::simd::Isa;
use crate::threads::ThreadPool;

/// Reproducible numbers in `-1..1`, different for each seed.
pub fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let key = Key::new(seed, 0, 0);
    (0..len as u32).map(|i| (key.bits(i) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

pub fn geometry(n: usize, size: [usize; 2], channels: [usize; 2], attrs: ConvAttrs) -> Option<ConvGeometry> {
    let mut out = [0; 2];
    for i in 0..2 {
        let room = size[i] + 2 * attrs.padding[i];
        out[i] = room.checked_sub((attrs.kernel[i] - 1) * attrs.dilation[i] + 1)? / attrs.stride[i] + 1;
    }
    Some(ConvGeometry {
        n,
        h: size[0],
        w: size[1],
        cin: channels[0],
        cout: channels[1],
        out,
        attrs,
        precision: DType::F32,
    })
}

/// Rounding error of a sum of `terms` products: each addition rounds once, relative to at most the sum of magnitudes.
fn assert_close(found: &[f32], expected: &[Sum], terms: usize, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (i, (&f, e)) in found.iter().zip(expected).enumerate() {
        let bound = (terms as f64 + 4.0).sqrt() * 4.0 * f64::from(f32::EPSILON) * e.magnitude + 1e-30;
        let error = (f64::from(f) - e.value).abs();
        assert!(error <= bound, "{what}[{i}] = {f}, expected {}, error {error:e} > {bound:e}", e.value);
    }
}

/// A buffer that a kernel has to fill: NaN everywhere.
fn unwritten(len: usize) -> Vec<f32> {
    vec![f32::NAN; len]
}

/// Operands of one case.
pub struct Case {
    pub g: ConvGeometry,
    pub x: Vec<f32>,
    pub w: Vec<f32>,
    pub dy: Vec<f32>,
}

impl Case {
    pub fn new(g: ConvGeometry) -> Self {
        let a = &g.attrs;
        let x = numbers(g.n * g.h * g.w * g.cin, 1);
        let w = numbers(a.kernel[0] * a.kernel[1] * g.cin / a.groups * g.cout, 2);
        let dy = numbers(g.n * g.out[0] * g.out[1] * g.cout, 3);
        Case { g, x, w, dy }
    }

    fn convolve(&self, backward: bool, isa: Isa, threads: usize, epilogue: &Epilogue<'_>) -> Vec<f32> {
        let operation = if backward { Operation::BackwardData } else { Operation::Forward };
        let direct = DirectConvolution::new(self.g, operation, Factors::Floats, isa, threads).unwrap();
        self.run(&direct, backward, isa, threads, epilogue)
    }

    /// By F(4x4, 3x3) or F(2x2, 3x3), which have to apply.
    pub fn winograd(
        &self,
        size: Size,
        backward: bool,
        isa: Isa,
        threads: usize,
        epilogue: &Epilogue<'_>,
    ) -> Vec<f32> {
        assert!(applies(&self.g, isa));
        let operation = if backward { Operation::BackwardData } else { Operation::Forward };
        let winograd = WinogradConvolution::new(size, &self.g, operation, isa, threads).unwrap();
        self.run(&winograd, backward, isa, threads, epilogue)
    }

    fn run(
        &self,
        algorithm: &dyn ConvKernel,
        backward: bool,
        isa: Isa,
        threads: usize,
        epilogue: &Epilogue<'_>,
    ) -> Vec<f32> {
        let pool = ThreadPool::new(threads).unwrap();
        let mut packed = Memory::floats(algorithm.packed_len()).unwrap();
        let mut scratch = Memory::floats(algorithm.scratch_len(threads)).unwrap();
        let ctx = Ctx { threads: &pool, isa, scratch: scratch.view() };
        let (input, len) = if backward { (&self.dy, self.x.len()) } else { (&self.x, self.dy.len()) };
        let channels = if backward { self.g.cin } else { self.g.cout };
        let (gap, pixels) = (epilogue.gap, len / channels);
        let mut output = unwritten(len + (pixels - 1) * gap);
        algorithm.pack(&ctx, self.w.as_slice().into(), packed.view());
        let (packed, out) = (packed.view().src(), output.as_mut_slice().into());
        algorithm.run(&ctx, input.as_slice().into(), packed, epilogue, ctx.scratch, out);
        let (pixels, between): (Vec<&[f32]>, Vec<&[f32]>) =
            output.chunks(channels + gap).map(|pixel| pixel.split_at(channels)).unzip();
        assert!(between.iter().copied().flatten().all(|v| v.is_nan()), "the gaps are another's");
        pixels.concat()
    }

    /// On AMX, which has to be there.
    fn amx(&self, backward: bool, precision: DType, threads: usize, epilogue: &Epilogue<'_>) -> Vec<f32> {
        let operation = if backward { Operation::BackwardData } else { Operation::Forward };
        let (problem, name) = self.on_amx(precision, threads);
        let amx = registry::convolution_by(name, &problem, operation);
        self.run(&*amx, backward, Isa::Amx, threads, epilogue)
    }

    /// This layer in a precision, and what AMX's algorithm for that is called.
    fn on_amx(&self, precision: DType, threads: usize) -> (Problem, &'static str) {
        let geometry = ConvGeometry { precision, ..self.g };
        let machine = Machine { isa: Isa::Amx, threads, amx_slowness: Some(1.0) };
        (Problem { geometry, machine }, if precision == DType::F32 { "amx-f32" } else { "amx-bf16" })
    }

    fn filter(&self, isa: Isa, threads: usize) -> Vec<f32> {
        let gradient = DirectFilter::new(self.g, isa, threads).unwrap();
        self.run_filter(&gradient, isa, threads)
    }

    /// By F(4x4, 3x3) or F(2x2, 3x3), which have to apply.
    pub fn winograd_filter(&self, isa: Isa, threads: usize) -> Vec<f32> {
        assert!(applies(&self.g, isa));
        let gradient = WinogradFilter::new(&self.g, isa, threads).unwrap();
        self.run_filter(&gradient, isa, threads)
    }

    fn amx_filter(&self, precision: DType, threads: usize) -> Vec<f32> {
        let (problem, name) = self.on_amx(precision, threads);
        let gradient = registry::filter_gradient_by(name, &problem);
        self.run_filter(&*gradient, Isa::Amx, threads)
    }

    fn run_filter(&self, gradient: &dyn FilterKernel, isa: Isa, threads: usize) -> Vec<f32> {
        let pool = ThreadPool::new(threads).unwrap();
        let mut scratch = Memory::floats(gradient.scratch_len(threads)).unwrap();
        let ctx = Ctx { threads: &pool, isa, scratch: scratch.view() };
        let mut dw = unwritten(self.w.len());
        let (x, dy) = (self.x.as_slice().into(), self.dy.as_slice().into());
        gradient.run(&ctx, x, dy, ctx.scratch, dw.as_mut_slice().into());
        dw
    }

    /// All three kernels on all instruction sets and thread counts.
    fn check(&self) {
        let g = &self.g;
        let taps = g.attrs.kernel[0] * g.attrs.kernel[1] / g.attrs.groups;
        let y = naive::forward(g, &self.x, &self.w);
        let dx = naive::backward_data(g, &self.dy, &self.w);
        let dw = naive::backward_filter(g, &self.x, &self.dy);
        for isa in vector_isas() {
            for threads in [1, 2, 3] {
                let what = |name: &str| format!("{name} ({isa:?}, {threads} threads, {g:?})");
                let plain = Epilogue::default();
                assert_close(&self.convolve(false, isa, threads, &plain), &y, taps * g.cin, &what("y"));
                assert_close(&self.convolve(true, isa, threads, &plain), &dx, taps * g.cout, &what("dx"));
                assert_close(&self.filter(isa, threads), &dw, g.n * g.out[0] * g.out[1], &what("dw"));
            }
        }
        let rounded = self.rounded();
        let expected = [
            naive::forward(g, &rounded.x, &rounded.w),
            naive::backward_data(g, &rounded.dy, &rounded.w),
            naive::backward_filter(g, &rounded.x, &rounded.dy),
        ];
        if g.attrs.groups == 1 && Isa::Amx.available() {
            self.check_amx(DType::F32, &[y, dx, dw]);
            self.check_amx(DType::Bf16, &expected);
        }
        if Isa::Avx512Bf16.available() {
            self.check_pairs(&expected);
        }
    }

    /// Forward and backward-data of pairs, where channels are even, maps being stored as f32 or as bf16. Sums are as accurate as
    /// f32's, and rounded once where they are stored.
    fn check_pairs(&self, [y, dx, _]: &[Vec<Sum>; 3]) {
        let g = &self.g;
        let taps = g.attrs.kernel[0] * g.attrs.kernel[1];
        let directions = [(false, &self.x, y, taps * g.cin), (true, &self.dy, dx, taps * g.cout)];
        for (backward, input, expected, terms) in directions {
            for threads in [1, 2, 3] {
                let machine = Machine { isa: Isa::Avx512Bf16, threads, amx_slowness: None };
                let operation = if backward { Operation::BackwardData } else { Operation::Forward };
                if !DotConvolution::applies(g, operation, machine) {
                    continue;
                }
                let what = format!("pairs ({operation:?}, {threads} threads, {g:?})");
                let pairs = DotConvolution::new(*g, operation, machine).unwrap();
                let plain = Epilogue::default();
                let found = self.run(&pairs, backward, Isa::Avx512Bf16, threads, &plain);
                assert_close(&found, expected, terms, &what);
                let narrow = self.run_narrow(&pairs, input, expected.len(), threads);
                let once: Vec<u16> = found.iter().map(|&sum| half::bf16::from_f32(sum).to_bits()).collect();
                assert_eq!(narrow, once, "{what}");
            }
        }
    }

    /// Of maps stored as bf16.
    fn run_narrow(&self, pairs: &dyn ConvKernel, input: &[f32], output: usize, threads: usize) -> Vec<u16> {
        let isa = Isa::Avx512Bf16;
        let pool = ThreadPool::new(threads).unwrap();
        let mut packed = Memory::floats(pairs.packed_len()).unwrap();
        let mut scratch = Memory::floats(pairs.scratch_len(threads)).unwrap();
        let ctx = Ctx { threads: &pool, isa, scratch: scratch.view() };
        pairs.pack(&ctx, self.w.as_slice().into(), packed.view());
        let mut map = Memory::floats(input.len() / 2).unwrap();
        for (to, &x) in map.bytes_mut().chunks_exact_mut(2).zip(input) {
            to.copy_from_slice(&half::bf16::from_f32(x).to_bits().to_ne_bytes());
        }
        let (input, _) = map.view().halves().split_at(input.len());
        let mut found = vec![0xffff; output];
        let (packed, to) = (packed.view().src(), MapDst::Bf16(found.as_mut_slice().into()));
        pairs.run(&ctx, MapSrc::Bf16(input.src()), packed, &Epilogue::default(), ctx.scratch, to);
        found
    }

    /// All three kernels on AMX: as accurate as f32's, of operands that in bf16 are rounded before.
    fn check_amx(&self, precision: DType, [y, dx, dw]: &[Vec<Sum>; 3]) {
        let g = &self.g;
        let taps = g.attrs.kernel[0] * g.attrs.kernel[1];
        for threads in [1, 2, 3] {
            let what = |name: &str| format!("{name} ({precision:?}, {threads} threads, {g:?})");
            let plain = Epilogue::default();
            // Each product of parts of f32 is rounded.
            let terms = |count: usize| if precision == DType::F32 { 6 * count } else { count };
            assert_close(&self.amx(false, precision, threads, &plain), y, terms(taps * g.cin), &what("y"));
            assert_close(&self.amx(true, precision, threads, &plain), dx, terms(taps * g.cout), &what("dx"));
            let pixels = g.n * g.out[0] * g.out[1];
            assert_close(&self.amx_filter(precision, threads), dw, terms(pixels), &what("dw"));
        }
    }

    /// The same with operands rounded to bf16.
    fn rounded(&self) -> Case {
        let round = |v: &[f32]| v.iter().map(|&x| half::bf16::from_f32(x).to_f32()).collect();
        Case { g: self.g, x: round(&self.x), w: round(&self.w), dy: round(&self.dy) }
    }
}

/// Those whose vectors differ: AMX's and those of pairs are AVX-512's.
pub fn vector_isas() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|isa| ![Isa::Amx, Isa::Avx512Bf16].contains(isa) && isa.available())
}

pub fn square(kernel: usize, stride: usize, padding: usize, groups: usize) -> ConvAttrs {
    ConvAttrs { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], groups }
}

/// The layers of residual networks, on small images.
#[test]
fn layers_of_residual_networks() {
    let cases = [
        (2, [18, 18], [3, 64], square(7, 2, 3, 1)),
        (2, [16, 16], [3, 16], square(3, 1, 1, 1)),
        (3, [9, 9], [16, 16], square(3, 1, 1, 1)),
        (2, [8, 8], [16, 32], square(3, 2, 1, 1)),
        (1, [7, 7], [64, 64], square(3, 1, 1, 1)),
        (1, [7, 7], [48, 80], square(3, 1, 1, 1)),
        (2, [6, 6], [64, 128], square(1, 2, 0, 1)),
        (2, [5, 5], [96, 40], square(1, 1, 0, 1)),
        (2, [6, 6], [64, 64], square(3, 2, 1, 4)),
        (1, [5, 5], [10, 10], square(3, 1, 1, 10)),
        (5, [1, 1], [100, 10], square(1, 1, 0, 1)),
        (1, [1, 1], [70, 130], square(1, 1, 0, 1)),
    ];
    for (n, size, channels, attrs) in cases {
        Case::new(geometry(n, size, channels, attrs).unwrap()).check();
    }
}

/// More pixels than one block has, so that sums are carried from block to block.
#[test]
fn many_blocks() {
    Case::new(geometry(3, [33, 31], [5, 17], square(3, 1, 1, 1)).unwrap()).check();
    Case::new(geometry(2, [20, 20], [160, 33], square(1, 1, 0, 1)).unwrap()).check();
}

/// Enough weights that threads share them in the filter gradient.
#[test]
fn many_weights() {
    Case::new(geometry(1, [3, 3], [136, 128], square(3, 1, 1, 1)).unwrap()).check();
    Case::new(geometry(2, [3, 3], [176, 200], square(3, 1, 1, 1)).unwrap()).check();
}

/// Rows of tiles that lie a multiple of 2 KiB apart, and several bands of several images.
#[test]
fn deep_maps() {
    Case::new(geometry(1, [4, 3], [1024, 40], square(1, 1, 0, 1)).unwrap()).check();
    Case::new(geometry(7, [10, 10], [192, 16], square(3, 2, 1, 1)).unwrap()).check();
}

#[test]
fn finishing_is_applied_in_order() {
    epilogue(&Case::new(geometry(2, [5, 6], [7, 21], square(3, 2, 1, 1)).unwrap()));
}

/// So many weights of 64 channels that their taps are multiplied in slices, where nothing else waits in the result.
#[test]
fn finishing_is_applied_after_the_last_slice() {
    epilogue(&Case::new(geometry(1, [5, 4], [400, 70], square(3, 2, 1, 1)).unwrap()));
}

/// All of bias, residual and activation, forward.
fn epilogue(case: &Case) {
    let terms = case.g.attrs.kernel.iter().product::<usize>() * case.g.cin + 2;
    let (bias, residual) = (numbers(case.g.cout, 4), numbers(case.dy.len(), 5));
    let sums = naive::forward(&case.g, &case.x, &case.w);
    type Scalar = fn(f64) -> f64;
    let acts: [(Option<Activation>, Scalar); 4] = [
        (None, |v| v),
        (Some(Activation::Relu), |v| v.max(0.0)),
        (Some(Activation::LeakyRelu { slope: 0.25 }), |v| if v > 0.0 { v } else { 0.25 * v }),
        (Some(Activation::Sigmoid), |v| 1.0 / (1.0 + (-v).exp())),
    ];
    for isa in vector_isas() {
        for (act, f) in acts {
            for (with_bias, with_residual) in [(true, false), (false, true), (true, true)] {
                let epilogue = Epilogue {
                    bias: with_bias.then(|| bias.as_slice().into()),
                    residual: with_residual.then(|| residual.as_slice().into()),
                    act,
                    gap: 0,
                };
                let expected: Vec<Sum> = sums
                    .iter()
                    .enumerate()
                    .map(|(i, s)| {
                        let b = if with_bias { f64::from(bias[i % case.g.cout]) } else { 0.0 };
                        let r = if with_residual { f64::from(residual[i]) } else { 0.0 };
                        Sum { value: f(s.value + b + r), magnitude: s.magnitude + b.abs() + r.abs() + 1.0 }
                    })
                    .collect();
                assert_close(&case.convolve(false, isa, 2, &epilogue), &expected, terms, "y");
                if isa == Isa::Avx512 && Isa::Amx.available() {
                    let found = case.amx(false, DType::F32, 2, &epilogue);
                    assert_close(&found, &expected, 6 * terms, "y on AMX");
                }
            }
        }
    }
}

/// As a slice of a wider map: the same bits, and nothing written between the pixels.
#[test]
fn results_may_have_gaps() {
    let (direct, both) = (square(3, 2, 1, 1), square(3, 1, 1, 1));
    for (channels, attrs) in [([7, 21], direct), ([5, 32], direct), ([16, 48], both)] {
        let case = Case::new(geometry(2, [5, 6], channels, attrs).unwrap());
        let (bias, residual) = (numbers(case.g.cout, 4), numbers(case.dy.len(), 5));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            for act in [Some(Activation::Relu), Some(Activation::Tanh)] {
                let epilogue = |gap| Epilogue {
                    bias: Some(bias.as_slice().into()),
                    residual: Some(residual.as_slice().into()),
                    act,
                    gap,
                };
                let direct = |gap| case.convolve(false, isa, 2, &epilogue(gap));
                assert_eq!(direct(13), direct(0), "{isa:?}, {:?}", case.g);
                if applies(&case.g, isa) {
                    for size in [Size::Four, Size::Two] {
                        let winograd = |gap| case.winograd(size, false, isa, 2, &epilogue(gap));
                        assert_eq!(winograd(13), winograd(0), "{isa:?}, {:?}", case.g);
                    }
                }
                if isa == Isa::Amx {
                    let amx = |gap| case.amx(false, DType::F32, 2, &epilogue(gap));
                    assert_eq!(amx(13), amx(0), "{isa:?}, {:?}", case.g);
                }
            }
        }
    }
}

#[test]
fn backward_data_adds_a_residual_to_every_pixel() {
    // Of the phases of a 1x1 kernel with stride 2 only one has a tap; the others are the residual alone.
    let case = Case::new(geometry(2, [5, 6], [9, 12], square(1, 2, 0, 1)).unwrap());
    let residual = numbers(case.x.len(), 6);
    let mut expected = naive::backward_data(&case.g, &case.dy, &case.w);
    for (e, &r) in expected.iter_mut().zip(&residual) {
        e.add(r, 1.0);
    }
    for isa in vector_isas() {
        let epilogue = Epilogue { residual: Some(residual.as_slice().into()), ..Epilogue::default() };
        assert_close(&case.convolve(true, isa, 2, &epilogue), &expected, 13, "dx");
        if isa == Isa::Avx512 && Isa::Amx.available() {
            assert_close(&case.amx(true, DType::F32, 2, &epilogue), &expected, 6 * 13, "dx on AMX");
        }
    }
}

#[test]
fn the_same_threads_give_the_same_bits() {
    let case = Case::new(geometry(3, [9, 9], [20, 24], square(3, 1, 1, 1)).unwrap());
    let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for isa in vector_isas() {
        for threads in [1, 3] {
            let plain = Epilogue::default();
            let run = || [case.convolve(false, isa, threads, &plain), case.filter(isa, threads)].map(bits);
            assert_eq!(run(), run());
            if isa == Isa::Avx512 && Isa::Amx.available() {
                let run = || {
                    let forward = case.amx(false, DType::F32, threads, &plain);
                    [forward, case.amx_filter(DType::F32, threads)].map(bits)
                };
                assert_eq!(run(), run());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry(
        n in 1usize..4,
        size in [1usize..10, 1usize..10],
        groups in prop_oneof![3 => Just(1usize), 1 => 2usize..4],
        per_group in [1usize..37, 1usize..37],
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..4, 1usize..4],
        padding in [0usize..4, 0usize..4],
        dilation in [1usize..3, 1usize..3],
    ) {
        let attrs = ConvAttrs { kernel, stride, padding, dilation, groups };
        let channels = per_group.map(|c| c * groups);
        if let Some(g) = geometry(n, size, channels, attrs) {
            Case::new(g).check();
        }
    }
}
