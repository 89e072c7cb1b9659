//! How far a device may be from the oracle.
//!
//! A sum of `k` products, in any order of summation, is off by at most `k * u / (1 - k * u)` times the sum of the
//! products' absolute values (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), `u = 2^-24` in
//! `f32`. That sum of absolute values, the *magnitude* of an output element, is what the kernel itself gives on inputs
//! whose signs make all terms positive; the oracle computes it. Each bound then is `2 (terms + 8) u * magnitude`:
//! `terms` the longest sum, 8 for the operations around it, twice for products rounded on their own and for `1 - k u`.

use std::sync::Arc;

use candle_core::{DType, Device as CandleDevice};
use resnetc_compiler::ir::op::{Activation, Distillation, Epilogue, Objective, UpdateRule};
use resnetc_compiler::ir::types::DType as Element;
use resnetc_compiler::ir::update::{NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS};
use resnetc_compiler::plan::kernel::{
    Activate, ActivateBackward, Add, Affine, AvgPool, AvgPoolBackward, BnApply, BnBackwardReduce, BnMoments,
    BnStats, ChannelSum, ClipGradients, Conv, ConvBackwardData, ConvBackwardFilter, CrossEntropy,
    CrossEntropyBackward, GlobalAvgPool, GroupApply, GroupBackwardReduce, GroupStats, MaxPoolBackward, Mul,
    MulBackward, Softmax, TargetLoss, TargetLossBackward, Update,
};
use resnetc_compiler::plan::{Kernel, LossGeometry};
use resnetc_runtime::device::Session;
use resnetc_runtime::error::Result;
use resnetc_runtime::reference::{ReferenceDevice, ReferenceSession};

use crate::kernels::{MAKERS, Maker};
use crate::operands::{Signature, in_each_type, in_place, signature, stored_signatures};
use crate::plans::{Results, run_kernel, run_stored};
use crate::rng::Rng;

/// Twice the unit roundoff of `f32`.
const EPS: f32 = f32::EPSILON;

/// An oracle in double precision.
///
/// # Panics
/// Never: `F64` is one of the types it takes.
pub fn oracle() -> ReferenceSession {
    oracle_device().open_session()
}

/// The device that [`oracle`] is a session of.
///
/// # Panics
/// Never: Candle computes in double precision on every CPU.
pub fn oracle_device() -> Arc<ReferenceDevice> {
    Arc::new(ReferenceDevice::new(CandleDevice::Cpu, DType::F64).expect("f64 is supported"))
}

