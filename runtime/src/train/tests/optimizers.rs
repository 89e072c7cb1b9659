//! Trainings with each optimizer, with groups and with clipping: resumed, they end bit for bit the same.

use resnetc_compiler::ir::clip::Clip;
use resnetc_compiler::ir::groups::{GroupRule, Groups};
use resnetc_compiler::ir::update::{AdamWAttrs, LambAttrs, LarsAttrs, LionAttrs, MuonAttrs, UpdateRule};
use resnetc_compiler::spec::train::Ema;

use super::*;

fn resumes(config: &TrainConfig) -> Checkpoint {
    let (whole, parts) = (folder(), folder());
    trainer(config, options(whole.path())).expect("fits").run(&mut |_| ()).expect("trains");
    stopped_after(8, config, options(parts.path()));
    let options = Options { start: Start::Resume, ..options(parts.path()) };
    trainer(config, options).expect("the same training").run(&mut |_| ()).expect("trains");
    let (whole, log) = state(whole.path());
    assert_eq!((&whole, &log), (&state(parts.path()).0, &state(parts.path()).1), "{:?}", config.optimizer);
    assert!(log[1].train_loss < log[0].train_loss, "{:?}: {log:?}", config.optimizer);
    whole
}

#[test]
fn with_each_optimizer() {
    let adamw = AdamWAttrs { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };
    let lamb = LambAttrs {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-6,
        weight_decay: 0.01,
        trust_clip: false,
        always_adapt: false,
    };
    let lars = LarsAttrs {
        momentum: 0.9,
        dampening: 0.0,
        nesterov: false,
        trust_coeff: 0.01,
        eps: 1e-8,
        weight_decay: 1e-4,
        trust_clip: false,
        always_adapt: false,
    };
    let lion = LionAttrs { beta1: 0.9, beta2: 0.99, weight_decay: 0.1 };
    let all = [
        (UpdateRule::AdamW(adamw), 0.01, vec!["exp_avg", "exp_avg_sq"]),
        (UpdateRule::Lamb(lamb), 0.01, vec!["exp_avg", "exp_avg_sq"]),
        (UpdateRule::Lars(lars), 1.0, vec!["velocity"]),
        (UpdateRule::Lion(lion), 0.003, vec!["exp_avg"]),
    ];
    for (optimizer, lr, state) in all {
        let checkpoint = resumes(&TrainConfig { optimizer, lr, epochs: 2, decay_norm: false, ..config() });
        for tensor in state {
            let name = format!("{tensor}.stem.conv1.weight");
            let values = checkpoint.optimizer.get(&name).expect("a tensor of state");
            assert!(values.data.iter().any(|&value| value != 0.0), "{name}");
        }
    }
}

#[test]
fn with_frozen_parts_rates_by_group_and_clipped_gradients() {
    let rule = GroupRule { pattern: "norm|bias".into(), lr_scale: Some(0.5), weight_decay: Some(0.0) };
    let groups = Groups { rules: vec![rule], freeze: vec!["stem".into()], ..Groups::default() };
    let clip = vec![Clip::Value(0.5), Clip::Norm(1.0)];
    let settings = TrainConfig { groups, clip, epochs: 2, ..config() };
    let checkpoint = resumes(&settings);
    assert!(
        checkpoint.optimizer.iter().all(|(name, _)| !name.contains("stem")),
        "frozen parts have no state"
    );
    let first =
        crate::init::initial(&plan(&settings, Mode::Train, 8), settings.seed).expect("a training plan");
    for (name, tensor) in checkpoint.params.iter() {
        let moved = tensor.data != first.get(name).expect("the same tensors").data;
        assert_eq!(moved, !name.starts_with("stem"), "{name}");
    }
}

/// Filters within the network have Muon's state, everything else AdamW's; with sums of gradients and averages beside them.
#[test]
fn with_two_rules_in_one_plan() {
    let muon = MuonAttrs {
        momentum: 0.95,
        nesterov: true,
        weight_decay: 0.01,
        adamw_lr: 0.005,
        adamw_beta1: 0.9,
        adamw_beta2: 0.95,
        adamw_eps: 1e-10,
    };
    let ema = Some(Ema { decay: 0.9, warmup: false });
    let plain = TrainConfig { optimizer: UpdateRule::Muon(muon), lr: 0.02, epochs: 2, ..config() };
    for config in [TrainConfig { accumulate: 2, ema, ..plain.clone() }, plain] {
        let checkpoint = resumes(&config);
        let names = |tensor: &str| -> Vec<String> {
            let of = checkpoint.optimizer.iter().filter_map(|(name, _)| name.strip_prefix(tensor));
            of.map(str::to_owned).collect()
        };
        let filters = ["stage1.unit0.conv1.weight", "stage1.unit0.conv2.weight"];
        assert_eq!(names("momentum_buffer."), filters);
        let others = names("exp_avg.");
        assert!(others.contains(&"stem.conv1.weight".to_owned()), "{others:?}");
        assert!(others.iter().all(|name| !filters.contains(&name.as_str())), "{others:?}");
        assert_eq!(names("exp_avg_sq."), others);
        let average = names("average.");
        assert!(
            filters.iter().all(|&name| average.iter().any(|a| a == name) == config.ema.is_some()),
            "{average:?}"
        );
    }
}

/// A training that froze nothing goes on as one, and not as another.
#[test]
fn other_parts_cannot_be_frozen_on_the_way() {
    let dir = folder();
    let whole = TrainConfig { epochs: 2, ..config() };
    stopped_after(8, &whole, options(dir.path()));
    let frozen = Groups { freeze: vec!["stem".into()], ..Groups::default() };
    let options = Options { start: Start::Resume, ..options(dir.path()) };
    let error = trainer(&TrainConfig { groups: frozen, ..whole }, options).err().expect("another training");
    assert!(error.to_string().contains("`optimizer.velocity.stem."), "{error}");
}
