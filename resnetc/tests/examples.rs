//! The examples do what they say.

#[path = "../examples/classify.rs"]
#[allow(dead_code, reason = "its main function")]
mod classify;
#[path = "../examples/diagnostics.rs"]
#[allow(dead_code, reason = "its main function")]
mod diagnostics;
#[path = "../examples/sessions.rs"]
#[allow(dead_code, reason = "its main function")]
mod sessions;
#[path = "../examples/summary.rs"]
#[allow(dead_code, reason = "its main function")]
mod summary;
#[path = "../examples/train.rs"]
#[allow(dead_code, reason = "its main function")]
mod train;

use std::error::Error;
use std::io::Write;

/// What an example writes.
fn said(run: impl FnOnce(&mut dyn Write) -> Result<(), Box<dyn Error>>) -> String {
    let mut out = Vec::new();
    run(&mut out).expect("it succeeds");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn a_summary_has_units_and_totals() {
    let text = said(summary::run);
    // Torchvision's 25,557,032, with 10 classes instead of 1000.
    assert!(text.contains("resnet50: 23528522 parameters"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("stage4.unit2")), "{text}");
}

#[test]
fn probabilities_are_told_of_each_image() {
    let text = said(|out| classify::run(out, None));
    assert_eq!(text.lines().filter(|line| line.starts_with("image 1: class ")).count(), 3, "{text}");
    let missing = classify::run(&mut Vec::new(), Some("nowhere.safetensors")).expect_err("no such file");
    assert!(missing.to_string().contains("nowhere.safetensors"), "{missing}");
}

#[test]
fn every_session_answers() {
    let text = said(sessions::run);
    assert_eq!(text.lines().filter(|line| line.contains(": class ")).count(), 4, "{text}");
}

#[test]
fn a_training_stops_when_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = said(|out| train::run(out, folder.path()));
    assert!(text.contains("stopped after 3 steps") && !text.contains("NaN"), "{text}");
    assert!(folder.path().join("last.safetensors").is_file(), "{text}");
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let text = said(diagnostics::run);
    assert!(text.contains("depht") && text.contains("botleneck"), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("mine: ")), "{text}");
}

/// What fits on a page is read.
#[test]
fn examples_are_short() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let lengths: Vec<_> =
        files.map(|path| (std::fs::read_to_string(&path).expect("text").lines().count(), path)).collect();
    assert_eq!(lengths.len(), 5);
    assert!(lengths.iter().all(|(lines, _)| *lines < 60), "{lengths:?}");
}
