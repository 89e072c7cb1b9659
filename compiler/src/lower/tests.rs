//! Plans in half precision: their maps, and what a scaled loss adds.

use crate::backend::Backend;
use crate::compile;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::Mode;
use crate::ir::persistent::Role;
use crate::ir::types::DType;
use crate::plan::{Plan, Region, print};
use crate::report::Target;
use crate::source::SourceMap;
use crate::spec::{Request, limits::Limits, load};

const SMALL: &str = "name: small\ninput: [3, 16, 16]\nclasses: 10\nunit: basic\nstem: conv3x3(8) -> bn -> relu\n\
                     stages:\n  - {depth: 1, filters: 8}\n  - {depth: 1, filters: 16, stride: 2}\n\
                     head: global_avgpool -> linear(classes)\n";

fn compiled(train: &str, backend: Backend, mode: Mode) -> Result<Plan, Vec<Diagnostic>> {
    compiled_for(train, &Target { backend, ..Target::new(mode, 2) })
}

fn compiled_for(train: &str, target: &Target) -> Result<Plan, Vec<Diagnostic>> {
    let text = format!("{SMALL}train: {{{train}}}\n");
    let none = |path: &str| Err(std::io::Error::other(path.to_string()));
    let limits = Limits::default();
    let request = Request { name: "small.yaml", text: &text, overrides: &[], read: &none, limits };
    let spec = load(&request, &mut SourceMap::default()).expect("a right spec");
    Ok(compile(&spec, target)?.plan)
}

fn plan(train: &str, mode: Mode) -> Plan {
    compiled(train, Backend::CUDA, mode).expect("what CUDA multiplies in")
}

fn kernels(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(|step| step.kernel.name()).collect()
}

#[test]
fn half_precision_with_a_dynamic_scale() {
    let plan = plan("precision: fp16", Mode::Train);
    assert_eq!(plan.check(), Vec::<String>::new());
    insta::assert_snapshot!(print::print(&plan));
}

#[test]
fn a_static_scale_has_no_state_but_a_count() {
    let plan = plan("precision: fp16, loss_scale: 1024", Mode::Train);
    assert_eq!(plan.check(), Vec::<String>::new());
    let own = plan.slots.iter().filter(|slot| !slot.role.of_network()).map(|slot| slot.role);
    assert_eq!(own.collect::<Vec<_>>(), [Role::StaticLossScale, Role::SkippedSteps]);
    let last = plan.steps.last().expect("a training has steps");
    assert_eq!((last.kernel.name(), last.kernel.geometry().as_str()), ("loss_scale_update", "static"));
    let names: Vec<_> = last.operands().inputs.iter().map(|operand| operand.name).collect();
    assert_eq!(names, ["finite", "skipped"]);
}

/// Other precisions have the range that gradients need; inference has no loss.
#[test]
fn only_training_in_half_precision_scales_its_loss() {
    let cases = [("precision: fp16", Mode::Infer), ("precision: bf16", Mode::Train), ("", Mode::Train)];
    for plan in cases.map(|(train, mode)| plan(train, mode)) {
        assert!(plan.slots.iter().all(|slot| slot.role.of_network()));
        assert!(!kernels(&plan).iter().any(|name| ["all_finite", "loss_scale_update"].contains(name)));
    }
}

/// All plans of a training share the persistent regions.
#[test]
fn the_state_of_a_scaled_loss_lies_behind_the_statistics() {
    let [scaled, plain] = ["precision: fp16", "precision: bf16"].map(|train| plan(train, Mode::Train));
    let state = |plan: &Plan| {
        let lie = plan.slots.iter().map(|slot| plan.buffer(slot.buffer));
        let lie = lie.filter(|buffer| buffer.region == Region::State);
        lie.map(|buffer| (buffer.name.clone(), buffer.offset)).collect::<Vec<_>>()
    };
    let (scaled, plain) = (state(&scaled), state(&plain));
    assert_eq!(scaled[..plain.len()], plain);
    assert_eq!(scaled.len(), plain.len() + 3);
}

/// A kernel that multiplies takes maps of its factors' type, and of no other.
#[test]
fn maps_have_the_type_of_the_factors() {
    let mut plan = plan("precision: fp16", Mode::Train);
    assert_eq!(plan.check_memory(), Vec::<String>::new());
    for buffer in plan.buffers.iter_mut().filter(|buffer| buffer.dtype == DType::F16) {
        buffer.dtype = DType::Bf16;
    }
    let faults = plan.check_memory();
    assert!(faults.iter().any(|fault| fault.contains("bf16 is no `x` of")), "{faults:?}");
}

