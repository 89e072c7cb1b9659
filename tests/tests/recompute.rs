//! A training step that computes maps again: it keeps to its limit, and leaves the same bits as one that keeps all of them.

use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::recompute::{AGAIN, Depth};
use resnetc_compiler::memory::counts;
use resnetc_compiler::pass::PassId;
use resnetc_compiler::plan::print::print;
use resnetc_compiler::plan::{Kernel, Plan};
use resnetc_compiler::report::{Compiled, Target};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::generate;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::{BOTTLENECK, DENSENET, EVERYTHING, resolve};

const BATCH: usize = 4;

/// A network's training plan, with a limit of memory or without.
fn compiled(text: &str, settings: &str, limit: Option<usize>) -> Result<Compiled, String> {
    let limit = limit.map_or(String::new(), |bytes| format!(", memory_limit: {bytes}B"));
    let text = format!("{text}\ntrain: {{{settings}{limit}}}\n");
    compile(&resolve(&text), &Target::new(Mode::Train, BATCH)).map_err(|faults| {
        faults
            .iter()
            .map(|fault| format!("{}; {}", fault.message, fault.help.clone().unwrap_or_default()))
            .collect()
    })
}

/// About the smallest limit that a network's step can be made to keep to.
fn least(text: &str, settings: &str) -> usize {
    let (mut low, mut high) = (0, compiled(text, settings, None).expect("it compiles").plan.bytes());
    while high > low + (1 << 10) {
        let middle = usize::midpoint(low, high);
        match compiled(text, settings, Some(middle)) {
            Ok(_) => high = middle,
            Err(_) => low = middle,
        }
    }
    high
}

/// What three steps leave: parameters, running statistics, the optimizer's tensors; and the losses on the way.
fn trained(plan: &Plan) -> (ParamStore, ParamStore, Vec<u32>) {
    let device = Arc::new(CpuDevice::new(Some(2)).expect("two threads"));
    let mut executor = Executor::new(device, Arc::new(plan.clone())).expect("it loads");
    executor.load_params(&initial(plan, 3).expect("initial weights")).expect("its own weights");
    let numbers = plan.buffer(plan.input).shape.numel().expect("images");
    let mut rng = Rng::new(5);
    let mut losses = Vec::new();
    for step in 0..3 {
        let images: Vec<f32> = (0..numbers).map(|_| rng.normal()).collect();
        executor.set_input_nhwc(0, &images).expect("a batch");
        executor.set_labels(0, &[0, 1, 0, 1]).expect("as many labels");
        executor.run(0, &RunArgs { lr: 0.05, seed: 3, step, ..RunArgs::default() }, None).expect("it runs");
        losses.push(executor.scalar(0, "loss").expect("a loss").to_bits());
    }
    (executor.store_params().expect("stored"), executor.store_optimizer().expect("stored"), losses)
}

/// Every tensor's bits.
fn bits(store: &ParamStore) -> Vec<(String, Vec<u32>)> {
    store.iter().map(|(name, t)| (name.to_owned(), t.data.iter().map(|v| v.to_bits()).collect())).collect()
}

/// Compares a network's step at three limits with the one without.
fn leaves_the_same_bits(text: &str, settings: &str) {
    let whole = compiled(text, settings, None).expect("it compiles");
    assert!(whole.recompute.is_empty());
    let (params, optimizer, losses) = trained(&whole.plan);
    let (most, least) = (whole.plan.bytes(), least(text, settings));
    assert!(least < most, "{text}: nothing can be saved");
    for share in [0, 1, 2] {
        let limit = least + (most - 1 - least) * share / 3;
        let limited = compiled(text, settings, Some(limit)).expect("it fits");
        assert!(limited.plan.bytes() <= limit, "{} of {limit}", limited.plan.bytes());
        assert!(limited.plan.steps.iter().any(|step| step.name.starts_with(AGAIN)));
        let got = trained(&limited.plan);
        assert_eq!(got.2, losses, "losses at {limit} of\n{text}");
        assert_eq!(bits(&got.0), bits(&params), "weights at {limit} of\n{text}");
        assert_eq!(bits(&got.1), bits(&optimizer), "the optimizer's tensors at {limit} of\n{text}");
    }
}

#[test]
fn bottlenecks_leave_the_same_bits() {
    leaves_the_same_bits(BOTTLENECK, "optimizer: sgd");
    leaves_the_same_bits(BOTTLENECK, "precision: bf16");
}

#[test]
fn dense_units_leave_the_same_bits() {
    leaves_the_same_bits(DENSENET, "optimizer: sgd");
    leaves_the_same_bits(DENSENET, "precision: bf16");
}

#[test]
fn gates_and_random_layers_leave_the_same_bits() {
    leaves_the_same_bits(EVERYTHING, "optimizer: adamw");
    leaves_the_same_bits(EVERYTHING, "precision: bf16");
}

