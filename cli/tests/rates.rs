//! `resnetc schedule`, and `resnetc run --train --find-lr`.

mod common;

use common::{run, stderr, stdout};
use serde_json::Value;

#[test]
fn a_schedule_is_drawn_and_listed() {
    let steps = [
        "schedule",
        "resnet20",
        "--images",
        "1000",
        "--set",
        "train.batch_size=100",
        "--set",
        "train.schedule={multistep: {milestones: [2, 15], by: epoch}}",
        "--set",
        "train.epochs=20",
    ];
    insta::assert_snapshot!("schedule", stdout(&steps));
    let rows: Value = serde_json::from_str(&stdout(&[&steps[..], &["--json"]].concat())).expect("JSON");
    let rows: Vec<_> = rows.as_array().expect("a list").iter().collect();
    let place = |row: &&Value| (row["epoch"].as_u64(), row["step"].as_u64());
    assert_eq!(rows.iter().map(place).collect::<Vec<_>>(), [1, 3, 16].map(|epoch| (Some(epoch), Some(1))));
    for (row, expected) in rows.iter().zip([0.1, 0.01, 0.001]) {
        let lr = row["lr"].as_f64().expect("a number");
        assert!((lr / expected - 1.0).abs() < 1e-6, "{row}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("rate.svg");
    stdout(&["schedule", "resnet50", "--svg", picture.to_str().expect("UTF-8")]);
    let text = std::fs::read_to_string(picture).expect("written");
    assert!(
        text.starts_with("<svg") && text.contains("<polyline") && text.contains("resnet50: learning rate")
    );
}

#[test]
fn sizes_that_change_are_listed() {
    let set = "train.progressive_resizing={multiple: 8}";
    let args = ["schedule", "resnet20", "--images", "1000", "--set", "train.epochs=10", "--set", set];
    let told = stdout(&args);
    let sizes: Vec<&str> = told.lines().filter(|line| line.contains("images of")).collect();
    let expected =
        ["from epoch 1: images of 16x16", "from epoch 7: images of 24x24", "from epoch 8: images of 32x32"];
    assert_eq!(sizes, expected);
    let rows: Value = serde_json::from_str(&stdout(&[&args[..], &["--json"]].concat())).expect("JSON");
    let rows = rows.as_array().expect("a list");
    let of = |epoch: u64| &rows.iter().find(|row| row["epoch"] == epoch).expect("the rate changes")["size"];
    assert_eq!([of(6), of(7), of(8)].map(|size| size[0].as_u64()), [16, 24, 32].map(Some));
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let output = run(&["schedule", "resnet20", "--images", "16000000000", "--set", "train.batch_size=1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("too many to draw"), "{}", stderr(&output));
    let output = run(&["run", "--train", "shapes10", "--find-lr", "1..0.1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the lower one first, as in 1e-5..1"), "{}", stderr(&output));
    assert_eq!(run(&["run", "--train", "--find-lr", "--resume"]).status.code(), Some(2));
}

/// A network that learns: its loss falls somewhere, and far above that it does not.
#[test]
fn rates_are_tried_and_nothing_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = std::env::current_dir().expect("a folder").join("tests/specs/tiny.yaml");
    let spec = spec.to_str().expect("UTF-8");
    let args =
        ["run", spec, "--train", "shapes10", "--batch-size", "8", "--find-lr", "1e-4..10", "--svg", "lr.svg"];
    let output = common::resnetc(&args).current_dir(folder.path()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(text.contains("the loss falls fastest at") && text.contains("try rates up to a tenth"), "{text}");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("readable")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["lr.svg"]);
}
