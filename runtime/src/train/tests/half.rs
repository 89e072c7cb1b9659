//! Trainings in half precision, with a scaled loss.

use resnetc_compiler::ir::loss_scale::DynamicScale;

use super::*;
use crate::checkpoint::load_weights;

/// A scale that overflows at first, and soon grows.
const SCALE: DynamicScale =
    DynamicScale { start: (1u64 << 36) as f32, growth: 2.0, backoff: 0.5, interval: 3 };

fn half() -> TrainConfig {
    TrainConfig { precision: DType::F16, loss_scale: LossScale::Dynamic(SCALE), ..config() }
}

fn number(checkpoint: &Checkpoint, name: &str) -> f32 {
    checkpoint.optimizer.get(name).unwrap_or_else(|| panic!("no {name}")).data[0]
}

#[test]
fn resumed_with_a_scaled_loss_it_ends_bit_for_bit_the_same() {
    let dir = folder();
    let outcome = trainer(&half(), options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let whole = state(dir.path());
    assert!(number(&whole.0, "loss_scale.skipped_steps") > 2.0);
    assert!(number(&whole.0, "loss_scale.value") < SCALE.start / 4.0);
    // While the scale still falls, and when it has found its place.
    for steps in [2, 20] {
        let dir = folder();
        stopped_after(steps, &half(), options(dir.path()));
        let options = Options { start: Start::Resume, ..options(dir.path()) };
        trainer(&half(), options).expect("same training").run(&mut |_| ()).expect("trains");
        assert_eq!(whole, state(dir.path()), "after {steps} steps");
    }
}

/// The scale starts anew where a checkpoint has none.
#[test]
fn a_training_goes_on_in_another_precision() {
    let dir = folder();
    let static_scale = TrainConfig { loss_scale: LossScale::Static(256.0), ..half() };
    let on = |config: &TrainConfig, epochs, start| {
        let config = TrainConfig { epochs, ..config.clone() };
        let options = Options { start, ..options(dir.path()) };
        trainer(&config, options).expect("the network is the same").run(&mut |_| ()).expect("trains");
        state(dir.path()).0
    };
    let first = on(&config(), 1, Start::Replace);
    assert!(first.optimizer.get("loss_scale.value").is_none());
    let second = on(&half(), 2, Start::Resume);
    assert!(number(&second, "loss_scale.value") < SCALE.start);
    let third = on(&static_scale, 3, Start::Resume);
    assert!(third.optimizer.get("loss_scale.value").is_none(), "the spec says it");
    assert!(number(&third, "loss_scale.skipped_steps") >= number(&second, "loss_scale.skipped_steps"));
    let last = on(&config(), 4, Start::Resume);
    assert!(last.optimizer.get("loss_scale.skipped_steps").is_none());
}

#[test]
fn the_weights_of_its_checkpoint_are_the_networks_alone() {
    let dir = folder();
    let once = TrainConfig { epochs: 1, ..half() };
    trainer(&once, options(dir.path())).expect("fits").run(&mut |_| ()).expect("trains");
    let weights = load_weights(&dir.path().join(LAST)).expect("valid");
    let plan = plan(&config(), Mode::Infer, 4);
    weights.check_names(&plan).expect("no tensor is left over");
}
