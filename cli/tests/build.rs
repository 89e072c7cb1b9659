//! `resnetc build`: what it prints, where, and how it fails.

mod common;

use std::io::Read;
use std::process::Stdio;

use common::{resnetc, run, stderr, stdout};

/// Replaces the compile time, which differs from run to run, and what the machine's kernels and its system need.
fn without_time(text: &str) -> String {
    text.lines()
        .map(|line| match line {
            line if line.starts_with("compiled in") => "compiled in [time]",
            line if line.starts_with("resident") => "resident    [of this machine]",
            line => line,
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn summary_of_resnet20() {
    insta::assert_snapshot!("summary", without_time(&stdout(&["build", "resnet20"])));
    insta::assert_snapshot!(
        "summary_train",
        without_time(&stdout(&["build", "resnet20", "--train", "--batch", "128"]))
    );
}

#[test]
fn json_has_the_promised_keys() {
    let text = stdout(&["build", "resnet20", "--emit", "json", "--batch", "2"]);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for key in ["name", "params", "macs", "output_shape", "arena_bytes", "compile_ms", "kernels", "units"] {
        assert!(!json[key].is_null(), "{key} is missing from {text}");
    }
    assert_eq!(json["params"], 269_722);
    assert_eq!(json["output_shape"], serde_json::json!([2, 10]));
    assert_eq!(json["units"].as_array().expect("a list").len(), 11);
}

#[test]
fn a_training_says_what_its_process_will_have_resident() {
    let json = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&stdout(args)).expect("JSON") };
    let training = ["resnet20", "--train", "--batch", "64", "--threads", "2"];
    let built = json(&[&["build", "--emit", "json"], &training[..]].concat());
    let ran = json(&[&["bench", "--json", "--warmup", "0", "--runs", "1"], &training[..]].concat());
    let of = |json: &serde_json::Value, key: &str| json[key].as_u64().expect("bytes");
    assert_eq!(of(&built, "memory_bytes"), of(&ran, "planned_bytes"));
    assert_eq!(of(&built, "workspace_bytes"), of(&ran, "workspace_bytes"));
    if cfg!(target_os = "linux") {
        let (expected, resident) = (of(&built, "expected_resident_bytes"), of(&ran, "peak_resident_bytes"));
        // Code comes in page by page as it runs, and there is much of it in a build for tests.
        assert!(expected.abs_diff(resident) < resident / 8, "{expected} expected, {resident} resident");
    }
    for args in [&["--backend", "cuda"][..], &["--ranks", "2"]] {
        let args = [&["build", "resnet20", "--train", "--emit", "json"], args].concat();
        assert!(json(&args)["expected_resident_bytes"].is_null(), "{args:?}: this CPU cannot tell");
    }
}

#[test]
fn every_form_is_printed_and_the_same_every_time() {
    for form in ["spec", "ir", "dot", "svg", "html", "plan"] {
        let args = ["build", "tests/specs/tiny.yaml", "--emit", form];
        let text = stdout(&args);
        assert!(text.contains("tiny"), "{form}: {text}");
        assert_eq!(text, stdout(&args), "{form}");
    }
}

#[test]
fn set_changes_the_network() {
    let text = stdout(&["build", "tests/specs/tiny.yaml", "--set", "classes=7", "--emit", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["output_shape"], serde_json::json!([1, 7]));
}

#[test]
fn output_goes_to_the_file_and_a_summary_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tiny.svg");
    let path = file.to_str().expect("UTF-8");
    let text = stdout(&["build", "tests/specs/tiny.yaml", "--emit", "summary,svg", "-o", path]);
    assert!(text.contains("parameters"));
    assert!(std::fs::read_to_string(&file).expect("written").starts_with("<svg"));
    let entries = std::fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(entries, 1, "no temporary file is left");
}

#[test]
fn errors_of_files_name_them() {
    let path = "/nonexistent/folder/tiny.svg";
    let output = run(&["build", "tests/specs/tiny.yaml", "--emit", "svg", "-o", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(path), "{}", stderr(&output));
}

#[test]
fn one_file_takes_one_form() {
    let output = run(&["build", "tests/specs/tiny.yaml", "--emit", "svg,dot", "-o", "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("one form"));
}

#[test]
fn passes_are_explained_and_dumped() {
    let explained = stdout(&["build", "tests/specs/tiny.yaml", "--explain-passes"]);
    let passes: Vec<_> =
        explained.lines().filter(|l| !l.starts_with(' ')).filter_map(|l| l.split(':').next()).collect();
    assert!(passes.len() >= 4, "{explained}");
    for pass in &passes {
        let dump = stdout(&["build", "tests/specs/tiny.yaml", "--dump-after", pass]);
        assert!(dump.starts_with(&format!("# after {pass}\n")), "{dump}");
    }
    let all = stdout(&["build", "tests/specs/tiny.yaml", "--dump-after", "all"]);
    assert_eq!(all.matches("# after ").count(), passes.len());
}

#[test]
fn an_unknown_pass_names_the_known() {
    let output = run(&["build", "tests/specs/tiny.yaml", "--dump-after", "fold"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("unknown_pass", stderr(&output));
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let mut child = resnetc(&["build", "resnet152", "--emit", "plan"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdout.take().expect("piped");
    pipe.read_exact(&mut [0; 64]).expect("it prints");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}

#[test]
fn several_ranks_are_expected_to_take_what_their_link_allows() {
    let args = ["build", "resnet20", "--train", "--ranks", "6", "--link", "1Gbit", "--step-time", "250ms"];
    let text = without_time(&stdout(&args));
    let told = &text[text.find("link ").expect("a prediction")..];
    insta::assert_snapshot!("scaling", told);
    // Beside another form it is told, too, and JSON has it.
    assert!(stdout(&[&args[..], &["--emit", "plan"]].concat()).ends_with(told));
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&[&args[..], &["--emit", "json"]].concat())).expect("JSON");
    let rows = json["scaling"]["predictions"].as_array().expect("a list");
    assert_eq!(rows.iter().map(|row| row["ranks"].as_u64()).collect::<Vec<_>>(), [2, 4, 6].map(Some));
}

#[test]
fn a_step_is_measured_where_no_time_is_given() {
    let args =
        ["build", "tests/specs/tiny.yaml", "--train", "--ranks", "2", "--link", "10Gbit", "--threads", "1"];
    let text = stdout(&args);
    assert!(text.contains("measured here: cpu") && text.contains("1 thread"), "{text}");
    for (more, reason) in [
        (&["--backend", "cuda"][..], "--step-time 250ms"),
        (&["--ranks", "1"][..], "--ranks 8"),
        (&["--step-time", "5"][..], "a time with its unit"),
        (&["--link", "fast"][..], "25Gbit"),
    ] {
        let kept = ["build", "tests/specs/tiny.yaml", "--train"];
        let rest = [["--ranks", "2"], ["--link", "10Gbit"]];
        let rest = rest.iter().filter(|pair| pair[0] != more[0]).flatten().copied();
        let args: Vec<&str> = kept.into_iter().chain(rest).chain(more.iter().copied()).collect();
        let failed = run(&args);
        assert!(
            !failed.status.success() && stderr(&failed).contains(reason),
            "{args:?}: {}",
            stderr(&failed)
        );
    }
}