/// Length of the longest sum in a kernel.
fn terms(kernel: &Kernel) -> usize {
    match *kernel {
        Kernel::Conv(Conv { geometry: g, .. }) => {
            g.cin / g.attrs.groups * g.attrs.kernel[0] * g.attrs.kernel[1]
        }
        Kernel::ConvBackwardData(ConvBackwardData { geometry: g, .. }) => {
            g.cout / g.attrs.groups * g.attrs.kernel[0] * g.attrs.kernel[1]
        }
        Kernel::ConvBackwardFilter(ConvBackwardFilter { geometry: g }) => g.n * g.out[0] * g.out[1],
        Kernel::ChannelSum(ChannelSum { rows, .. })
        | Kernel::BnStats(BnStats { rows, .. })
        | Kernel::BnMoments(BnMoments { rows, .. })
        | Kernel::BnBackwardReduce(BnBackwardReduce { rows, .. }) => rows,
        Kernel::GroupStats(GroupStats { geometry: g, .. }) => g.pixels * g.channels / g.groups,
        Kernel::GroupBackwardReduce(GroupBackwardReduce { geometry: g, .. }) => {
            g.pixels * g.images.max(g.channels / g.groups)
        }
        Kernel::MaxPoolBackward(MaxPoolBackward { geometry: g })
        | Kernel::AvgPool(AvgPool { geometry: g })
        | Kernel::AvgPoolBackward(AvgPoolBackward { geometry: g }) => g.attrs.kernel[0] * g.attrs.kernel[1],
        Kernel::BlurPool(_) | Kernel::BlurPoolBackward(_) => 9,
        Kernel::GlobalAvgPool(GlobalAvgPool { pixels, .. })
        | Kernel::MulBackward(MulBackward { pixels, .. }) => pixels,
        Kernel::Softmax(Softmax { classes, .. })
        | Kernel::CrossEntropyBackward(CrossEntropyBackward { classes, .. }) => classes + 16,
        Kernel::CrossEntropy(CrossEntropy { rows, classes, .. }) => rows + classes + 16,
        Kernel::TargetLoss(TargetLoss { geometry: g }) => g.rows + g.classes + 32,
        // Both the sum over classes and, in weights of labels, over images.
        Kernel::TargetLossBackward(TargetLossBackward { geometry: g, .. }) => g.rows + g.classes + 32,
        Kernel::BnApply(_)
        | Kernel::BnBackwardApply(_)
        | Kernel::BnCombine(_)
        | Kernel::BnCombineSums(_)
        | Kernel::RunningRstd(_)
        | Kernel::GroupApply(_)
        | Kernel::GroupBackwardApply(_)
        | Kernel::Affine(_)
        | Kernel::Activate(_)
        | Kernel::ActivateBackward(_)
        | Kernel::Add(_)
        | Kernel::Mul(_)
        | Kernel::ScaleShift(_)
        | Kernel::Drop(_)
        | Kernel::MaxPool(_)
        | Kernel::GlobalAvgPoolBackward(_)
        | Kernel::GlobalMaxPool(_)
        | Kernel::GlobalMaxPoolBackward(_)
        | Kernel::Concat(_)
        | Kernel::ChannelSlice(_)
        | Kernel::PadShortcut(_)
        | Kernel::PadShortcutBackward(_)
        | Kernel::AccumulateGradients(_)
        | Kernel::AllReduce(_)
        | Kernel::AllReduceWait(_)
        | Kernel::AllGather(_)
        | Kernel::AllGatherWait(_)
        | Kernel::AllFinite(_)
        | Kernel::Average(_)
        | Kernel::LossScaleUpdate(_) => 1,
        Kernel::ClipGradients(ClipGradients { len, .. }) => len.min(256),
        // Products over the longer side.
        Kernel::Update(Update { matrix: Some(matrix), .. }) => matrix.sides()[0],
        // A thread's share of the squares, and the tree above it.
        Kernel::Update(Update { len, rule, .. }) => {
            if rule.per_tensor() {
                len.min(256)
            } else {
                1
            }
        }
    }
}

/// The kernel without its nonlinearities; all activations have a slope of at most 1.5 (that of hard_swish), so none enlarges
/// an error beyond the bounds' reserve.
fn linear_part(kernel: &Kernel) -> Kernel {
    let bare = |e: Epilogue| Epilogue { act: None, ..e };
    match kernel.clone() {
        Kernel::Conv(Conv { geometry, bias, epilogue }) => {
            Kernel::Conv(Conv { geometry, bias, epilogue: bare(epilogue) })
        }
        Kernel::BnApply(BnApply { rows, channels, epilogue }) => {
            Kernel::BnApply(BnApply { rows, channels, epilogue: bare(epilogue) })
        }
        Kernel::GroupApply(GroupApply { geometry, epilogue }) => {
            Kernel::GroupApply(GroupApply { geometry, epilogue: bare(epilogue) })
        }
        Kernel::Affine(Affine { rows, channels, epilogue }) => {
            Kernel::Affine(Affine { rows, channels, epilogue: bare(epilogue) })
        }
        Kernel::Add(Add { len, act: _ }) => Kernel::Add(Add { len, act: None }),
        Kernel::Mul(Mul { images, pixels, channels, gate, epilogue }) => {
            Kernel::Mul(Mul { images, pixels, channels, gate, epilogue: bare(epilogue) })
        }
        // The decay's term has the other sign than the parameter.
        Kernel::Update(
            update @ Update {
                rule: rule @ (UpdateRule::Sgd(_) | UpdateRule::Lars(_) | UpdateRule::Lamb(_)),
                ..
            },
        ) => Kernel::Update(Update { rule: rule.with_weight_decay(-rule.weight_decay()), ..update }),
        other => other,
    }
}

