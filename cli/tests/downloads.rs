//! Published weights on the command line, without a network: what is said, and what is found where a person put it.

#[allow(dead_code, reason = "not every suite needs all of it")]
mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{resnetc, stderr};
use resnetc::{Spec, SpecOptions};
use resnetc_runtime::weights::file::{Metadata, save};

const TINY: &str = "tests/specs/tiny.yaml";

/// Runs with a home of its own, and servers that nobody listens at.
fn run(home: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = resnetc(args);
    for name in ["XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    for name in ["HF_ENDPOINT", "RESNETC_TORCHVISION_URL"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("HOME", home).envs(variables.iter().copied()).output().expect("the binary starts")
}

/// Standard error of a run that failed with that status.
fn refused(home: &Path, status: i32, args: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(home, args, variables);
    assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn what_cannot_be_fetched_is_told_with_its_place() {
    let home = tempfile::tempdir().expect("a folder");
    let said = refused(home.path(), 1, &["run", "resnet18", "--weights", "torchvision"], &[]);
    let folder = home.path().join(".cache/resnetc/weights");
    assert!(said.contains("cannot fetch http://127.0.0.1:1/resnet18-f37072fd.pth: "), "{said}");
    assert!(
        said.contains(&format!("put that file as resnet18-f37072fd.pth into {}", folder.display())),
        "{said}"
    );
    let offline = [("HF_HUB_OFFLINE", "1"), ("HF_HOME", "/nowhere")];
    let said = refused(home.path(), 1, &["bench", "resnet18", "--weights", "timm"], &offline);
    assert!(
        said.contains("HF_HUB_OFFLINE is set, and /nowhere/hub/models--timm--resnet18.a1_in1k does not"),
        "{said}"
    );
    assert!(
        said.contains("http://127.0.0.1:1/timm/resnet18.a1_in1k/resolve/main/model.safetensors"),
        "{said}"
    );
    let said = refused(home.path(), 2, &["run", "resnet20", "--weights", "torchvision"], &[]);
    assert!(said.contains("torchvision has published no weights for `resnet20`"), "{said}");
}

#[test]
fn what_was_put_there_is_used() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("models--me--tiny/snapshots/main");
    fs::create_dir_all(&folder).expect("writable");
    let spec =
        Spec::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(TINY), &SpecOptions::default()).expect("right");
    let weights = spec.initial_weights(3).expect("weights");
    save(&folder.join("model.safetensors"), &weights, &Metadata::new()).expect("written");
    let cache = [("HF_HUB_CACHE", home.path().to_str().expect("UTF-8"))];
    let output = run(home.path(), &["run", TINY, "--weights", "hf:me/tiny"], &cache);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("weights   hf:me/tiny: "), "{}", stderr(&output));
    let report = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(report.contains("class"), "{report}");
}
