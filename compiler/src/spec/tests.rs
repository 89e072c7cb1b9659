//! Shipped specs load, build, and come out of `to_yaml` as they went in.

use super::{builtin, load, load_builtin};
use crate::build::{build, check_expect};
use crate::compile;
use crate::ir::graph::{Graph, Mode};
use crate::ir::op::{Conv, Op, Param, UpdateRule};
use crate::report::{Summary, Target};
use crate::source::SourceMap;
use crate::spec::limits::Limits;
use crate::spec::train::{Augment, By, Resizing, Schedule};
use crate::spec::{Request, ResolvedSpec};

pub(crate) fn get(name: &str, overrides: &[&str]) -> (ResolvedSpec, SourceMap) {
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_string()).collect();
    let mut sources = SourceMap::default();
    let spec = load_builtin(name, &overrides, Limits::default(), &mut sources)
        .expect("compiled in")
        .expect("a right spec");
    (spec, sources)
}

fn reload(yaml: &str) -> ResolvedSpec {
    let read = |path: &str| Err(std::io::Error::other(path.to_string()));
    let request =
        Request { name: "emitted.yaml", text: yaml, overrides: &[], read: &read, limits: Limits::default() };
    load(&request, &mut SourceMap::default()).expect("an emitted spec loads")
}

fn described(graph: &Graph) -> Vec<String> {
    graph.ids().map(|id| format!("{}: {:?}", graph.node(id).name, graph.node(id).op)).collect()
}

/// Trained parameters without those of the projections, which a later pass inserts.
fn params(graph: &Graph) -> usize {
    let of = |op: &Op| match op {
        Op::Param(Param { shape, role, .. }) if role.trained() => shape.numel().expect("small"),
        _ => 0,
    };
    graph.ids().map(|id| of(&graph.node(id).op)).sum()
}

#[test]
fn every_shipped_spec_builds_and_survives_emission() {
    for builtin::Shipped { name, .. } in builtin::specs() {
        let (spec, _) = get(name, &[]);
        assert_eq!(spec.name.value, name);
        // Without a head there is nothing to train.
        let modes = if spec.head.layers.is_some() { &[Mode::Infer, Mode::Train][..] } else { &[Mode::Infer] };
        for &mode in modes {
            let graph = build(&spec, mode, 2).expect("builds");
            let yaml = spec.to_yaml();
            let again = reload(&yaml);
            assert_eq!(again.to_yaml(), yaml);
            assert_eq!(again.train, spec.train);
            assert_eq!(described(&build(&again, mode, 2).expect("builds")), described(&graph), "{name}");
        }
    }
}

#[test]
fn optimizers_groups_and_clipping_survive_emission() {
    let groups = "train.groups=[{match: norm|bias, weight_decay: 0}, {match: '*.conv1', lr_scale: 0.1}]";
    let sets =
        [groups, "train.layer_decay=0.75", "train.freeze=[stem, stage1]", "train.clip={norm: 1, value: 0.5}"];
    for optimizer in ["adamw", "lamb", "lars", "lion", "muon"] {
        for finetune in ["train.finetune=head", "train.finetune.backbone_lr=0.25"] {
            let name = format!("train.optimizer={optimizer}");
            let (spec, _) = get("resnet20", &[&sets[..], &[&name, finetune]].concat());
            assert_eq!(spec.train.optimizer.name(), optimizer);
            assert_eq!((spec.train.groups.rules.len(), spec.train.clip.len()), (2, 2));
            assert_eq!(spec.train.groups.freeze, ["stem", "stage1"]);
            let backbone = if finetune.ends_with("head") { 0.0 } else { 0.25 };
            assert_eq!(spec.train.groups.backbone_lr, Some(backbone));
            assert_eq!(reload(&spec.to_yaml()).train, spec.train);
        }
    }
}

#[test]
fn what_is_done_to_images_survives_emission() {
    let flips = "train.augment=[flip, {flip: {direction: vertical, probability: 0.25}}]";
    let resizing = "train.progressive_resizing={initial: 0.75, delay: 0.25, finetune: 0.125, multiple: 8}";
    let (spec, _) = get("resnet20", &[flips, "train.mix={mixup: 0.2, epochs: 7}", resizing]);
    let vertical = Augment::FlipVertical { probability: 0.25 };
    assert_eq!(spec.train.augment, [Augment::Flip { probability: 0.5 }, vertical]);
    assert_eq!(spec.train.mix.and_then(|mix| mix.epochs), Some(7));
    let expected = Resizing { initial: 0.75, delay: 0.25, finetune: 0.125, multiple: 8 };
    assert_eq!(spec.train.progressive_resizing, Some(expected));
    assert_eq!(reload(&spec.to_yaml()).train, spec.train);
}

