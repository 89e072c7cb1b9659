//! `resnetc export --format`, `--hub`: weights by the names of other programs.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{run, stderr, stdout};

const TINY: &str = "tests/specs/tiny.yaml";

/// The header of a safetensors file.
fn header(path: &Path) -> serde_json::Value {
    let bytes = std::fs::read(path).expect("written by the program");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    serde_json::from_slice(&bytes[8..8 + length]).expect("JSON")
}

#[test]
fn weights_are_written_by_the_names_of_others_and_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("w.safetensors");
    let file = path.to_str().expect("a text");
    let told = stdout(&["export", TINY, "--seed", "9", "--format", "timm", "-o", file]);
    assert_eq!(told, format!("wrote {file}: weights of tiny by the names of timm\n"));
    let header = header(&path);
    let names: BTreeSet<&str> = header.as_object().expect("an object").keys().map(String::as_str).collect();
    for name in ["conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "fc.bias", "__metadata__"]
    {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    assert_eq!(header["fc.weight"]["shape"], serde_json::json!([10, 16]));
    // The same weights, read from there: the same model, but for what is said of their file.
    let (fresh, again) = (folder.path().join("a.onnx"), folder.path().join("b.onnx"));
    let [fresh, again] = [&fresh, &again].map(|path| path.to_str().expect("a text"));
    stdout(&["export", TINY, "--seed", "9", "-o", fresh]);
    stdout(&["export", TINY, "--weights", file, "-o", again]);
    let model = |path: &str, weights: &str| {
        let bytes = std::fs::read(path).expect("written");
        let at = bytes.windows(weights.len()).rposition(|part| part == weights.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{path} does not say that its weights are {weights}"));
        // Up to the metadata's last entry, whose length differs.
        bytes[..at - 16].to_vec()
    };
    let (fresh, again) = (model(fresh, "fresh"), model(again, "w.safetensors"));
    assert!(fresh == again, "the weights differ");
}

#[test]
fn a_folder_says_what_it_is_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let hub = folder.path().join("of/tiny");
    let path = hub.to_str().expect("a text");
    let unknown = run(&["export", TINY, "--hub", path]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("`--architecture NAME` takes one on your word"),
        "{}",
        stderr(&unknown)
    );
    assert!(!hub.exists(), "nothing is left half");
    let told = stdout(&["export", TINY, "--hub", path, "--architecture", "resnet10t"]);
    assert_eq!(told, format!("wrote {path}: timm's resnet10t, 10 classes\n"));
    let config = std::fs::read(hub.join("config.json")).expect("written");
    let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["architecture"], "resnet10t");
    assert_eq!((&config["num_classes"], &config["num_features"]), (&10.into(), &16.into()));
    let pretrained = &config["pretrained_cfg"];
    assert_eq!(pretrained["input_size"], serde_json::json!([3, 32, 32]));
    assert_eq!((&pretrained["first_conv"], &pretrained["classifier"]), (&"conv1".into(), &"fc".into()));
    assert_eq!(pretrained["pool_size"], serde_json::json!([8, 8]));
    assert_eq!(header(&hub.join("model.safetensors"))["fc.weight"]["dtype"], "F32");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    let path = path.to_str().expect("a text");
    for (args, code, part) in [
        (&["export", TINY, "--format", "keras"][..], 2, "invalid value 'keras'"),
        (&["export", TINY, "--hub", path, "-o", path], 2, "cannot be used with"),
        (&["export", TINY, "-o", path, "--architecture", "resnet50"], 2, "cannot be used with"),
        (&["export", TINY, "--architecture", "resnet50"], 2, "--hub DIR says which"),
        (&["export", "densenet_bc_100_k12", "--format", "transformers", "-o", path], 1, "transformers"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    }
    assert!(!Path::new(path).exists());
}
