//! Feature maps stored as bf16: which they are, and that devices agree on what comes out.

use std::sync::Arc;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{Buffer, Plan, Region};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Device;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::init;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_tests::generate::spec;
use resnetc_tests::plans::cpu_session;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs;
use resnetc_tests::training::{Session, feed, gradient_of, length_apart, transfer};

/// A bottleneck network with `shortcut` where shapes change.
fn bottlenecks(shortcut: &str, precision: &str) -> String {
    format!(
        "name: small\ninput: [3, 32, 32]\nclasses: 10\nunit: bottleneck\nshortcut: {shortcut}\n\
         stem: conv7x7(32, stride=2) -> bn -> relu -> maxpool3x3(stride=2)\n\
         stages:\n  - {{depth: 2, filters: 16}}\n  - {{depth: 1, filters: 32, stride: 2}}\n\
         head: global_avgpool -> linear(classes)\ntrain: {{precision: {precision}}}\n"
    )
}

fn plan(text: &str, mode: Mode) -> Arc<Plan> {
    specs::plan(&specs::resolve(text), mode, 3)
}

/// Names of the arena's maps that are `f32`, and of those that are bf16.
fn maps(plan: &Plan) -> [Vec<&str>; 2] {
    let of = |dtype: DType| {
        let is = |b: &&Buffer| b.region == Region::Arena && b.shape.rank() == 4 && b.dtype == dtype;
        plan.buffers.iter().filter(is).map(|b| b.name.as_str()).collect()
    };
    [of(DType::F32), of(DType::Bf16)]
}

#[test]
fn maps_between_convolutions_are_narrow() {
    let plan = plan(&bottlenecks("projection", "bf16"), Mode::Infer);
    let [wide, narrow] = maps(&plan);
    assert_eq!(wide, ["input", "head.pool"]);
    let convolutions = plan.steps.iter().filter(|step| step.kernel.name() == "conv").count();
    // All but the head's make a map; the stem's goes through a pooling.
    assert_eq!(narrow.len(), convolutions);
}

/// Copies of channels know `f32` only, and so do all that make or read what is copied.
#[test]
fn maps_of_other_kernels_are_wide() {
    let text = "name: small\ninput: [3, 32, 32]\nclasses: 10\n\
                units:\n  dense(growth): out = concat(x, x -> bn -> relu -> conv1x1(4 * growth) -> bn -> relu -> conv3x3(growth))\n\
                stem: conv3x3(16)\n\
                stages:\n  - {unit: dense(8), depth: 2}\n\
                head: bn -> relu -> conv1x1(24) -> global_avgpool -> linear(classes)\ntrain: {precision: bf16}\n";
    let plan = plan(text, Mode::Train);
    let [wide, narrow] = maps(&plan);
    let copied: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| ["concat", "channel_slice"].contains(&step.kernel.name()))
        .flat_map(|step| step.inputs.iter().chain(&step.outputs).map(|&id| plan.buffer(id).name.as_str()))
        .collect();
    assert!(!copied.is_empty() && copied.iter().all(|name| wide.contains(name)), "{wide:?}");
    assert!(narrow.contains(&"head.conv"), "{narrow:?}");
}

#[test]
fn single_precision_stores_no_map_narrow() {
    for mode in [Mode::Infer, Mode::Train] {
        let plan = plan(&bottlenecks("projection", "f32"), mode);
        assert_eq!(maps(&plan)[1], Vec::<&str>::new(), "{mode:?}");
    }
}

/// All but the images, and what comes behind the last map.
#[test]
fn training_stores_maps_and_their_gradients_narrow() {
    let plan = plan(&bottlenecks("projection", "bf16"), Mode::Train);
    let [wide, narrow] = maps(&plan);
    assert_eq!(wide, ["input", "head.pool", "grad.head.pool"]);
    for name in ["stem.conv1", "stage1.unit0.conv3", "grad.stage1.unit0.conv3"] {
        assert!(narrow.contains(&name), "{narrow:?}");
    }
}

#[test]
fn narrow_maps_take_half_the_memory() {
    let [wide, narrow] =
        ["f32", "bf16"].map(|p| plan(&bottlenecks("projection", p), Mode::Infer).sizes.arena);
    assert!(narrow * 3 < wide * 2, "{narrow} of {wide} bytes");
}

fn logits(device: Arc<dyn Device>, plan: &Arc<Plan>, text: &str) -> Vec<f32> {
    let weights = init::initial(&self::plan(text, Mode::Train), 5).expect("initial weights");
    let mut executor = Executor::new(device, plan.clone()).expect("it loads");
    executor.load_params(&weights).expect("its own weights");
    let mut rng = Rng::new(9);
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    let images: Vec<f32> = (0..len).map(|_| rng.normal()).collect();
    executor.set_input_nhwc(0, &images).expect("three images");
    executor.run(0, &RunArgs { lr: 0.0, seed: 1, step: 0, ..RunArgs::default() }, None).expect("it runs");
    executor.output(0, "logits").expect("a network has logits")
}

/// Both round at the same places. Where their sums, which differ by 1e-6 of themselves, lie on different sides of a tie, one
/// element is off by `2^-8`; of ten thousand elements that is about one, so that the whole is off by far less.
const TOLERANCE: f64 = 5e-3;

fn devices_agree(text: &str) {
    let plan = plan(text, Mode::Infer);
    let expected = logits(Arc::new(ReferenceDevice::cpu().expect("Candle's CPU")), &plan, text);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let found = logits(Arc::new(CpuDevice::with_isa(2, isa).expect("two threads")), &plan, text);
        let square = |x: f32| f64::from(x).powi(2);
        let difference: f64 = found.iter().zip(&expected).map(|(f, e)| square(f - e)).sum();
        let distance = (difference / expected.iter().map(|&e| square(e)).sum::<f64>()).sqrt();
        assert!(distance < TOLERANCE, "{} is off by {distance:e}\n{text}", isa.name());
    }
}

#[test]
fn devices_agree_on_bottlenecks() {
    devices_agree(&bottlenecks("projection", "bf16"));
    devices_agree(&bottlenecks(
        "{same: identity, changed: avgpool2x2(stride) -> conv1x1(out) -> bn}",
        "bf16",
    ));
}

#[test]
fn devices_agree_on_random_networks() {
    for seed in 0..16 {
        devices_agree(&(spec(&mut Rng::new(seed)) + "train: {precision: bf16}\n"));
    }
}

/// Gradients pass more maps than logits do, and normalisations over few rows make an error of one element twenty times as large:
/// 6.4e-3 is the largest distance that was seen.
const TRAINED: f64 = 2e-2;

/// Forward and backward on the oracle, which rounds at the same places, and on each instruction set: all gradients.
fn devices_train_alike(text: &str) {
    let mut session = Session::new(Arc::unwrap_or_clone(plan(text, Mode::Train)), 3);
    let plan = session.plan.clone();
    session.loss();
    let gradients: Vec<_> =
        session.trained().into_iter().map(|slot| gradient_of(&plan, slot.buffer)).collect();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let mut cpu = cpu_session(2, isa);
        let program = transfer(&session, &mut *cpu);
        feed(&session, &mut *cpu, program);
        cpu.run(program, None).expect("it runs");
        let distance = length_apart(&session, &*cpu, program, &gradients);
        assert!(distance < TRAINED, "{}: gradients are off by {distance:e}\n{text}", isa.name());
    }
}

#[test]
fn devices_train_alike_on_random_networks() {
    for seed in 0..16 {
        devices_train_alike(&(spec(&mut Rng::new(seed)) + "train: {precision: bf16}\n"));
    }
}
