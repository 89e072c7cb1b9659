//! Groups of parameters: frozen parts have no backward pass, no gradients and no state; what is trained learns as it would beside them;
//! rates and decays are those of the rules; clipped gradients are within their bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{Kernel, Plan, Slot};
use resnetc_compiler::report::Target;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::init::initial;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_tests::specs;
use resnetc_tests::training::Session;

/// Its normalisations look at each image by itself: frozen ones compute what others do.
fn network(norm: &str, train: &str) -> String {
    format!(
        "name: small\ninput: [3, 16, 16]\nclasses: 10\nunit: basic\nstem: conv3x3(8) -> {norm} -> relu\n\
         norm: {norm}\nstages:\n  - {{depth: 1, filters: 8}}\n  - {{depth: 1, filters: 16, stride: 2}}\n\
         head: global_avgpool -> linear(classes)\ntrain: {{{train}}}\n"
    )
}

fn plan(norm: &str, train: &str) -> Plan {
    Arc::unwrap_or_clone(specs::plan(&specs::resolve(&network(norm, train)), Mode::Train, 4))
}

/// Slots of the parameters that a plan trains.
fn trained(plan: &Plan) -> Vec<Slot> {
    let has_state = |slot: &&Slot| plan.optimizer_tensors(slot).next().is_some();
    plan.slots.iter().filter(has_state).cloned().collect()
}

fn gradients(session: &mut Session) -> BTreeMap<String, Vec<f64>> {
    session.loss();
    let named = |slot: Slot| (session.plan.buffer(slot.buffer).name.clone(), session.gradient(slot.buffer));
    trained(&session.plan).into_iter().map(named).collect()
}

/// Steps of the backward pass and of the optimizer.
fn backward(plan: &Plan) -> [usize; 2] {
    let of_optimizer = plan.steps.iter().filter(|step| step.kernel.is_of_optimizer()).count();
    [plan.steps.iter().filter(|step| step.name.starts_with("grad.")).count(), of_optimizer]
}

#[test]
fn what_is_trained_has_the_gradients_that_it_has_beside_trained_parts() {
    let norm = "group_norm(4)";
    let mut whole = Session::new(plan(norm, ""), 7);
    let mut frozen = Session::new(plan(norm, "freeze: [stem, stage1]"), 7);
    let (all, rest) = (gradients(&mut whole), gradients(&mut frozen));
    assert!(!rest.is_empty() && rest.len() < all.len(), "{:?}", rest.keys());
    assert!(
        rest.keys().all(|name| name.starts_with("stage2") || name.starts_with("head")),
        "{:?}",
        rest.keys()
    );
    for (name, gradient) in &rest {
        assert_eq!(gradient, &all[name], "{name}");
    }
}