/// Whatever networks there are: with all that can be computed again, and plans are checked for overlaps as they are made.
#[test]
fn random_networks_leave_the_same_bits() {
    let mut tried = 0;
    for seed in 0..12 {
        let text = generate::spec(&mut Rng::new(seed));
        let Ok(whole) = compiled(&text, "optimizer: sgd", None) else { continue };
        let least = least(&text, "optimizer: sgd");
        let limited = compiled(&text, "optimizer: sgd", Some(least)).expect("it fits");
        if limited.recompute.is_empty() {
            continue;
        }
        tried += 1;
        let (params, optimizer, losses) = trained(&whole.plan);
        let got = trained(&limited.plan);
        assert_eq!((got.2, bits(&got.0), bits(&got.1)), (losses, bits(&params), bits(&optimizer)), "{text}");
    }
    assert!(tried >= 6, "{tried} networks had anything to compute again");
}

/// What takes a pass over memory goes first, convolutions last, and statistics are never taken twice.
#[test]
fn the_cheapest_goes_first() {
    let plain = compiled(BOTTLENECK, "optimizer: sgd", None).expect("it compiles");
    let convs = |plan: &Plan| plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::Conv(_))).count();
    let little = compiled(BOTTLENECK, "optimizer: sgd", Some(plain.plan.bytes() - 1)).expect("it fits");
    assert_eq!(counts(&little.recompute).keys().copied().collect::<Vec<_>>(), [Depth::Light]);
    assert_eq!(convs(&little.plan), convs(&plain.plan));
    let least = least(BOTTLENECK, "optimizer: sgd");
    let much = compiled(BOTTLENECK, "optimizer: sgd", Some(least)).expect("it fits");
    assert!(convs(&much.plan) > convs(&plain.plan));
    let statistics =
        |plan: &Plan| plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::BnStats(_))).count();
    assert_eq!(statistics(&much.plan), statistics(&plain.plan));
}

#[test]
fn a_limit_that_nothing_keeps_to_names_the_batch_that_does() {
    let least = least(BOTTLENECK, "optimizer: sgd");
    let refused = compiled(BOTTLENECK, "optimizer: sgd", Some(least * 3 / 4)).expect_err("too little");
    assert!(refused.starts_with("a step of 4 images does not fit into"), "{refused}");
    let largest = refused.split("the largest batch that fits has ").nth(1).expect(&refused);
    let largest: usize = largest.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    let plan = |batch| {
        let text = format!("{BOTTLENECK}\ntrain: {{memory_limit: {}B}}\n", least * 3 / 4);
        compile(&resolve(&text), &Target::new(Mode::Train, batch))
    };
    assert!(plan(largest).is_ok() && plan(largest + 1).is_err(), "{largest}");
    let refused = compiled(BOTTLENECK, "optimizer: sgd", Some(1000)).expect_err("too little");
    assert!(refused.contains("not even one image fits"), "{refused}");
}

/// Other backends round elsewhere and have other fusions; what is computed again is the same graph.
#[test]
fn a_gpu_gets_the_same_pass() {
    let target = Target { backend: Backend::CUDA, ..Target::new(Mode::Train, 32) };
    let limit = compile(&resolve(BOTTLENECK), &target).expect("it compiles").plan.bytes() * 3 / 4;
    let text = format!("{BOTTLENECK}\ntrain: {{memory_limit: {limit}B}}\n");
    let compiled = compile(&resolve(&text), &target).expect("it fits");
    assert!(!compiled.recompute.is_empty() && compiled.plan.bytes() <= limit);
}

/// What the pass says, and the backward pass as it is run: copies stand right before their first reader.
#[test]
fn the_backward_pass_of_a_small_network() {
    let text = "
name: small
input: [3, 8, 8]
classes: 4
stem: conv3x3(4) -> bn -> relu
unit: basic
stages: [{depth: 2, filters: 4}, {depth: 1, filters: 8, stride: 2}]
head: global_avgpool -> linear(classes)
";
    let limit = least(text, "optimizer: sgd");
    let compiled = compiled(text, "optimizer: sgd", Some(limit)).expect("it fits");
    let report = compiled.passes.iter().find(|report| report.pass == PassId::Recompute).expect("it ran");
    let notes = report.notes.iter().map(|note| format!("{}: {}", note.node, note.sentence));
    let plan = print(&compiled.plan);
    let steps = plan.lines().take_while(|line| !line.starts_with("region"));
    let backward = steps.skip_while(|line| !line.contains("cross_entropy_backward"));
    let steps = backward.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    insta::assert_snapshot!(notes.chain(steps).collect::<Vec<_>>().join("\n"));
}