/// An amount added to every magnitude: the size of intermediate values that the linear part does not show.
fn floor(kernel: &Kernel, data: &[Vec<f32>]) -> f32 {
    let largest = |values: &[f32]| values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let smooth = |act: Option<Activation>| if act.is_some_and(|act| !act.keeps_sign()) { 1.0 } else { 0.0 };
    match *kernel {
        Kernel::Conv(Conv { epilogue, .. })
        | Kernel::BnApply(BnApply { epilogue, .. })
        | Kernel::GroupApply(GroupApply { epilogue, .. })
        | Kernel::Affine(Affine { epilogue, .. })
        | Kernel::Mul(Mul { epilogue, .. }) => smooth(epilogue.act),
        Kernel::Add(Add { act, .. }) => smooth(act),
        Kernel::Activate(Activate { act, .. }) => smooth(Some(act)),
        // The derivatives of silu and gelu have zeros, near which their terms cancel.
        Kernel::ActivateBackward(ActivateBackward { act, .. }) => smooth(Some(act)) * largest(&data[0]),
        Kernel::Softmax(_) | Kernel::CrossEntropy(_) => 1.0 + 2.0 * largest(&data[0]),
        // The mean gradient is moved towards the gradient, by a difference of the two.
        Kernel::Update(Update { rule: UpdateRule::AdamW(_) | UpdateRule::Lion(_), .. }) => largest(&data[2]),
        // The same; and a step is as long as the parameter, whatever its terms cancel.
        Kernel::Update(Update { rule: UpdateRule::Lamb(_), .. }) => largest(&data[2]) + largest(&data[0]),
        // The same; and whatever is lost in a matrix of norm 1 grows by the quintic's slope at 0 in each step of the iteration.
        Kernel::Update(Update { rule: UpdateRule::Muon(_), matrix: Some(matrix), .. }) => {
            let growth = NEWTON_SCHULZ[0].powi(NEWTON_SCHULZ_STEPS as i32);
            let rate = data[3][0] * matrix.scale() as f32;
            largest(&data[0]) + largest(&data[1]) + largest(&data[2]) + rate * growth
        }
        // The signs of both terms are what they are.
        Kernel::Average(_) => largest(&data[0]) + largest(&data[1]),
        Kernel::CrossEntropyBackward(CrossEntropyBackward { rows, scaled, .. }) => {
            let scale = if scaled { data[2][0] } else { 1.0 };
            (1.0 + 2.0 * largest(&data[0])) / rows as f32 * scale
        }
        // A class' loss is at most a difference of logits, and that of a pair of them; a power multiplies a number's relative error.
        Kernel::TargetLoss(TargetLoss { geometry: g }) => {
            let labels =
                largest_loss(&g) * (1.0 + 2.0 * largest(&data[0])) * g.classes as f32 * g.rows as f32
                    / divisor(&g, data);
            labels + taught(&g, data)
        }
        Kernel::TargetLossBackward(TargetLossBackward { geometry: g, scaled }) => {
            let scale = if scaled { data[data.len() - 1][0] } else { 1.0 };
            let labels = largest_loss(&g) * (1.0 + 2.0 * largest(&data[0])) / divisor(&g, data);
            (labels + taught(&g, data) / g.rows as f32) * scale
        }
        _ => 0.0,
    }
}

/// The largest class weight that tests generate, by how far a focal loss carries the error of what its power is taken of.
fn largest_loss(g: &LossGeometry) -> f32 {
    let power = match g.objective {
        Objective::Focal { gamma, .. } | Objective::SoftmaxFocal { gamma } => 1.0 + gamma,
        Objective::CrossEntropy | Objective::BinaryCrossEntropy { .. } => 1.0,
    };
    1.5 * power
}

