//! `resnetc tune`, and what later runs make of its files.

mod common;

use common::{resnetc, run, stderr, stdout};

const TINY: &str = "tests/specs/tiny.yaml";

/// Whatever is fastest on the machine that runs this: layers are told, and a file is written where it is said to be.
#[test]
fn it_measures_and_says_what_it_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = resnetc(&["tune", TINY, "--threads", "1", "--rounds", "2", "--json"])
        .env("RESNETC_TUNING", folder.path())
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for layer in found["layers"].as_array().expect("layers") {
        let fastest = layer["fastest"].as_str().expect("a name");
        assert!(layer["ms"][fastest].as_f64().expect("its time") > 0.0, "{layer}");
    }
    let files = std::fs::read_dir(folder.path()).expect("it is readable").count();
    assert_eq!(files, usize::from(found["file"].is_string()), "{found}");
}

#[test]
fn without_a_folder_there_is_nothing_to_tune() {
    let output = run(&["tune", TINY]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("RESNETC_TUNING"), "{}", stderr(&output));
}

/// Files are found by their names, which the processor decides: one is made of what the message names.
#[test]
fn a_damaged_file_is_told_and_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["run", TINY, "--threads", "1"];
    let with = |args: &[&str]| {
        let mut command = resnetc(args);
        command.env("RESNETC_TUNING", folder.path()).env("RESNETC_ISA", "portable");
        command.output().expect("the binary starts")
    };
    assert_eq!(stderr(&with(&args)), "");
    let cache = resnetc_runtime::cpu::tune::Cache::in_folder(
        folder.path(),
        resnetc_runtime::cpu::simd::Isa::Portable,
        1,
    );
    std::fs::write(cache.path(), "{}").expect("it is written");
    let output = with(&args);
    assert!(output.status.success());
    let told = stderr(&output);
    assert!(told.contains("warning") && told.contains(&cache.path().display().to_string()), "{told}");
}

#[test]
fn without_measurements_the_model_decides() {
    let text = stdout(&["bench", TINY, "--threads", "1", "--runs", "1", "--explain"]);
    assert!(text.contains("taken") && !text.contains("as measured"), "{text}");
}
