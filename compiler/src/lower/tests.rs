//! Plans in half precision: their maps, and what a scaled loss adds.

use crate::backend::Backend;
use crate::compile;
use crate::diagnostic::Diagnostic;
use crate::ir::graph::Mode;
use crate::ir::persistent::Role;
use crate::ir::step_kind::StepKind;
use crate::ir::types::DType;
use crate::plan::{GRADIENT_SUM, Plan, Region, print};
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
    compiled_from(SMALL, train, target)
}

fn compiled_from(network: &str, train: &str, target: &Target) -> Result<Plan, Vec<Diagnostic>> {
    let text = format!("{network}train: {{{train}}}\n");
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
        [
            "plan ",
            "bucket ",
            "all_reduce",
            "all_gather",
            "combine",
            "bn_moments",
            "update",
            "accumulate",
            "behind",
        ]
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

/// Each rank's part of a span is updated and averaged, then gathered beside the next span.
#[test]
fn each_rank_updates_its_part_and_all_gather_it() {
    let train = "optimizer: {adamw: {decay_norm: false}}, ema: {}, parallel: {shard_optimizer: true}";
    insta::assert_snapshot!("ranks_sharded", of_ranks(train, Backend::CPU).replace("  ", " "));
}

/// The memory of the optimizer's tensors is that of a part of the parameters, up to what aligns each span's; what is summed over batches is
/// whole. Parameters and gradients lie as they do without.
#[test]
fn the_state_of_each_rank_is_a_part_of_all() {
    let plan = |train: &str, ranks| {
        compiled_for(train, &Target { ranks, ..Target::new(Mode::Train, 2) }).expect("a right spec")
    };
    for train in
        ["optimizer: sgd", "optimizer: adamw, ema: {}", "optimizer: lion, accumulate: 2, freeze: [stage1]"]
    {
        for ranks in [2, 3, 8] {
            let [whole, sharded] = ["false", "true"]
                .map(|sharded| plan(&format!("{train}, parallel: {{shard_optimizer: {sharded}}}"), ranks));
            assert_eq!(sharded.check(), Vec::<String>::new(), "{train}");
            let trained = whole.sizes.params - whole.sizes.frozen;
            let slack = sharded.align * sharded.shards.len();
            for (tensor, name) in (0..).zip(&sharded.optimizer) {
                let bytes = sharded.region_bytes(Region::Optimizer(tensor));
                match name == GRADIENT_SUM {
                    true => assert_eq!(bytes, trained),
                    false => assert!(
                        (trained.div_ceil(ranks)..=trained / ranks + slack).contains(&bytes),
                        "{train}: {bytes} bytes of `{name}` on each of {ranks} ranks, {trained} in all"
                    ),
                }
            }
            let saved: usize = (0..whole.optimizer.len() as u8)
                .map(|tensor| [&whole, &sharded].map(|plan| plan.region_bytes(Region::Optimizer(tensor))))
                .map(|[before, after]| before - after)
                .sum();
            assert_eq!(whole.bytes() - sharded.bytes(), saved, "{train}");
            assert!(
                whole
                    .slots
                    .iter()
                    .zip(&sharded.slots)
                    .all(|(a, b)| whole.buffer(a.buffer) == sharded.buffer(b.buffer))
            );
        }
    }
}

/// One rank has all of it: the plan is the same.
#[test]
fn a_rank_that_is_alone_has_the_whole_state() {
    let plan = |train: &str| compiled_for(train, &Target::new(Mode::Train, 2)).expect("a right spec");
    assert_eq!(plan("optimizer: adamw, parallel: {shard_optimizer: true}"), plan("optimizer: adamw"));
}

/// What a plan must not do with the parts of the ranks, it is told.
#[test]
fn parts_that_are_not_gathered_are_found() {
    let train = "optimizer: {adamw: {decay_norm: false}}, parallel: {shard_optimizer: true}";
    let plan =
        compiled_for(train, &Target { ranks: 2, ..Target::new(Mode::Train, 2) }).expect("a right spec");
    let named = |plan: &Plan, word: &str| plan.steps.iter().position(|step| step.kernel.name() == word);
    let told = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        plan.check().join("; ")
    };
    let gather = named(&plan, "all_gather").expect("there is one");
    let text = told(&|plan| drop(plan.steps.remove(gather)));
    assert!(text.contains("nobody gathers what each rank updates of `update0.params`"), "{text}");
    let text = told(&|plan| plan.steps.swap(gather, gather - 1));
    assert!(text.contains("touches `update0.all_params` while it is gathered"), "{text}");
    let text = told(&|plan| plan.steps.retain(|step| step.kernel.name() != "all_gather_wait"));
    assert!(text.contains("nobody waits for `update1.all_params`"), "{text}");
    let text = told(&|plan| plan.shards[0].bytes -= plan.align);
    assert!(text.contains("shard 0"), "{text}");
    let text = told(&|plan| {
        let part = plan.buffers.iter_mut().find(|buffer| buffer.span.is_some()).expect("there is one");
        part.span = part.span.map(|span| span * 1000);
    });
    assert!(text.contains("outside of it"), "{text}");
}

/// Updates are each rank's own; parameters and momentum are averaged by a plan without images.
#[test]
fn ranks_on_their_own_send_parameters_and_state() {
    let train = "parallel: {sync_every: 4}, accumulate: 2, freeze: [stem]";
    let target = |step| Target { ranks: 4, step, ..Target::new(Mode::Train, 2) };
    let plans = [StepKind::Update, StepKind::Gather].map(|step| compiled_for(train, &target(step)));
    for plan in plans {
        let plan = plan.expect("a right spec");
        assert_eq!((plan.reductions(), plan.sent_bytes()), (Vec::new(), 0));
    }
    let plan = compiled_for(train, &target(StepKind::Synchronize)).expect("a right spec");
    assert_eq!(plan.check(), Vec::<String>::new());
    let text = print::print(&plan).replace("  ", " ");
    let (steps, _) = text.split_once("\nregion").expect("the map of memory follows");
    insta::assert_snapshot!("ranks_local_sgd", steps);
}

/// Parameters that are trained, and each tensor of the optimizer's state, lie in one bucket each time, whose memory is used again when it was
/// waited for.
#[test]
fn every_parameter_and_all_of_its_state_is_in_one_mean() {
    for (train, tensors) in [
        ("optimizer: adamw, ema: {}", 4),
        ("optimizer: sgd, accumulate: 2", 2),
        ("optimizer: lamb, swa: {start: 0.5}, freeze: [stage1]", 4),
    ] {
        // 3 x 3 x 512 x 1024 floats are 18 MiB.
        let train = format!("{train}, parallel: {{sync_every: 4}}");
        let target = Target { ranks: 3, step: StepKind::Synchronize, ..Target::new(Mode::Train, 2) };
        let plan = compiled_from(&SMALL.replace("filters: 16", "filters: 512"), &train, &target);
        let plan = plan.expect("a right spec");
        assert_eq!(plan.check(), Vec::<String>::new(), "{train}");
        let means = plan.reductions();
        let total: usize = means.iter().map(|mean| mean.bytes).sum();
        assert_eq!(total, tensors * (plan.sizes.params - plan.sizes.frozen), "{train}");
        assert!(means.len() > tensors && means.iter().all(|mean| mean.bucket < 2), "{train}");
        // Each rank sends its part of what others sum, and its own sum, to two others.
        assert!(plan.sent_bytes().abs_diff(4 * total / 3) <= 16 * means.len(), "{train}");
    }
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