/// What is distilled: a difference of logits over the temperature, times its square.
fn taught(g: &LossGeometry, data: &[Vec<f32>]) -> f32 {
    let Some(Distillation { alpha, temperature, hard }) = g.distillation else { return 0.0 };
    let largest = |values: &[f32]| values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let t = if hard { 1.0 } else { temperature };
    let apart = 2.0 * (largest(&data[0]) + largest(&data[2 + 2 * usize::from(g.mixed)]));
    alpha * t * t.max(1.0) * (1.0 + apart / t)
}

/// What a loss is divided by.
fn divisor(g: &LossGeometry, data: &[Vec<f32>]) -> f32 {
    let weights = || {
        let at = 2 + usize::from(g.distillation.is_some());
        data[1].iter().map(|&label| data[at][label as usize]).sum()
    };
    g.divisor().map_or_else(weights, |divisor| divisor as f32)
}

/// Largest difference allowed for each element of [`Results`].
///
/// # Errors
/// Those of the oracle.
pub fn bounds(kernel: &Kernel, data: &[Vec<f32>], exact: &Results) -> Result<Results> {
    let operands = signature(kernel).inputs;
    let signed = operands.iter().zip(data).map(|(operand, values)| match operand.sign {
        0 => values.clone(),
        sign => values.iter().map(|v| v.abs() * f32::from(sign)).collect::<Vec<f32>>(),
    });
    let signed: Vec<Vec<f32>> = signed.collect();
    let mut magnitudes = run_kernel(&mut oracle(), &linear_part(kernel), &signed, &[])?;
    if let Kernel::BnStats(BnStats { rows, channels, .. }) = *kernel {
        statistics_magnitudes(rows, channels, data, exact, &mut magnitudes);
    }
    if let Kernel::BnMoments(BnMoments { rows, channels }) = *kernel {
        for c in 0..channels {
            let squares: f32 = data[0].iter().skip(c).step_by(channels).map(|x| x * x).sum();
            magnitudes.outputs[1][c] = 4.0 * squares / rows as f32;
        }
    }
    if let Kernel::GroupStats(GroupStats { geometry: g, .. }) = *kernel {
        // In logical order a group's elements lie side by side.
        for (at, group) in data[0].chunks_exact(g.pixels * g.channels / g.groups).enumerate() {
            let squares = group.iter().map(|x| x * x).sum::<f32>() / group.len() as f32;
            magnitudes.outputs[1][at] = deviation_magnitude(squares, exact.outputs[1][at]);
        }
    }
    let (factor, floor) = ((terms(kernel) + 8) as f32 * EPS, floor(kernel, data));
    let scale = |v: &mut f32| *v = factor * (v.abs() + floor);
    magnitudes.outputs.iter_mut().chain(&mut magnitudes.inputs).flatten().for_each(scale);
    Ok(magnitudes)
}

/// The variance's error is at most about that of a mean of squares, whichever way it is computed; for
/// `rstd = (var + eps)^(-1/2)` that gives `rstd^3 / 2` times as much.
fn deviation_magnitude(squares: f32, rstd: f32) -> f32 {
    4.0 * squares * rstd.powi(3) / 2.0 + rstd
}

/// Of batch statistics, the running ones too.
fn statistics_magnitudes(
    rows: usize,
    channels: usize,
    data: &[Vec<f32>],
    exact: &Results,
    magnitudes: &mut Results,
) {
    let unbias = rows as f32 / (rows.max(2) - 1) as f32;
    for c in 0..channels {
        let squares: f32 = data[0].iter().skip(c).step_by(channels).map(|x| x * x).sum::<f32>() / rows as f32;
        let rstd = exact.outputs[1][c];
        magnitudes.outputs[1][c] = deviation_magnitude(squares, rstd);
        magnitudes.inputs[2][c] = 4.0 * squares * unbias + data[2][c];
    }
}