#[test]
fn option_a_networks_have_the_papers_parameters() {
    for name in ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"] {
        let (spec, _) = get(name, &[]);
        let graph = build(&spec, Mode::Infer, 1).expect("builds");
        assert_eq!(Some(params(&graph) as u64), spec.expect.params.map(|p| p.value), "{name}");
    }
}

#[test]
fn names_follow_the_spec() {
    let (spec, sources) = get("resnet50", &[]);
    let graph = build(&spec, Mode::Train, 1).expect("builds");
    let names: Vec<&str> = graph.ids().map(|id| graph.node(id).name.as_str()).collect();
    for name in [
        "input",
        "stem.conv1.weight",
        "stem.conv1",
        "stem.bn1.running_var",
        "stem.relu1",
        "stem.maxpool1",
        "stage1.unit0.conv1",
        "stage1.unit0.bn3.weight",
        "stage1.unit0.shortcut",
        "stage1.unit0.add",
        "stage1.unit0.relu3",
        "stage4.unit2.conv3",
        "head.pool",
        "head.linear",
        "head.linear.bias",
        "labels",
        "loss",
    ] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{name}");
    }
    let conv = graph.ids().find(|&id| graph.node(id).name == "stage2.unit0.conv2").expect("there");
    assert_eq!(
        sources.text(graph.node(conv).span),
        "conv3x3(width, stride, groups=groups, dilation=dilation)"
    );
    assert!(matches!(&graph.node(conv).op, Op::Conv(Conv { attrs, .. }) if attrs.stride == [2, 2]));
}

#[test]
fn style_v1_moves_the_stride() {
    let (spec, _) = get("resnet50", &["style=v1"]);
    let graph = build(&spec, Mode::Infer, 1).expect("builds");
    let stride = |name: &str| {
        graph.ids().find_map(|id| match &graph.node(id).op {
            Op::Conv(Conv { attrs, .. }) if graph.node(id).name == name => Some(attrs.stride),
            _ => None,
        })
    };
    assert_eq!(stride("stage2.unit0.conv1"), Some([2, 2]));
    assert_eq!(stride("stage2.unit0.conv2"), Some([1, 1]));
}

#[test]
fn overrides_reach_every_section() {
    let sets = [
        "shortcut=projection",
        "train.optimizer.sgd.lr=0.25",
        "stages.1.depth=5",
        "train.schedule.step.every=3",
    ];
    let (spec, sources) = get("resnet20", &sets);
    assert_eq!(spec.stages[1].units.len(), 5);
    assert_eq!(spec.train.lr, 0.25);
    assert!(matches!(spec.train.optimizer, UpdateRule::Sgd(sgd) if sgd.momentum == 0.9));
    assert!(spec.expect.params.is_none(), "the file's figures hold for the file's network");
    assert_eq!(sources.text(spec.shortcut.span), "projection");
    assert_eq!(
        sources.get(spec.shortcut.span.source).map(|s| s.name.as_str()),
        Some("--set shortcut=projection")
    );
}

#[test]
fn keys_of_every_optimizer_need_no_name_of_one() {
    let rate = |sets: &[&str]| {
        let train = get("resnet20", sets).0.train;
        (train.optimizer.name(), train.lr, train.optimizer.weight_decay())
    };
    assert_eq!(rate(&["train.optimizer.lr=0.25"]), ("sgd", 0.25, 1e-4));
    assert_eq!(rate(&["train.optimizer.adamw.beta1=0.8"]), ("adamw", 1e-3, 1e-2));
    let sets = ["train.optimizer=adamw", "train.optimizer.lr=0.002", "train.optimizer.weight_decay=0.1"];
    assert_eq!(rate(&sets), ("adamw", 0.002, 0.1));
}

#[test]
fn zero_last_bn_zeroes_what_is_added_to_the_shortcut() {
    let (spec, _) = get("resnet18", &["init.zero_last_bn=true"]);
    let graph = build(&spec, Mode::Infer, 1).expect("builds");
    let zeroed: Vec<&str> = graph
        .ids()
        .filter(|&id| {
            matches!(
                &graph.node(id).op,
                Op::Param(Param {
                    role: crate::ir::op::Role::NormScale,
                    init: crate::ir::op::Init::Constant(0.0),
                    ..
                })
            )
        })
        .map(|id| graph.node(id).name.as_str())
        .collect();
    assert_eq!(zeroed.len(), 8);
    assert!(zeroed.iter().all(|n| n.ends_with(".bn2.weight")), "{zeroed:?}");
    assert!(spec.expect.params.is_some(), "first values change no figure");
}

