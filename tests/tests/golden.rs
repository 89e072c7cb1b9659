//! Tiny networks of torchvision, timm, transformers and of the CIFAR repositories: what they answer, and what one step of training makes
//! of them, by the files of `tests/golden` (its README says what is in them). The frameworks computed in double precision.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc::{Spec, SpecOptions, Weights, WeightsOptions};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Device;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_runtime::weights::ParamStore;
use safetensors::SafeTensors;

/// Largest difference in a tensor over its largest element.
const TOLERANCE: f64 = 1e-4;
/// Of the rounding of a weight and of its update, `2^-24` each of the weight, twice for those that the change is computed from here.
const ROUNDING: f64 = 4.0 * 6e-8;
/// As `make.py` trains.
const RATE: f32 = 0.1;

/// Networks, and whose names their weights have.
const NETWORKS: [(&str, &str); 13] = [
    ("basic", "torchvision"),
    ("bottleneck", "torchvision"),
    ("grouped", "torchvision"),
    ("dense", "torchvision"),
    ("deep_stem", "timm"),
    ("average_down", "timm"),
    ("se", "timm"),
    ("eca", "timm"),
    ("blur", "timm"),
    ("group_norm", "timm"),
    ("preactivation", "timm"),
    ("option_a", "cifar"),
    ("transformers_v1", "transformers"),
];

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file)
}

/// A tensor of a file, read by the format's own crate: what is compared with is not read by what is tested.
fn tensor(file: &str, name: &str) -> Vec<f32> {
    let bytes = fs::read(path(file)).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let data = file.tensor(name).expect("it is there").data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

fn labels() -> Vec<u32> {
    let bytes = fs::read(path("images.safetensors")).expect("a golden file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let data = file.tensor("labels").expect("they are there").data().to_vec();
    data.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")) as u32).collect()
}

fn spec(name: &str) -> Spec {
    Spec::from_path(path(&format!("{name}.yaml")), &SpecOptions::default()).expect("a right spec")
}

fn weights(spec: &Spec, file: &str) -> Weights {
    Weights::load(spec, &WeightsOptions::file(path(file))).unwrap_or_else(|error| panic!("{error}"))
}

/// The CPU with all instructions that this machine has, and the reference.
fn devices() -> Vec<(String, Arc<dyn Device>)> {
    let mut all: Vec<(String, Arc<dyn Device>)> =
        vec![("reference".into(), Arc::new(ReferenceDevice::cpu().expect("Candle's CPU")))];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        let device = CpuDevice::with_isa(2, isa).expect("two threads");
        all.push((format!("cpu, {}", isa.name()), Arc::new(device)));
    }
    all
}

fn executor(device: Arc<dyn Device>, spec: &Spec, mode: Mode, store: &ParamStore) -> Executor {
    let images = tensor("images.safetensors", "images");
    let plan = spec.plan(mode, labels().len(), Backend::CPU).expect("it compiles");
    let mut executor = Executor::new(device, plan).expect("it loads");
    executor.load_params(store).expect("its own weights");
    executor.set_input_nchw(0, &images).expect("as many images");
    executor
}

fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |m, v| if v.is_finite() { m.max(v.abs()) } else { f64::INFINITY })
}

fn apart(a: &[f32], b: &[f32]) -> Vec<f64> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    let relative = largest(apart(found, expected)) / largest(expected.iter().map(|v| f64::from(*v)));
    assert!(relative <= TOLERANCE, "{what}: off by {relative:e}\n{found:?}\n{expected:?}");
}

/// Parameters and statistics after the step. A step changes a weight by little, so that what is compared is the change.
fn assert_same_step(found: &ParamStore, expected: &ParamStore, before: &ParamStore, what: &str) {
    let names: Vec<&str> = expected.iter().map(|(name, _)| name).collect();
    assert_eq!(found.iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
    for (name, theirs) in expected.iter() {
        let (ours, old) =
            (&found.get(name).expect("it is there").data, &before.get(name).expect("it is there").data);
        let change = largest(apart(&theirs.data, old));
        assert!(change > 0.0, "{name} does not change: nothing is tested");
        let bound = TOLERANCE * change + ROUNDING * largest(theirs.data.iter().map(|v| f64::from(*v)));
        let off = largest(apart(ours, &theirs.data));
        assert!(off <= bound, "{what}, {name}: changes by {change:e}, off by {off:e}, at most {bound:e}");
    }
}

#[test]
fn names_are_recognised() {
    for (name, dialect) in NETWORKS {
        let told = weights(&spec(name), &format!("{name}.safetensors")).told().join("\n");
        assert!(told.contains(&format!("by the names of {dialect}")), "{name}: {told}");
    }
}

/// What is of no network: other tests read it.
const OTHERS: [&str; 10] = [
    "README",
    "arrays",
    "events",
    "make",
    "images",
    "frames",
    "losses",
    "metrics",
    "operations",
    "optimizers",
];

/// Every file of the folder is of a network that is tested.
#[test]
fn no_file_is_left_out() {
    for entry in fs::read_dir(path("")).expect("the folder") {
        let file = entry.expect("an entry").file_name().into_string().expect("plain names");
        let stem = file.split('.').next().expect("a name");
        let known = NETWORKS.iter().any(|(name, _)| *name == stem) || OTHERS.contains(&stem);
        assert!(known, "{file}");
    }
}

#[test]
fn logits_are_the_frameworks() {
    for (name, _) in NETWORKS {
        let spec = spec(name);
        let store = weights(&spec, &format!("{name}.safetensors")).store().expect("all of them");
        let expected = tensor(&format!("{name}.answer.safetensors"), "logits");
        for (device, handle) in devices() {
            let mut executor = executor(handle, &spec, Mode::Infer, &store);
            executor.run(0, &RunArgs::default(), None).expect("it runs");
            assert_close(
                &executor.output(0, "logits").expect("logits"),
                &expected,
                &format!("{name}, {device}"),
            );
        }
    }
}

#[test]
fn a_step_changes_weights_and_statistics_as_theirs() {
    for (name, _) in NETWORKS {
        let spec = spec(name);
        let before = weights(&spec, &format!("{name}.safetensors")).store().expect("all of them");
        let after = weights(&spec, &format!("{name}.after.safetensors")).store().expect("all of them");
        let loss = tensor(&format!("{name}.answer.safetensors"), "loss");
        for (device, handle) in devices() {
            let what = format!("{name}, {device}");
            let mut executor = executor(handle, &spec, Mode::Train, &before);
            executor.set_labels(0, &labels()).expect("as many labels");
            executor.run(0, &RunArgs { lr: RATE, ..RunArgs::default() }, None).expect("it runs");
            assert_close(&[executor.scalar(0, "loss").expect("a loss")], &loss, &what);
            assert_same_step(&executor.store_params().expect("all"), &after, &before, &what);
        }
    }
}
