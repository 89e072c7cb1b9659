//! `resnetc run`: without data, training, evaluating.

mod common;

#[cfg(unix)]
use common::interrupted;
use common::{run, stderr, stdout};

#[test]
fn run_needs_a_spec_or_a_data_set() {
    assert_eq!(run(&["run"]).status.code(), Some(2));
    assert_eq!(run(&["run", "resnet20", "--epochs", "3"]).status.code(), Some(2), "--epochs without --train");
    assert_eq!(run(&["run", "resnet20", "--eval", "shapes10"]).status.code(), Some(2), "no checkpoint");
}

#[test]
fn unknown_data_sets_name_the_known() {
    let output = run(&["run", "--train", "mnist"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("unknown_data_set", stderr(&output));
}

/// The lines without those that tell times.
fn without_times(text: &str) -> String {
    text.lines()
        .filter(|l| !l.starts_with("time"))
        .filter(|l| !l.starts_with("device"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_random_image_gives_the_five_largest() {
    let args = ["run", "tests/specs/tiny.yaml", "--seed", "7"];
    let logits = without_times(&stdout(&args));
    assert!(logits.contains("1 x 10"), "{logits}");
    assert_eq!(logits, without_times(&stdout(&args)), "the seed decides");
    let text = stdout(&["run", "tests/specs/tiny.yaml", "--seed", "7", "--batch", "3", "--softmax"]);
    assert!(text.contains("3 x 10"), "{text}");
}

#[test]
fn the_reference_agrees() {
    let largest = |device: &str| {
        let text = stdout(&["run", "tests/specs/tiny.yaml", "--device", device]);
        let classes: Vec<_> =
            text.lines().filter_map(|l| l.trim_start().strip_prefix("class ")).map(str::to_owned).collect();
        assert_eq!(classes.len(), 5, "{text}");
        classes
    };
    assert_eq!(largest("cpu"), largest("reference"));
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_says_how_to_get_it() {
    for command in ["run", "bench"] {
        let output = run(&[command, "tests/specs/tiny.yaml", "--device", "cuda:1"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--features cuda"));
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn auto_is_the_cpu_where_the_build_has_no_cuda() {
    let output = run(&["run", "tests/specs/tiny.yaml", "--device", "auto"]);
    assert!(output.status.success());
    let expected = "--device auto takes cpu: this build has no CUDA: build with `--features cuda`\n";
    assert_eq!(stderr(&output), expected);
    let listed = stdout(&["devices"]);
    assert!(listed.starts_with("cpu        ") && listed.contains("\nreference  "), "{listed}");
    assert!(
        listed.contains(
            "\ncuda       this build has no CUDA: build with `--features cuda`\nranks      several processes"
        ),
        "{listed}"
    );
}

#[test]
fn unknown_devices_are_told_the_known() {
    let output = run(&["run", "tests/specs/tiny.yaml", "--device", "gpu"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("auto, cpu, reference, cuda or cuda:N"), "{}", stderr(&output));
}

#[test]
fn devices_are_listed_for_programs() {
    let listed: serde_json::Value = serde_json::from_str(&stdout(&["devices", "--json"])).expect("JSON");
    assert!(listed["cpu"]["threads"].as_u64().is_some_and(|threads| threads > 0), "{listed}");
    let instructions = listed["cpu"]["available"].as_array().expect("a list");
    assert!(instructions.contains(&listed["cpu"]["instructions"]), "{listed}");
    assert!(listed["cuda"].is_object(), "{listed}");
}

#[test]
fn the_reference_is_timed_without_the_cpus_ceilings() {
    let args = ["bench", "tests/specs/tiny.yaml", "--device", "reference", "--runs", "2", "--warmup", "0"];
    let text = stdout(&args);
    assert!(text.contains("on reference (candle") && !text.contains("ceilings"), "{text}");
    let json = stdout(&[&args[..], &["--json"]].concat());
    let figures: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(figures["peak_gb_s"].is_null() && figures["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{figures}");
}

/// One epoch in three commands: begun and interrupted, resumed, its weights evaluated.
#[cfg(unix)]
#[test]
fn training_is_interrupted_resumed_and_evaluated() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let out = out.to_str().expect("UTF-8");
    let args = ["run", "tests/specs/tiny.yaml", "--train", "--epochs", "1", "--out", out];

    let stopped = interrupted(&args, "epochs ");
    assert!(stopped.contains("stopped after 0 epochs"), "{stopped}");
    assert!(stopped.contains("--train --epochs 1 --out"), "{stopped}");
    assert!(stopped.trim_end().ends_with("--resume"), "{stopped}");

    let finished = stdout(&[&args[..], &["--resume", "--lr", "0.0625"]].concat());
    assert!(finished.contains("resumed after 0 epochs and "), "{finished}");
    let warnings: Vec<&str> = finished.lines().filter(|line| line.starts_with("warning")).collect();
    assert!(warnings.len() == 1 && warnings[0].starts_with("warning: lr was "), "{finished}");
    assert!(warnings[0].ends_with("it is 0.0625 from now on"), "{finished}");
    assert!(finished.contains("\nepoch 1/1 "), "{finished}");

    for flag in ["--resume", "--overwrite", "--out"] {
        let refused = run(&args);
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(flag), "{}", stderr(&refused));
    }
    assert_eq!(
        stdout(&[&args[..], &["--resume"]].concat()).matches("\nepoch").count(),
        1,
        "nothing is left to do"
    );

    let best = format!("{out}/best.safetensors");
    let evaluate = ["run", "tests/specs/tiny.yaml", "--eval", "shapes10", "--checkpoint", &best, "--json"];
    let json: serde_json::Value = serde_json::from_str(&stdout(&evaluate)).expect("JSON");
    assert_eq!(json["total"], 4000);
    assert!(json["correct"].as_u64().is_some_and(|n| n > 0) && json["loss"].as_f64().is_some());
    assert!(json["top5_accuracy"].as_f64() > json["accuracy"].as_f64() && json["auroc"].is_null());
    let answers = format!("{out}/answers.csv");
    stdout(&[&evaluate[..], &["--predictions", &answers]].concat());
    let read = |file: &str| std::fs::read_to_string(file).expect("written");
    assert_eq!(read(&answers), read(&format!("{out}/predictions-best.csv")), "the training's own");
    let page = read(&format!("{out}/report.html"));
    assert!(page.contains("<h2>Confusion matrix</h2>") && page.contains("src=\"data:image/png"), "{page}");
    let record: serde_json::Value = serde_json::from_str(&read(&format!("{out}/run.json"))).expect("JSON");
    let history = record["history"].as_array().expect("a list");
    assert!(history.last().expect("a command")["command"].as_str().is_some_and(|c| c.ends_with("--resume")));

    let anew = interrupted(&[&args[..], &["--overwrite"]].concat(), "epochs ");
    assert!(anew.contains("stopped after 0 epochs"), "{anew}");
    let files =
        std::fs::read_dir(out).expect("it is there").map(|entry| entry.expect("readable").file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().expect("UTF-8")).collect();
    files.sort();
    // Names of events have their second.
    files.iter_mut().for_each(|name| name.truncate("events.out.tfevents".len()));
    let left = [
        "answers.csv",
        "events.out.tfevents",
        "last.safetensors",
        "log.jsonl",
        "metrics.jsonl",
        "run.json",
        "spec.yaml",
    ];
    assert_eq!(files, left, "nothing of the old training is left");
    assert_eq!(run(&[&args[..], &["--overwrite", "--resume"]].concat()).status.code(), Some(2));
}

#[test]
fn nothing_to_resume_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("UTF-8");
    let output = run(&["run", "tests/specs/tiny.yaml", "--train", "--resume", "--out", out]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nothing to resume"), "{}", stderr(&output));
}

/// Batch normalisation of one value, and milestones that no step reaches: said before the training begins.
#[test]
fn what_trains_to_nothing_is_warned_of_first() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let out = out.to_str().expect("UTF-8");
    let sets = [
        "head=global_avgpool -> conv1x1(8) -> bn -> relu -> flatten -> linear(classes)",
        "train.batch_size=1",
        "train.schedule.multistep.milestones=[1, 900000]",
        "train.schedule.multistep.by=step",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let args = ["run", "tests/specs/tiny.yaml", "--train", "shapes10", "--out", out, "--epochs", "1"];
    let mut command = common::resnetc(&[&args[..], &sets].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut told = String::new();
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    while !told.contains("a milestone lies behind the end of the training") {
        assert!(lines.read_line(&mut told).expect("UTF-8") > 0, "{told}");
    }
    assert!(told.contains("batch normalisation over one value per channel"), "{told}");
    assert!(told.contains("every batch has one image"), "{told}");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}
