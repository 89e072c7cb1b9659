//! The gradient of ReLU behind a convolution's gradient of its input, on the emulated GPU.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::data::batch::{Batch, Form};
use resnetc_runtime::device::{Device, Until};
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{DENSENET, plan_for, resolve};

const BATCH: usize = 4;
const STEPS: u64 = 3;

/// Units behind units: of identities, whose gradient is added before the mask, and of a projection, whose gradient is a convolution's too.
fn net(act: &str) -> String {
    format!(
        "
name: small
input: [3, 8, 8]
classes: 4
stem: conv3x3(8) -> bn -> {act}
unit: own
shortcut: projection
stages: [{{depth: 3, filters: 8}}, {{depth: 2, filters: 16, stride: 2}}]
head: global_avgpool -> linear(classes)
units:
  own(f, stride): |
    main = x -> conv3x3(f, stride) -> bn -> {act} -> conv3x3(f) -> bn
    out  = main + shortcut -> {act}
"
    )
}

fn plan(text: &str, precision: &str) -> Arc<Plan> {
    let spec = resolve(&format!("{text}train: {{precision: {precision}}}"));
    plan_for(&spec, Mode::Train, BATCH, Backend::CUDA)
}

/// The weights after some steps, and how many works have a mask.
fn trained(fuses: bool, plan: &Arc<Plan>) -> (ParamStore, usize) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let gpu = driver(folder, Threads::Fibers, Choices { seed: 2, fuses, memory: None });
    let device: Arc<dyn Device> = Arc::new(CudaDevice::new(Arc::new(gpu)));
    let mut executor = Executor::new(Arc::clone(&device), Arc::clone(plan)).expect("it loads");
    executor.load_params(&initial(plan, 3).expect("initial weights")).expect("its own weights");
    let mut rng = Rng::new(5);
    let len = plan.buffer(plan.input).shape.numel().expect("a small input");
    for step in 0..STEPS {
        let images = (0..len).map(|_| rng.normal()).collect();
        let batch = Batch { images, labels: vec![0, 1, 2, 3], ..Batch::default() };
        let args = RunArgs { lr: 0.05, step, ..RunArgs::default() };
        executor.submit(0, &batch, Form::Floats, &args).expect("it runs");
    }
    executor.collect(Until::All).expect("all have run");
    let engines = device.engines().expect("it tells").chosen;
    let masked = engines.iter().filter(|(work, engine)| work.contains("+ drelu") && engine.is_some());
    (executor.store_params().expect("a training's weights"), masked.count())
}

/// A mask takes elements as they are or not at all, so that nothing is rounded otherwise.
#[test]
fn masked_gradients_are_those_of_a_pass_of_its_own() {
    let plan = plan(&net("relu"), "f32");
    let ((fused, masked), (parts, none)) = (trained(true, &plan), trained(false, &plan));
    assert!(masked >= 2 && none == 0, "{masked}, {none}");
    assert_eq!(fused, parts);
}

#[test]
fn narrow_gradients_are_masked_too() {
    let (_, masked) = trained(true, &plan(&net("relu"), "bf16"));
    assert!(masked >= 2, "{masked}");
}

#[test]
fn other_activations_and_signs_that_are_computed_anew_are_left_alone() {
    for text in [net("silu"), net("relu6"), DENSENET.to_owned()] {
        assert_eq!(trained(true, &plan(&text, "f32")).1, 0, "{text}");
    }
}
