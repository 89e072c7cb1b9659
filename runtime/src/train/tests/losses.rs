//! Whole trainings with losses, mixtures and teachers: the CPU's kernels beside the reference, and after an interruption.

use resnetc_compiler::ir::objective::Distillation;
use resnetc_compiler::spec::train::{Distill, Mix};

use super::*;
use crate::cpu::CpuDevice;
use crate::train::Teacher;

/// Steps that are compared: three epochs of six, and two more.
const STEPS: usize = 20;
const MIX: Mix = Mix { mixup: 0.4, cutmix: 1.0, probability: 1.0, switch: 0.5, epochs: None };
const BINARY: Objective = Objective::BinaryCrossEntropy { target_threshold: Some(0.2), sum_classes: true };

fn taught(hard: bool) -> TrainConfig {
    let loss = Distillation { alpha: 0.5, temperature: 4.0, hard };
    TrainConfig { distill: Some(Distill { teacher: "tiny".into(), weights: "-".into(), loss }), ..mixed() }
}

fn mixed() -> TrainConfig {
    TrainConfig { mix: Some(MIX), label_smoothing: 0.1, lr: 0.02, ..config() }
}

/// Each way of a loss, by itself and with others.
fn losses() -> Vec<(&'static str, TrainConfig)> {
    let weights: Vec<f32> = (0..10).map(|class| 0.25 + 0.25 * class as f32).collect();
    let with = |loss| TrainConfig { loss, mix: None, ..mixed() };
    let focal = Objective::Focal { gamma: 2.0, alpha: 0.25, sum_classes: true };
    vec![
        ("mix", mixed()),
        ("binary_cross_entropy", with(BINARY)),
        ("binary_cross_entropy with mix", TrainConfig { loss: BINARY, ..mixed() }),
        ("focal", with(focal)),
        ("focal of a softmax", with(Objective::SoftmaxFocal { gamma: 2.0 })),
        ("class weights", TrainConfig { class_weights: weights.clone(), ..with(Objective::CrossEntropy) }),
        ("class weights with mix", TrainConfig { class_weights: weights, ..mixed() }),
        ("a teacher", taught(false)),
        ("a hard teacher", taught(true)),
    ]
}

fn cpu() -> Arc<dyn Device> {
    Arc::new(CpuDevice::new(Some(1)).expect("a thread"))
}

/// A teacher of that seed's first weights, whose pixels are normalised otherwise.
fn teacher(config: &TrainConfig, device: Arc<dyn Device>, seed: u64) -> Teacher {
    let own = TrainConfig { distill: None, mix: None, ..config.clone() };
    let weights = crate::init::initial(&plan(&own, Mode::Train, 1), seed).expect("it has a plan");
    let network = network(device, &own, Mode::Infer, dataset().train.len()).expect("it fits");
    let normalize = Normalize { mean: vec![0.4; 3], std: vec![0.2; 3] };
    let network = network.with_weights(&weights).expect("its own");
    let told = crate::identity::teacher("tiny", "", &weights);
    Teacher::new(network, [&config.normalize, &normalize], told).expect("three channels")
}

fn pupil(config: &TrainConfig, device: fn() -> Arc<dyn Device>, seed: u64) -> Pupil {
    let network = network(device(), config, Mode::Train, dataset().train.len()).expect("it fits");
    match config.distill {
        Some(_) => Pupil::of(network, teacher(config, device(), seed)),
        None => network.into(),
    }
}

fn trainer_by(
    device: fn() -> Arc<dyn Device>,
    config: &TrainConfig,
    options: Options,
    seed: u64,
) -> Result<Trainer> {
    let data = dataset();
    let test = network(device(), config, Mode::Infer, data.test.len())?;
    Trainer::new(config, data, pupil(config, device, seed), test, options)
}

/// The losses of the first steps, and the weights after them.
fn first_steps(device: fn() -> Arc<dyn Device>, config: &TrainConfig) -> (Vec<f32>, Vec<f32>) {
    let dir = folder();
    let options = options(dir.path());
    let (stop, mut losses) = (Arc::clone(&options.stop), Vec::new());
    let mut trainer = trainer_by(device, config, options, 9).expect("it fits");
    let outcome = trainer.run(&mut |event| {
        if let Event::Step(step) = event {
            losses.push(step.loss);
            stop.store(losses.len() == STEPS, Ordering::Relaxed);
        }
    });
    assert!(matches!(outcome, Ok(Outcome::Interrupted { .. })), "{outcome:?}");
    let weights = trainer.params().expect("they are there");
    (losses, weights.iter().flat_map(|(_, tensor)| tensor.data.clone()).collect())
}