#[test]
fn expectations_that_fail_are_told_with_the_difference() {
    let (spec, sources) = get("resnet20", &[]);
    let summary = Summary {
        name: "resnet20".into(),
        params: 269_723,
        macs: 40_551_040,
        output_shape: vec![1, 100],
        units: Vec::new(),
        kernels_before: 0,
        kernels: 0,
        arena_bytes: 0,
    };
    let faults = check_expect(&spec, &summary);
    let told: Vec<_> = faults.iter().map(|f| (f.message.as_str(), sources.text(f.labels[0].span))).collect();
    let params = ("the network has 269_723 parameters", "269_722");
    assert_eq!(told, [params, ("the network's output for one image is [100]", "[classes]")]);
    assert_eq!(faults[0].labels[0].text, "1 more than expected here");
}

#[test]
fn an_override_may_choose_another_kind_of_schedule() {
    let (spec, _) = get("resnet20", &["train.schedule.step.every=3"]);
    assert_eq!(spec.train.schedule, Schedule::Step { every: 3, gamma: 0.1, by: By::Epoch });
}

/// The spec may mean a key that an override leaves without effect; one in the override itself nobody can mean.
#[test]
fn an_override_may_leave_a_key_without_effect() {
    let warned = |name: &str, set: &str| -> Vec<String> {
        get(name, &[set]).0.warnings.into_iter().map(|warning| warning.message).collect()
    };
    assert_eq!(warned("resnet50_v1", "unit=basic"), ["`style` has no effect"]);
    let one = "stages=[{depth: 1, filters: 32, unit: basic}]";
    assert!(warned("densenet121", one).contains(&"`transition` has no effect".to_owned()));
    for set in ["style=v1", "train.schedule.cosine.min_lr=0.5"] {
        let mut sources = SourceMap::default();
        let loaded = load_builtin("resnet20", &[set.to_owned()], Limits::default(), &mut sources);
        assert!(loaded.expect("compiled in").is_err(), "{set}");
    }
}

#[test]
fn nothing_takes_away_what_a_base_or_an_override_says() {
    let base = get("resnet20", &[]).0;
    let (spec, _) = get("resnet20", &["shortcut=~", "train.warmup.length=5", "train.warmup=null"]);
    assert_eq!((spec.shortcut.name(), spec.train.warmup), (Some("projection"), None));
    let (spec, _) = get("resnet20", &["train=~", "train.epochs=3"]);
    assert_eq!((spec.train.epochs, spec.train.dataset), (3, None));
    assert_eq!((base.shortcut.name(), base.train.dataset.is_some()), (Some("pad"), true));
    let faults = |text: &str, sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        let read = |path: &str| Err(std::io::Error::other(path.to_string()));
        let request =
            Request { name: "a.yaml", text, overrides: &sets, read: &read, limits: Limits::default() };
        let faults = load(&request, &mut SourceMap::default()).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>()
    };
    let alone = "name: a\ninput: [3, 8, 8]\nclasses: 10\nstem: conv3x3(8)\nunit: basic\nstages: [{depth: 1, filters: 8}]\n";
    assert_eq!(faults(&format!("extends: ~\n{alone}"), &[]), [""; 0]);
    assert_eq!(faults(alone, &["stages=~"]), ["the spec has no `stages`"]);
    assert_eq!(faults(alone, &["anchors.a=3"]), ["`anchors` cannot be set"]);
    assert_eq!(faults(alone, &["train.epochs="]), ["`epochs` must be a whole number"]);
}

