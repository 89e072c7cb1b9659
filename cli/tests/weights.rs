//! Weights of other programs on the command line: evaluated, trained from, inspected, converted, compared.

mod common;

use std::path::{Path, PathBuf};

use common::{run, stderr, stdout};
use resnetc::{Spec, SpecOptions};
use resnetc_runtime::weights::ParamStore;
use resnetc_runtime::weights::file::{Metadata, save};

const TINY: &str = "tests/specs/tiny.yaml";

/// The tiny network's first weights by this program's names.
fn own(folder: &Path, seed: u64) -> PathBuf {
    let path = folder.join(format!("own{seed}.safetensors"));
    let spec = Spec::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(TINY), &SpecOptions::default());
    let weights: ParamStore = spec.expect("right").initial_weights(seed).expect("weights");
    save(&path, &weights, &Metadata::new()).expect("written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// The same weights by another program's names.
fn converted(folder: &Path, own: &Path, dialect: &str) -> PathBuf {
    let path = folder.join(format!("{dialect}.safetensors"));
    let said = stdout(&["weights", "convert", text(own), text(&path), "--dialect", dialect, "--spec", TINY]);
    assert!(said.contains(&format!("of tiny by the names of {dialect}")), "{said}");
    path
}

#[test]
fn weights_by_any_names_answer_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = own(folder.path(), 3);
    let counts = |option: &str, path: &Path| {
        let report = stdout(&["run", TINY, "--eval", "shapes10", option, text(path), "--json"]);
        report.trim().to_owned()
    };
    let expected = counts("--checkpoint", &own);
    assert_eq!(counts("--weights", &own), expected);
    for dialect in ["torchvision", "timm", "cifar", "transformers"] {
        let theirs = converted(folder.path(), &own, dialect);
        assert_eq!(counts("--weights", &theirs), expected, "{dialect}");
        // And back, bit for bit.
        let back = folder.path().join(format!("{dialect}-back.safetensors"));
        stdout(&["weights", "convert", text(&theirs), text(&back), "--dialect", "resnetc", "--spec", TINY]);
        assert!(stdout(&["weights", "diff", text(&own), text(&back)]).contains("tensors are equal"));
    }
}

#[test]
fn what_was_decided_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let theirs = converted(folder.path(), &own(folder.path(), 3), "torchvision");
    let said = stderr(&run(&["run", TINY, "--weights", text(&theirs)]));
    assert!(said.contains("by the names of torchvision (timm has the same)"), "{said}");
    let output = run(&["run", TINY, "--weights", text(&theirs), "--dialect", "cifar"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("its tensors are not those of network `tiny`: by the names of cifar"), "{said}");
    assert!(said.contains("head.linear.weight") && said.contains("linear.weight"), "{said}");
    let output = run(&["run", TINY, "--weights", text(&theirs), "--dialect", "keras"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("known: auto, resnetc, torchvision"), "{}", stderr(&output));
}

#[test]
fn another_number_of_classes_starts_the_last_layer_afresh() {
    let folder = tempfile::tempdir().expect("a folder");
    let theirs = converted(folder.path(), &own(folder.path(), 3), "timm");
    let seven = ["run", TINY, "--set", "classes=7", "--weights", text(&theirs)];
    let output = run(&seven);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("`--head new` starts the last linear layer afresh"),
        "{}",
        stderr(&output)
    );
    let said = stderr(&run(&[&seven[..], &["--head", "new"]].concat()));
    assert!(said.contains("starts afresh: `head.linear.weight`, `head.linear.bias`"), "{said}");
}

/// A rate of nothing leaves the weights as they were: what a training starts with is seen.
#[test]
fn a_training_starts_with_the_weights() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = own(folder.path(), 3);
    let theirs = converted(folder.path(), &own, "cifar");
    let out = folder.path().join("out");
    let train = ["run", TINY, "--train", "shapes10", "--epochs", "1", "--lr", "0", "--out", text(&out)];
    stdout(&[&train[..], &["--weights", text(&theirs)]].concat());
    let last = out.join("last.safetensors");
    let report = run(&["weights", "diff", text(&own), text(&last), "--json"]);
    let report = String::from_utf8(report.stdout).expect("UTF-8");
    // Statistics are those of the training's images; parameters are the file's.
    assert!(report.contains("running_mean") && !report.contains(".weight\""), "{report}");
    // A file that does not fit is refused before anything is written.
    let elsewhere = folder.path().join("elsewhere");
    let wrong =
        ["run", "resnet20", "--train", "shapes10", "--out", text(&elsewhere), "--weights", text(&theirs)];
    assert_eq!(run(&wrong).status.code(), Some(1));
    assert!(!elsewhere.exists());
}

#[test]
fn files_are_inspected() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r20.safetensors");
    let weights = Spec::builtin("resnet20", &SpecOptions::default()).expect("compiled in").initial_weights(0);
    save(&path, &weights.expect("weights"), &Metadata::new()).expect("written");
    let theirs = folder.path().join("theirs.safetensors");
    // The compiled-in network is found by itself.
    let said = stdout(&["weights", "convert", text(&path), text(&theirs), "--dialect", "cifar"]);
    assert!(said.contains("97 tensors of resnet20 by the names of cifar"), "{said}");
    let found = stdout(&["weights", "inspect", text(&theirs)]);
    for part in [
        "format      safetensors",
        "97 of 271,098 numbers",
        "fits        resnet20, ",
        "by the names of cifar",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    let row = found.lines().find(|line| line.starts_with("linear.weight")).expect("a row");
    assert!(row.contains("f32") && row.contains("10x64"), "{row}");
    let json = stdout(&["weights", "inspect", text(&theirs), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["fits"][0]["network"], "resnet20");
    assert_eq!(json["tensors"].as_array().map(Vec::len), Some(97));
}

#[test]
fn differences_are_told_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (a, b) = (own(folder.path(), 3), own(folder.path(), 4));
    let output = run(&["weights", "diff", text(&a), text(&b)]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(said.lines().any(|line| line.starts_with("stem.conv1.weight")), "{said}");
    assert!(said.contains("tensors differ, by "), "{said}");
    let missing = run(&["weights", "diff", text(&a), "no/such"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("no/such: "), "{}", stderr(&missing));
}

#[test]
fn timing_takes_weights_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let theirs = converted(folder.path(), &own(folder.path(), 3), "cifar");
    let bench = ["bench", TINY, "--runs", "1", "--warmup", "0", "--json", "--weights", text(&theirs)];
    assert!(stdout(&bench).contains("\"ms\""));
}
