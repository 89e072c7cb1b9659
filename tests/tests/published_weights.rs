//! Weights that somebody else trained and published, on the pictures that they are for.
//!
//! Neither is in the repository. The weights are `weights/resnet20-12fca82f.th` of the folder that `RESNETC_SHARED` names (`../shared`
//! of the repository where that is not set), the pictures CIFAR-10 in the folder that `RESNETC_DATA` names, as `tools/make-cifar10` of
//! the same folder writes them. Where one is missing the test says so and passes.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use resnetc::train::evaluator;
use resnetc::{DeviceOptions, Spec, SpecOptions, Weights, WeightsOptions};
use resnetc_runtime::data::{Places, load};

/// What the weights are for: ImageNet's statistics, though the pictures are CIFAR-10's.
const NORMALISATION: &str = "train.normalize={mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}";
/// PyTorch with the same weights on the same files.
const RIGHT: u64 = 8103;
/// Pictures between two classes that rounding decides.
const CLOSE: u64 = 2;

/// The folder of an environment variable.
fn folder(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Past the test harness, which keeps what tests print to itself.
fn skip(reason: &str) {
    let text = format!("SKIPPED: weights that were published are not tested: {reason}\n");
    io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}

#[test]
fn resnet20_of_pytorch_classifies_cifar10_as_there() {
    let shared = folder("RESNETC_SHARED")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"));
    let weights = shared.join("weights/resnet20-12fca82f.th");
    if !weights.is_file() {
        return skip("RESNETC_SHARED names no folder with weights/resnet20-12fca82f.th");
    }
    let Some(data_dir) = folder("RESNETC_DATA") else {
        return skip(
            "RESNETC_DATA names no folder with CIFAR-10; tools/make-cifar10 DIR of the shared folder makes one",
        );
    };
    let options = SpecOptions::default().set("train.dataset=cifar10").set(NORMALISATION);
    let spec = Spec::builtin("resnet20", &options).expect("compiled in");
    let loaded = Weights::load(&spec, &WeightsOptions::file(weights)).expect("it fits");
    let told = loaded.told().join("\n");
    for part in [
        "PyTorch's format before 1.6, 97 tensors by the names of cifar",
        "`state_dict`, `module.`",
        "`best_prec1`",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let places = Places { data_dir: Some(data_dir), ..Places::default() };
    let test = load("cifar10", &places, &mut |_| ()).expect("it is there").test;
    let mut evaluator = evaluator(&spec, &DeviceOptions::default(), test, 100).expect("pictures of its size");
    let sums = evaluator.evaluate(&loaded.store().expect("tensors"), &mut |_| ()).expect("it runs");
    assert_eq!(sums.images, 10_000);
    assert!(sums.correct.abs_diff(RIGHT) <= CLOSE, "{} right", sums.correct);
}
