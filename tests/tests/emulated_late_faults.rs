//! A kernel that fails on a GPU is told of late, by what waits for it; steps that are waited for one by one name it.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::Choices;
use resnetc_runtime::data::batch::{Batch, Form};
use resnetc_runtime::device::Until;
use resnetc_runtime::error::Error;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_tests::emulated::{Threads, driver};
use resnetc_tests::specs::{plan_for, resolve};

const BATCH: usize = 2;
const NET: &str = "
name: small
input: [3, 8, 8]
classes: 4
stem: conv3x3(8) -> bn -> relu
unit: basic
stages: [{depth: 1, filters: 8}]
head: global_avgpool -> linear(classes)
";
const ADVICE: &str = "with `RESNETC_CHECK_STEPS=1` each step is waited for";

/// Runs a plan on a GPU one of whose kernels fails.
fn run(mode: Mode, faulty: Option<&str>, check: bool) -> Result<(), Error> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut gpu = driver(folder, Threads::Fibers, Choices { seed: 1, fuses: false, memory: None });
    if let Some(faulty) = faulty {
        gpu = gpu.with_fault(faulty);
    }
    let device = Arc::new(CudaDevice::new(Arc::new(gpu)).checking_steps(check));
    let plan = plan_for(&resolve(NET), mode, BATCH, Backend::CUDA);
    let mut executor = Executor::new(device, Arc::clone(&plan))?;
    if mode == Mode::Train {
        executor.load_params(&initial(&plan, 3)?)?;
    }
    let images = vec![0.5; plan.buffer(plan.input).shape.numel().expect("a small input")];
    let labels = if mode == Mode::Train { vec![0, 1] } else { Vec::new() };
    let batch = Batch { images, labels, ..Batch::default() };
    executor.submit(0, &batch, Form::Floats, &RunArgs::default())?;
    executor.collect(Until::All)?;
    Ok(())
}

#[test]
fn a_late_fault_is_told_with_the_way_to_find_its_step() {
    for (mode, kernel) in [(Mode::Train, "bn_backward"), (Mode::Infer, "global_avg_pool")] {
        let error = run(mode, Some(kernel), false).expect_err("a kernel fails").to_string();
        assert!(error.contains("work that was under way has failed") && error.contains(ADVICE), "{error}");
        assert!(!error.starts_with("step "), "nobody knows which: {error}");
    }
}

#[test]
fn steps_that_are_waited_for_are_named() {
    for (mode, kernel, step) in [
        (Mode::Train, "bn_backward", "step grad.stage1.unit0.conv2"),
        (Mode::Infer, "global_avg_pool", "step head."),
    ] {
        let error = run(mode, Some(kernel), true).expect_err("a kernel fails").to_string();
        assert!(error.starts_with(step), "{error}");
    }
}

#[test]
fn steps_that_are_waited_for_run_like_others() {
    for mode in [Mode::Train, Mode::Infer] {
        run(mode, None, true).expect("nothing fails");
    }
}
