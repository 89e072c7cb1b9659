//! Folders: another training in them, one that cannot start, one without a last checkpoint.

use std::fs;

use crate::training::{Running, bring_to_the_end, last, training, undisturbed};

#[test]
fn what_cannot_start_replaces_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    bring_to_the_end(dir.path());
    let before = last(dir.path());
    let size = "--set=input=[3, 16, 16]";
    for wrong in ["--set=classes=5", size, "--set=train.epochs=0", "--data-dir=/nowhere/at/all"] {
        let dataset = if wrong.starts_with("--data-dir") { "cifar10" } else { "shapes10" };
        let mut command = training(dir.path(), &["--overwrite", wrong]);
        if dataset == "cifar10" {
            command = training(dir.path(), &["--overwrite", wrong, "--set=train.dataset=cifar10"]);
        }
        let output = command.output().expect("the binary starts");
        if dataset == "shapes10" {
            assert!(!output.status.success(), "{wrong}");
        }
        if !output.status.success() {
            assert!(last(dir.path()) == before, "{wrong}");
            assert!(dir.path().join("best.safetensors").exists() && dir.path().join("log.jsonl").exists());
        }
    }
}

#[test]
fn two_trainings_do_not_share_a_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = Running::start(training(dir.path(), &[]));
    for more in [&[][..], &["--overwrite"], &["--resume"]] {
        let second = training(dir.path(), more).output().expect("the binary starts");
        let told = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{told}");
        assert!(
            told.contains("another training has ") && told.contains(&first.child.id().to_string()),
            "{told}"
        );
    }
    let (code, text) = first.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(last(dir.path()) == undisturbed());
}

#[test]
fn the_lock_of_a_dead_training_is_taken_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut first = Running::start(training(dir.path(), &[]));
    first.child.kill().expect("it runs");
    first.child.wait().expect("it ends");
    assert!(dir.path().join(".lock").exists());
    bring_to_the_end(dir.path());
    assert!(last(dir.path()) == undisturbed());
}

#[test]
fn a_finished_training_is_called_finished() {
    let dir = tempfile::tempdir().expect("a folder");
    bring_to_the_end(dir.path());
    let again = training(dir.path(), &["--resume"]).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && text.contains("finished before: 2 epochs are done"), "{text}");
    fs::remove_file(dir.path().join("last.safetensors")).expect("there");
    let again = training(dir.path(), &["--resume"]).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(text.contains("best.safetensors, for there is no last.safetensors"), "{text}");
}