/// Both compute in `f32`, in other orders. A step's rounding, some 1e-7 of a number, comes back in the next through the batch's
/// statistics, no more than doubled at this rate: 20 steps leave a part in ten thousand at most in the mean, where a wrong factor anywhere leaves a tenth.
#[test]
fn the_cpu_trains_with_every_loss_as_the_reference_does() {
    let plain = first_steps(cpu, &TrainConfig { lr: 0.02, ..config() }).0;
    for (name, config) in losses() {
        let [(losses, weights), (expected, reference)] =
            [cpu as fn() -> _, super::reference].map(|device| first_steps(device, &config));
        assert_eq!(losses.len(), STEPS, "{name}");
        for (step, (loss, expected)) in losses.iter().zip(&expected).enumerate() {
            assert!(
                (loss - expected).abs() <= 1e-3 * expected.abs(),
                "{name}, {step}: {loss}, not {expected}"
            );
        }
        let [apart, size] = [
            weights.iter().zip(&reference).map(|(a, b)| (a - b).abs()).sum::<f32>(),
            reference.iter().map(|b| b.abs()).sum(),
        ];
        assert!(apart <= 1e-3 * size, "{name}: weights are {apart} of {size} apart");
        assert!((losses[STEPS - 1] - plain[STEPS - 1]).abs() > 1e-2, "{name} is no plain cross-entropy");
    }
}

#[test]
fn interrupted_within_an_epoch_mixtures_and_teachers_go_on_bit_for_bit() {
    let binary = TrainConfig { loss: BINARY, ..mixed() };
    for (name, config) in [("mix", mixed()), ("binary", binary), ("a teacher", taught(false))] {
        let whole = {
            let dir = folder();
            trainer_by(cpu, &config, options(dir.path()), 9).expect("fits").run(&mut |_| ()).expect("trains");
            state(dir.path())
        };
        for steps in [2, 10] {
            let dir = folder();
            let options = options(dir.path());
            let (stop, mut left) = (Arc::clone(&options.stop), steps);
            let mut first = trainer_by(cpu, &config, options.clone(), 9).expect("fits");
            let outcome = first.run(&mut |event| {
                if let Event::Step(_) = event {
                    left -= 1;
                    stop.store(left == 0, Ordering::Relaxed);
                }
            });
            assert!(matches!(outcome, Ok(Outcome::Interrupted { .. })), "{outcome:?}");
            drop(first);
            let again = Options { start: Start::Resume, stop: Arc::default(), ..options };
            trainer_by(cpu, &config, again, 9).expect("the same").run(&mut |_| ()).expect("trains");
            assert_eq!(whole, state(dir.path()), "{name}, after {steps} steps");
        }
    }
}

#[test]
fn another_teacher_is_refused() {
    let dir = folder();
    let config = TrainConfig { epochs: 1, ..taught(false) };
    trainer_by(cpu, &config, options(dir.path()), 9).expect("fits").run(&mut |_| ()).expect("trains");
    let options = Options { start: Start::Resume, ..options(dir.path()) };
    let more = TrainConfig { epochs: 2, ..config };
    let error = trainer_by(cpu, &more, options.clone(), 8).err().expect("another").to_string();
    assert!(error.contains("it has learned from the teacher tiny ("), "{error}");
    assert!(trainer_by(cpu, &more, options, 9).is_ok());
    let untaught = network(cpu(), &more, Mode::Train, 8).expect("it fits");
    let error = Pupil::from(untaught).check().err().expect("nobody teaches").to_string();
    assert!(error.contains("learns from a teacher of 10 classes: none is there"), "{error}");
}

/// As if the images had been normalised for the teacher from the start.
#[test]
fn a_teacher_sees_pixels_as_it_knows_them() {
    let config = taught(false);
    let mut turned = teacher(&config, cpu(), 9);
    let own =
        TrainConfig { normalize: Normalize { mean: vec![0.4; 3], std: vec![0.2; 3] }, ..config.clone() };
    let mut plain = teacher(&config, cpu(), 9);
    plain.normalize = None;
    let images = |config: &TrainConfig| -> Vec<f32> {
        let bytes = (0..8 * 32 * 32 * 3).map(|i| (i * 37 % 256) as f32 / 255.0);
        let Normalize { mean, std } = &config.normalize;
        bytes.map(|byte| (byte - mean[0]) / std[0]).collect()
    };
    let [found, expected] = [
        turned.logits(&images(&config), 8).expect("it runs"),
        plain.logits(&images(&own), 8).expect("it runs"),
    ];
    assert_ne!(plain.logits(&images(&config), 8).expect("it runs"), expected);
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{found}, not {expected}");
    }
}