/// Which outputs may lie on which inputs, as `(output, input)` pairs: none, each one alone, each two that go together.
fn placements(kernel: &Kernel) -> Vec<Vec<(usize, usize)>> {
    let pairs = in_place(kernel);
    let mut placements = vec![Vec::new()];
    placements.extend(pairs.iter().map(|&pair| vec![pair]));
    for (i, &a) in pairs.iter().enumerate() {
        let apart = pairs[i + 1..].iter().filter(|b| b.0 != a.0 && b.1 != a.1);
        placements.extend(apart.map(|&b| vec![a, b]));
    }
    placements
}

/// Runs a kernel on random data on a device and on the oracle, and compares all it wrote; also in place where it may, and in each
/// narrow type that the device multiplies in.
///
/// # Errors
/// Says the kernel and the first element that differs by more than its bound.
pub fn check_kernel(
    new_device: &dyn Fn() -> Box<dyn Session>,
    kernel: &Kernel,
    seed: u64,
) -> std::result::Result<(), String> {
    check_kernel_with(new_device, kernel, seed, Products::Whole)
}

/// What a device does to a convolution's result before what comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// It adds residual and bias to the sum.
    Whole,
    /// It stores the sum, rounded as the result is; the weight's gradient, in a narrow product, rounded as the factors are.
    Stored,
}

/// As [`check_kernel`], for a device that may store products.
///
/// # Errors
/// As there.
pub fn check_kernel_with(
    new_device: &dyn Fn() -> Box<dyn Session>,
    kernel: &Kernel,
    seed: u64,
    products: Products,
) -> std::result::Result<(), String> {
    let narrow = new_device().device().backend().narrow;
    for kernel in in_each_type(kernel, narrow) {
        for stored in stored_signatures(&kernel, narrow) {
            check_stored(new_device, &kernel, &stored, seed, products)?;
        }
    }
    Ok(())
}

/// Kernels of each kind that the suites run.
pub const CASES: u64 = 40;

/// Runs [`CASES`] random kernels of a kind: the numbers of those that disagree with the oracle, each with its fault.
pub fn faults_of_kind(
    new_device: &dyn Fn() -> Box<dyn Session>,
    make: Maker,
    products: Products,
) -> impl Iterator<Item = (u64, String)> {
    (0..CASES).filter_map(move |case| {
        let kernel = make(&mut Rng::new(case));
        Some((case, check_kernel_with(new_device, &kernel, case, products).err()?))
    })
}

