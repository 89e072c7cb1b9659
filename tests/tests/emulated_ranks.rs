//! Several ranks train on emulated GPUs: what they come to is what ranks on CPUs do.

use std::path::Path;
use std::sync::Arc;

use resnetc::train::Start;
use resnetc::{DeviceKind, DeviceOptions, Spec, SpecOptions, Trainer};
use resnetc_runtime::data::shapes10;
use resnetc_runtime::ranks::Collective;
use resnetc_runtime::weights::ParamStore;
use resnetc_tests::emulated::{Threads, library};
use resnetc_tests::together::{bits, difference, on_ranks};

const NETWORK: &str = "
name: shared
input: [3, 32, 32]
classes: 10
stem: conv3x3(8, stride=4) -> bn -> relu
unit: basic
shortcut: projection
stages: [{depth: 1, filters: 8, stride: 2}]
head: global_avgpool -> linear(classes)
train:
  dataset: shapes10
  epochs: 2
  batch_size: 4
  seed: 11
  optimizer: {sgd: {lr: 0.05}}
  augment: [flip]
";

/// Two ranks have batches of 8 together: 4 steps an epoch, of whose last the second rank has one image, the first two.
const IMAGES: usize = 27;

fn gpu() -> DeviceOptions {
    let library = library(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers);
    DeviceOptions { kind: DeviceKind::Cuda(0), emulated: Some(library), ..DeviceOptions::cpu(1) }
}

/// The weights of each rank after a training.
fn trained(device: &DeviceOptions, ranks: usize, set: &[&str]) -> Vec<ParamStore> {
    let options = set.iter().fold(SpecOptions::default(), |options, value| options.set(*value));
    let spec = Spec::from_text("shared.yaml", NETWORK, &options).expect("the spec is right");
    let out = tempfile::tempdir().expect("a folder");
    on_ranks(ranks, |ranks: Collective| {
        let images = shapes10::generate(shapes10::Config { train: IMAGES, test: 5, seed: 0 });
        let builder = Trainer::builder(&spec, images).device(device.clone()).out(out.path());
        let builder = builder.start(Start::New).ranks(Arc::new(ranks));
        let mut trainer = builder.build().expect("it can be trained");
        trainer.run(|_| ()).expect("it trains");
        trainer.weights().expect("they can be read")
    })
}

/// Both sum in `f32`, in other orders within a rank: some 2^-22 of a gradient, eight steps, and what small networks make of it. bf16 has steps
/// of 2^-9 at which gradients that differ in their last bits may be rounded apart.
#[test]
fn gpus_come_to_what_cpus_do() {
    for (ranks, set, most) in [
        (2, &[][..], 1e-5),
        (3, &["train.accumulate=2"], 1e-5),
        (2, &["train.parallel.sync_bn=true"], 1e-5),
        (3, &["train.parallel.sync_bn=true", "train.accumulate=2"], 1e-5),
        (2, &["train.parallel.gradients=bf16"], 1e-3),
        (2, &["train.parallel.sync_every=3"], 1e-5),
        (2, &["train.ema={}", "train.clip={norm: 1}", "train.optimizer=adamw"], 1e-5),
    ] {
        let [cpus, gpus] = [DeviceOptions::cpu(1), gpu()].map(|device| trained(&device, ranks, set));
        let apart = difference(&cpus[0], &gpus[0]);
        println!("{ranks} ranks, {set:?}: weights are {apart:e} apart");
        assert!(apart <= most, "{ranks} ranks, {set:?}: weights are {apart:e} apart");
        assert!(gpus.iter().all(|weights| bits(weights) == bits(&gpus[0])), "{set:?}");
    }
}

#[test]
fn the_same_number_of_ranks_gives_the_same_bits() {
    for set in [&["train.parallel.sync_bn=true"][..], &["train.parallel.gradients=bf16"]] {
        let [a, b] = [(); 2].map(|()| trained(&gpu(), 2, set));
        assert_eq!(bits(&a[0]), bits(&b[0]), "{set:?}");
    }
}

/// Gradients that are sent as bf16 are others: else the comparisons above would not see what is sent.
#[test]
fn what_is_sent_makes_a_difference() {
    let [wide, narrow] =
        [&[][..], &["train.parallel.gradients=bf16"]].map(|set: &[&str]| trained(&gpu(), 2, set));
    assert!(difference(&wide[0], &narrow[0]) > 1e-6);
}
