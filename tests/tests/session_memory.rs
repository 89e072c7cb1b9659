//! A further session of a device takes no memory for weights.
//!
//! The only test of its binary: what is measured is the whole process.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use resnetc_compiler::ir::graph::Mode;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::device::Device;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_tests::specs::{plan, resolve};

/// The last unit has 36 MB of weights and small maps.
const SPEC: &str = "\
name: wide
input: [3, 16, 16]
classes: 10
stem: conv3x3(8, stride=4) -> bn -> relu
unit: basic
shortcut: projection
stages: [{depth: 1, filters: 1024, stride: 2}]
head: global_avgpool -> linear(classes)
";

fn logits(executor: &mut Executor, images: &[f32]) -> Vec<f32> {
    executor.set_input_nhwc(0, images).expect("they fit");
    executor.run(0, &RunArgs::default(), None).expect("it runs");
    executor.output(0, "logits").expect("a network has logits")
}

/// Bytes of this process that lie in memory now.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("of every process");
    let kilobytes: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    1024 * kilobytes
}

/// The second session takes an arena and a workspace: much less than the weights, which are there twice already, plain and
/// packed.
#[test]
fn a_further_session_has_no_weights_of_its_own() {
    let device = Arc::new(CpuDevice::new(Some(1)).expect("a thread"));
    let spec = resolve(SPEC);
    let plan = plan(&spec, Mode::Infer, 1);
    let program = device.load(Arc::clone(&plan)).expect("it loads");
    let open = || Executor::attached(device.clone(), program, Arc::clone(&plan)).expect("there is memory");
    let mut first = open();
    let weights = initial(&resnetc_tests::specs::plan(&spec, Mode::Train, 1), 1).expect("own tensors");
    first.load_params(&weights).expect("its own weights");
    drop(weights);
    let images = vec![0.5; 3 * 16 * 16];
    let expected = logits(&mut first, &images);
    let before = resident();
    let mut second = open();
    assert_eq!(logits(&mut second, &images), expected);
    let taken = resident().saturating_sub(before);
    let weights = plan.sizes.params;
    assert!(weights > 32 << 20, "{weights} bytes of weights");
    assert!(taken < weights / 4, "a second session took {taken} bytes, the weights have {weights}");
}