#[test]
fn tf32_is_told_where_the_backend_has_it() {
    let head = |train: &str, backend| {
        let plan = compiled(train, backend, Mode::Infer).expect("a right spec");
        (plan.tf32, print::print(&plan).lines().next().map(str::to_owned).expect("a first line"))
    };
    let (on, first) = head("tf32: true", Backend::CUDA);
    assert!(on && first.starts_with("plan small, infer, batch 2, tf32: "), "{first}");
    for (train, backend) in [
        ("tf32: true", Backend::CPU),
        ("tf32: true, precision: bf16", Backend::CUDA),
        ("tf32: false", Backend::CUDA),
    ] {
        let (on, first) = head(train, backend);
        assert!(!on && !first.contains("tf32"), "{train}, {}: {first}", backend.name);
    }
}

#[test]
fn plans_are_deterministic_unless_spec_and_backend_let_them_be_otherwise() {
    let head = |train: &str, backend| {
        let plan = compiled(train, backend, Mode::Train).expect("a right spec");
        (plan.deterministic, print::print(&plan).lines().next().map(str::to_owned).expect("a first line"))
    };
    let (deterministic, first) = head("deterministic: false", Backend::CUDA);
    assert!(!deterministic && first.contains("batch 2, nondeterministic: "), "{first}");
    for (train, backend) in [
        ("deterministic: false", Backend::CPU),
        ("deterministic: true", Backend::CUDA),
        ("precision: f32", Backend::CUDA),
    ] {
        let (deterministic, first) = head(train, backend);
        assert!(deterministic && !first.contains("deterministic"), "{train}, {}: {first}", backend.name);
    }
}

#[test]
fn what_a_backend_does_not_multiply_in_is_refused_with_the_ways_out() {
    for mode in [Mode::Infer, Mode::Train] {
        let faults = compiled("precision: fp16", Backend::CPU, mode).expect_err("not on the CPU");
        let told: Vec<_> = faults.iter().map(|f| (f.message.as_str(), f.help.as_deref())).collect();
        let help =
            "write `precision: bf16`, or take a device that can: `--device reference` or `--device cuda`";
        assert_eq!(told, [("the device `cpu` does not multiply in fp16", Some(help))]);
    }
}

/// Sums over ranks, as the plan prints them: buckets, and steps with their operands.
fn of_ranks(train: &str, backend: Backend) -> String {
    let target = Target { ranks: 4, backend, ..Target::new(Mode::Train, 2) };
    let plan = compiled_for(train, &target).expect("a right spec");
    assert_eq!(plan.check(), Vec::<String>::new());
    let text = print::print(&plan);
    let told = |line: &&str| {
        ["plan ", "bucket ", "all_reduce", "combine", "bn_moments", "update", "accumulate", "behind"]
            .iter()
            .any(|word| line.contains(word))
    };
    let steps = text.lines().take_while(|line| !line.starts_with("region")).filter(told);
    steps.collect::<Vec<_>>().join("\n")
}

#[test]
fn gradients_are_summed_over_ranks_beside_the_backward_pass() {
    let text = of_ranks("optimizer: {sgd: {decay_norm: false}}", Backend::CPU);
    insta::assert_snapshot!("ranks", text.replace("  ", " "));
}

#[test]
fn common_statistics_are_messages_between_the_steps_of_a_normalisation() {
    let text = of_ranks("accumulate: 2, parallel: {sync_bn: true, gradients: bf16}", Backend::CPU);
    insta::assert_snapshot!("ranks_sync_bn", text.replace("  ", " "));
}

/// The same steps in another order of memory: buckets follow the gradients, and those of GPUs lie farther apart.
#[test]
fn gpus_have_the_same_steps_between_ranks() {
    let text = of_ranks("precision: bf16, parallel: {sync_bn: true, gradients: bf16}", Backend::CUDA);
    insta::assert_snapshot!("ranks_cuda", text.replace("  ", " "));
}

/// Each gradient is in one bucket, and nobody touches it before the wait: the plan's check says so of every network and optimizer.
#[test]
fn every_gradient_is_in_one_bucket() {
    for train in [
        "optimizer: lamb, clip: {norm: 1}",
        "optimizer: muon",
        "freeze: [stage1]",
        "precision: bf16, ema: {}",
    ] {
        let plan =
            compiled_for(train, &Target { ranks: 2, ..Target::new(Mode::Train, 2) }).expect("a right spec");
        assert_eq!(plan.check(), Vec::<String>::new(), "{train}");
        let total: usize = plan.reductions().iter().map(|sum| sum.bytes).sum();
        let trained = plan.sizes.params - plan.sizes.frozen;
        // But for what aligns the last one of each bucket.
        assert!(
            total <= trained && total + plan.align * plan.reductions().len() >= trained,
            "{train}: {total} of {trained}"
        );
    }
}