#[test]
fn frozen_parts_have_no_backward_pass_no_gradients_and_no_state() {
    let [all, some, head] = ["", "freeze: [stem, stage1]", "finetune: head"].map(|train| plan("bn", train));
    assert_eq!([&all, &some, &head].map(backward), [[28, 1], [15, 1], [3, 1]]);
    let left = head.steps.iter().filter(|step| step.name.starts_with("grad."));
    let left: Vec<&str> = left.map(|step| step.kernel.name()).collect();
    assert_eq!(left, ["cross_entropy_backward", "conv_backward_filter", "channel_sum"]);
    let convolutions = |plan: &Plan| {
        let backward =
            |kernel: &Kernel| matches!(kernel, Kernel::ConvBackwardData(_) | Kernel::ConvBackwardFilter(_));
        plan.steps.iter().filter(|step| backward(&step.kernel)).count()
    };
    assert_eq!(convolutions(&head), 1, "the linear layer's weight alone");
    let names: Vec<String> =
        trained(&head).iter().map(|slot| head.buffer(slot.buffer).name.clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(all.sizes.frozen, 0);
    // A weight of [10, 16], and a bias, each in whole cache lines.
    assert_eq!(head.sizes.params - head.sizes.frozen, 640 + 64);
    assert!(head.sizes.arena < all.sizes.arena);
}

/// Where nothing trained lies below, normalisations are those of inference.
#[test]
fn frozen_normalisations_use_their_running_statistics_and_leave_them() {
    let spec = specs::resolve(&network("bn", "finetune: head"));
    let exact =
        || Arc::new(ReferenceDevice::new(candle_core::Device::Cpu, candle_core::DType::F64).expect("f64"));
    let mut training = Executor::new(exact(), specs::plan(&spec, Mode::Train, 4)).expect("it loads");
    let mut inference = Executor::new(exact(), specs::plan(&spec, Mode::Infer, 4)).expect("it loads");
    let mut params = initial(training.plan(0), 3).expect("a training plan");
    // Statistics that no batch has.
    let names: Vec<String> =
        params.iter().filter(|(name, _)| name.contains("running")).map(|(name, _)| name.to_owned()).collect();
    for name in &names {
        let tensor = params.get(name).expect("just listed").clone();
        let data = (0..tensor.data.len()).map(|i| 0.5 + 0.1 * i as f32).collect();
        params.insert(name, tensor.shape, data);
    }
    let images: Vec<f32> = (0..4 * 3 * 256).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    training.load_params(&params).expect("they fit");
    training.set_input_nchw(0, &images).expect("they fit");
    training.set_labels(0, &[0, 1, 2, 3]).expect("they fit");
    training.run(0, &RunArgs { lr: 0.1, ..RunArgs::default() }, None).expect("it runs");
    inference.load_params(&params).expect("they fit");
    inference.set_input_nchw(0, &images).expect("they fit");
    inference.run(0, &RunArgs::default(), None).expect("it runs");
    let [trained, classified] = [&training, &inference].map(|exec| exec.output(0, "logits").expect("logits"));
    for (t, c) in trained.iter().zip(&classified) {
        assert!((t - c).abs() < 1e-5 * (1.0 + c.abs()), "{t}, not {c}");
    }
    let after = training.store_params().expect("a training plan");
    for (name, tensor) in after.iter() {
        let moved = tensor.data != params.get(name).expect("the same tensors").data;
        assert_eq!(moved, name.starts_with("head."), "{name}");
    }
}

#[test]
fn rates_and_decays_are_those_of_the_rules() {
    let rules = "layer_decay: 0.5, finetune: {backbone_lr: 0.5}, \
                 groups: [{match: 'norm|bias', weight_decay: 0}, {match: head, lr_scale: 3}]";
    let plan = plan("bn", rules);
    let mut updates: Vec<(f32, f32, usize)> = Vec::new();
    for step in &plan.steps {
        if let Kernel::Update(update) = &step.kernel {
            updates.push((update.lr_scale, update.rule.weight_decay(), update.len));
        }
    }
    let mut seen: Vec<(f32, f32)> = updates.iter().map(|&(rate, decay, _)| (rate, decay)).collect();
    seen.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    // Stem, two units, each with weights and normalisations; the head's weight and bias.
    let expected = [
        (0.0625, 0.0),
        (0.0625, 1e-4),
        (0.125, 0.0),
        (0.125, 1e-4),
        (0.25, 0.0),
        (0.25, 1e-4),
        (3.0, 0.0),
        (3.0, 1e-4),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn clipped_gradients_are_within_their_bounds_and_point_as_before() {
    let free = gradients(&mut Session::new(plan("bn", ""), 5));
    let norm = |gradients: &BTreeMap<String, Vec<f64>>| {
        gradients.values().flatten().map(|g| g * g).sum::<f64>().sqrt()
    };
    let whole = norm(&free);
    assert!(whole > 0.02, "{whole}");
    let clipped = gradients(&mut Session::new(plan("bn", "clip: {norm: 0.01}"), 5));
    assert!((norm(&clipped) - 0.01).abs() < 1e-5, "{}", norm(&clipped));
    for (name, gradient) in &clipped {
        for (c, f) in gradient.iter().zip(&free[name]) {
            assert!((c - f * 0.01 / (whole + 1e-6)).abs() < 1e-9, "{name}: {c} of {f}");
        }
    }
    let clipped = gradients(&mut Session::new(plan("bn", "clip: {value: 0.001}"), 5));
    for (name, gradient) in &clipped {
        for (c, f) in gradient.iter().zip(&free[name]) {
            assert!((c - f.clamp(-0.001, 0.001)).abs() < 1e-9, "{name}: {c} of {f}");
        }
    }
    let loose = gradients(&mut Session::new(plan("bn", "clip: {norm: 1000, value: 1000}"), 5));
    assert_eq!(loose, free);
}

#[test]
fn what_matches_nothing_and_a_training_of_nothing_are_told() {
    let told = |train: &str| {
        let spec = specs::resolve(&network("bn", train));
        let faults = compile(&spec, &Target::new(Mode::Train, 4)).map(|_| ()).expect_err("a wrong spec");
        faults.iter().map(|fault| format!("{fault:?}")).collect::<String>()
    };
    let text = told("freeze: [stage1, stag2]");
    assert!(
        text.contains("`stag2` matches no parameter") && text.contains("did you mean `stage2`?"),
        "{text}"
    );
    let text = told("groups: [{match: 'bias|convs', lr_scale: 2}]");
    assert!(text.contains("`convs` matches no parameter"), "{text}");
    let text = told("freeze: ['*']");
    assert!(text.contains("nothing is left to train"), "{text}");
}
