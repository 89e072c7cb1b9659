//! Parameters that an evaluation takes over from a training on the same GPU are those that the CPU folds, bit for bit.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Recipe;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::device::{Device, ProgramId};
use resnetc_runtime::exec::{Executor, load_params};
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{plan_for, resolve};

/// Biases before a normalisation, normalisations in front, gates, groups, a depthwise convolution.
const NET: &str = "
name: folded
input: [3, 8, 8]
classes: 5
stem: conv3x3(8, bias) -> bn -> relu
unit: mixed
shortcut: projection
stages: [{depth: 2, filters: 8}, {depth: 1, filters: 16, stride: 2}]
head: bn -> relu -> global_avgpool -> linear(classes)
units:
  mixed(f, stride): |
    main = x -> bn -> relu -> conv3x3(f, stride, groups=2) -> bn -> relu -> conv3x3(f, groups=f, bias) -> bn
    gate = main -> global_avgpool -> conv1x1(f / 4, bias) -> relu -> conv1x1(f, bias) -> sigmoid
    out  = main * gate + shortcut
";

fn emulated() -> Arc<dyn Device> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Arc::new(CudaDevice::new(Arc::new(driver(folder, Threads::Fibers, Choices::default()))))
}

/// Weights and statistics of all kinds of sizes; variances are positive.
fn weights(plan: &Plan) -> ParamStore {
    let mut rng = Rng::new(23);
    let mut store = ParamStore::new();
    for slot in plan.slots.iter().filter(|slot| slot.role.of_network()) {
        let buffer = plan.buffer(slot.buffer);
        let values = (0..buffer.shape.numel().expect("a small network"))
            .map(|_| if buffer.name.ends_with("var") { rng.normal().abs() * 0.3 } else { rng.normal() });
        store.insert(&buffer.name, buffer.shape.clone(), values.collect());
    }
    store
}

fn persistent(device: &dyn Device, program: ProgramId, plan: &Plan) -> Vec<(String, Vec<u8>)> {
    let read = |slot: &resnetc_compiler::plan::Slot| {
        let buffer = plan.buffer(slot.buffer);
        let mut bytes = vec![0; buffer.bytes];
        device.read(program, slot.buffer, &mut bytes).expect("a persistent buffer");
        (buffer.name.clone(), bytes)
    };
    plan.slots.iter().map(read).collect()
}

#[test]
fn an_evaluation_takes_over_what_it_would_be_given() {
    for precision in ["f32", "bf16"] {
        let spec = resolve(&format!("{NET}train: {{precision: {precision}}}\n"));
        let training = plan_for(&spec, Mode::Train, 2, Backend::CUDA);
        let inference = plan_for(&spec, Mode::Infer, 3, Backend::CUDA);
        let kinds = |is: fn(&Recipe) -> bool| inference.slots.iter().any(|slot| is(&slot.recipe));
        assert!(kinds(|r| matches!(r, Recipe::FoldedWeight { .. })));
        assert!(kinds(|r| matches!(r, Recipe::FoldedShift { bias: Some(_), .. })));
        assert!(kinds(|r| matches!(r, Recipe::FoldedScale { .. })));
        let store = weights(&training);
        let train = Executor::new(emulated(), Arc::clone(&training)).expect("it loads");
        train.load_params(&store).expect("its own weights");
        let (given, taken) = (emulated(), emulated());
        let [a, b] = [&given, &taken].map(|device| device.load(Arc::clone(&inference)).expect("it loads"));
        load_params(&*given, a, &inference, &store).expect("its own weights");
        assert!(taken.take_over(b, &*train.device(), ProgramId(0)).expect("one GPU"), "without the host");
        let (given, taken) = (persistent(&*given, a, &inference), persistent(&*taken, b, &inference));
        for ((name, given), (_, taken)) in given.iter().zip(&taken) {
            assert!(given == taken, "{precision}: {name}");
        }
    }
}

#[test]
fn nothing_is_taken_over_from_another_kind_of_device() {
    let spec = resolve(NET);
    let training = plan_for(&spec, Mode::Train, 2, Backend::CUDA);
    let device = emulated();
    let program = device.load(Arc::clone(&training)).expect("it loads");
    let reference = ReferenceDevice::cpu().expect("Candle's CPU");
    assert!(!device.take_over(program, &reference, ProgramId(0)).expect("it is refused"));
    assert!(!device.take_over(program, &*device, program).expect("it is refused"));
}