/// All variants: their paths and texts.
fn variants() -> Vec<(String, String)> {
    let mut folders =
        vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/variants"))];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of variants") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).expect("a readable variant");
                found.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_variant_is_short_is_what_it_expects_and_survives_emission() {
    let variants = variants();
    assert!(variants.len() >= 50, "{} variants", variants.len());
    for (name, text) in &variants {
        assert!(text.lines().filter(|line| !line.starts_with('#')).count() <= 15, "{name} is too long");
        let read = |path: &str| std::fs::read_to_string(path);
        let request = Request { name, text, overrides: &[], read: &read, limits: Limits::default() };
        let mut sources = SourceMap::default();
        let spec = load(&request, &mut sources).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        assert!(
            name.ends_with(&format!("/{}.yaml", spec.name.value)),
            "{name} is called {}",
            spec.name.value
        );
        assert_eq!(spec.warnings, [], "{name}");
        let target = Target::new(Mode::Infer, 1);
        let compiled = compile(&spec, &target).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        let (params, macs) = (compiled.summary.params, compiled.summary.macs);
        assert!(
            spec.expect.params.is_some() && spec.expect.macs.is_some(),
            "{name}: params: {params}, macs: {macs}"
        );
        let again = reload(&spec.to_yaml());
        assert_eq!(again.to_yaml(), spec.to_yaml(), "{name}");
        let graph = |spec: &ResolvedSpec| build(spec, Mode::Infer, 1).expect("builds").to_string();
        assert_eq!(graph(&again), graph(&spec), "{name}");
    }
}

#[test]
fn precision_with_its_settings_survives_emission() {
    for (overrides, lines) in [
        (&["train.precision=fp16"][..], "  precision: fp16\n  loss_scale: dynamic\n"),
        (&["train.precision=fp16", "train.loss_scale=512"], "  precision: fp16\n  loss_scale: 512\n"),
        (&["train.batch_size=auto"], "  batch_size: auto\n"),
        (&["train.memory_limit=1.5GiB"], "  memory_limit: 1536MiB\n"),
        (&["train.tf32=true"], "  precision: f32\n  tf32: true\n"),
        (&["train.deterministic=false"], "  precision: f32\n  deterministic: false\n"),
        (
            &["train.parallel={sync_bn: true, gradients: bf16}"],
            "  parallel: {sync_bn: true, scale_lr: none, gradients: bf16}\n",
        ),
        (
            &["train.parallel={sync_every: 4}"],
            "  parallel: {sync_bn: false, scale_lr: none, gradients: f32, sync_every: 4}\n",
        ),
    ] {
        let (spec, _) = get("resnet20", overrides);
        let yaml = spec.to_yaml();
        assert!(yaml.contains(lines), "{overrides:?}: {yaml}");
        assert_eq!(reload(&yaml).train, spec.train);
    }
}

#[test]
fn schedules_survive_emission() {
    for schedule in [
        "constant",
        "{step: {every: 3, gamma: 0.5, by: step}}",
        "{multistep: {milestones: [3, 7], gamma: 0.2, by: epoch}}",
        "{cosine: {min_lr: 0.01, by: epoch}}",
        "{cosine_restarts: {period: 3, factor: 2, min_lr: 0.01, by: epoch}}",
        "{polynomial: {power: 0.9, min_lr: 0.001, by: step}}",
        "{exponential: {gamma: 0.97, by: epoch}}",
        "{plateau: {metric: accuracy, factor: 0.2, patience: 2, threshold: 0.01, cooldown: 1, min_lr: 0.001}}",
        "{one_cycle: {start: 0.1, peak: 0.2, end: 0.01, by: step}}",
    ] {
        let early = "early_stopping={metric: loss, patience: 4, min_delta: 0.5}";
        let (spec, _) = get("resnet20", &[&format!("train.schedule={schedule}"), &format!("train.{early}")]);
        let yaml = spec.to_yaml();
        assert!(yaml.contains(&format!("  schedule: {schedule}\n")), "{schedule}: {yaml}");
        assert_eq!(reload(&yaml).train, spec.train);
    }
}

#[test]
fn a_sweep_is_read_written_and_taken_away() {
    let (spec, _) = get(
        "resnet20",
        &["sweep.over={lr: [0.05, 0.1], seed: 0..2, 'stem': ['conv3x3(8), bn']}", "sweep.halving=3"],
    );
    let sweep = spec.sweep.clone().expect("written");
    let values: Vec<String> =
        sweep.over.iter().map(|axis| format!("{}: {}", axis.key, axis.values.join(" | "))).collect();
    assert_eq!(values, ["lr: 0.05 | 0.1", "seed: 0 | 1 | 2", "stem: \"conv3x3(8), bn\""]);
    assert_eq!((sweep.halving, sweep.min_epochs), (Some(3), None));
    assert!(spec.expect.params.is_some(), "a sweep changes no network by itself");
    let (without, _) = get("resnet20", &["sweep.over.lr=[1]", "sweep=~"]);
    assert_eq!(without.sweep, None);
}