/// Runs every kind of kernel.
///
/// # Panics
/// With the first fault of each kind that has one.
pub fn check_all_kinds(new_device: &dyn Fn() -> Box<dyn Session>, products: Products) {
    let first = |&(kind, make): &(&str, Maker)| {
        let (case, fault) = faults_of_kind(new_device, make, products).next()?;
        Some(format!("{kind}, case {case}: {fault}"))
    };
    let faults: Vec<String> = MAKERS.iter().filter_map(first).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The same with maps stored as one of the kernel's signatures says. The oracle computes on the same numbers, but
/// stores them whole.
fn check_stored(
    new_device: &dyn Fn() -> Box<dyn Session>,
    kernel: &Kernel,
    stored: &Signature,
    seed: u64,
    products: Products,
) -> std::result::Result<(), String> {
    let mut rng = Rng::new(seed);
    let data: Vec<Vec<f32>> = stored.inputs.iter().map(|o| o.generate(&mut rng)).collect();
    let fail = |e: resnetc_runtime::error::Error| format!("{kernel:?}: {e}");
    let exact = run_kernel(&mut oracle(), kernel, &data, &[]).map_err(fail)?;
    let mut bounds = bounds(kernel, &data, &exact).map_err(fail)?;
    allow_rounding(stored, &exact, &mut bounds);
    if products == Products::Stored {
        allow_stored_product(kernel, stored, &data, &mut bounds).map_err(fail)?;
        allow_narrow_gradient(kernel, &exact, &mut bounds);
    }
    for in_place in placements(kernel) {
        let mut device = new_device();
        let got = run_stored(&mut *device, kernel, stored, &data, &in_place).map_err(fail)?;
        let mut pairs: Vec<_> = exact.outputs.iter().zip(&got.outputs).zip(&bounds.outputs).collect();
        if in_place.is_empty() {
            pairs.extend(exact.inputs.iter().zip(&got.inputs).zip(&bounds.inputs));
        }
        for (tensor, ((exact, got), bounds)) in pairs.into_iter().enumerate() {
            for (i, ((e, g), bound)) in exact.iter().zip(got).zip(bounds).enumerate() {
                let error = (e - g).abs();
                // Infinite ones are equal, though they have no difference.
                if e != g && (error.is_nan() || error > *bound) {
                    return Err(format!(
                        "{kernel:?} on {}, {}, in place {in_place:?}: tensor {tensor}, element {i}: {g}, not {e} +- {bound:e}",
                        device.device().describe(),
                        stored.types(),
                    ));
                }
            }
        }
    }
    Ok(())
}

/// By what share of a number a narrow type rounds it at most, half of the last of its 8 or 11 bits, and by how much at least: what is
/// subnormal may become zero in bf16, and has a fixed last bit in f16. Nothing for types that hold all.
fn rounding(dtype: Element) -> Option<(f32, f32)> {
    match dtype {
        Element::Bf16 => Some((1.0 / 256.0, f32::MIN_POSITIVE)),
        Element::F16 => Some((1.0 / 2048.0, f32::from(half::f16::MIN_POSITIVE_SUBNORMAL))),
        Element::F32 | Element::U8 | Element::U32 | Element::U64 => None,
    }
}

/// Results in narrow types are rounded.
fn allow_rounding(stored: &Signature, exact: &Results, bounds: &mut Results) {
    for ((operand, exact), bounds) in stored.outputs.iter().zip(&exact.outputs).zip(&mut bounds.outputs) {
        let Some((share, least)) = rounding(operand.dtype) else { continue };
        for (e, bound) in exact.iter().zip(bounds) {
            *bound += (e.abs() + *bound) * share + least;
        }
    }
}

/// A product in a narrow type that is stored before residual and bias are added is rounded once more, by as much as that type rounds
/// *it*; activations have slopes of at most 1.5.
fn allow_stored_product(
    kernel: &Kernel,
    stored: &Signature,
    data: &[Vec<f32>],
    bounds: &mut Results,
) -> Result<()> {
    let product: Kernel = match *kernel {
        Kernel::Conv(Conv { geometry, .. }) => {
            Conv { geometry, bias: false, epilogue: Epilogue::default() }.into()
        }
        Kernel::ConvBackwardData(ConvBackwardData { geometry, .. }) => {
            ConvBackwardData { geometry, residual: false }.into()
        }
        _ => return Ok(()),
    };
    if product != *kernel
        && let Some((share, least)) = rounding(stored.outputs[0].dtype)
    {
        let sums = run_kernel(&mut oracle(), &product, &data[..2], &[])?;
        for (bound, sum) in bounds.outputs[0].iter_mut().zip(&sums.outputs[0]) {
            *bound += 1.5 * (sum.abs() * share + least);
        }
    }
    Ok(())
}

/// A weight's gradient that is stored in the factors' type before it becomes `f32`.
fn allow_narrow_gradient(kernel: &Kernel, exact: &Results, bounds: &mut Results) {
    if let Kernel::ConvBackwardFilter(ConvBackwardFilter { geometry }) = kernel
        && let Some((share, least)) = rounding(geometry.precision)
    {
        for (bound, e) in bounds.outputs[0].iter_mut().zip(&exact.outputs[0]) {
            *bound += (e.abs() + *bound) * share + least;
        }
    }
}
