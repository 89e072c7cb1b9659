//! `resnetc design`: variants that are worth their time.

mod common;

use std::fs;

use common::{run, stderr, stdout};
use serde_json::Value;

const TINY: &str = "tests/specs/tiny.yaml";

fn number(variant: &Value, key: &str) -> f64 {
    variant[key].as_f64().unwrap_or_else(|| panic!("{key} of {variant}"))
}

#[test]
fn the_front_is_what_no_other_variant_beats() {
    let over = ["--over", "stages.*.depth=1..2", "--over", "width=0.5..1.5"];
    let args = [&["design", TINY, "--json", "--measure", "5"][..], &over].concat();
    let found: Value = serde_json::from_str(&stdout(&args)).expect("JSON");
    // Two depths of two stages, five widths.
    assert_eq!(
        found["compiled"].as_u64().expect("a count") + found["refused"].as_u64().expect("a count"),
        20
    );
    let measured = found["measured"].as_array().expect("a list");
    assert!((1..=5).contains(&measured.len()), "{measured:?}");
    let beats = |a: &Value, b: &Value| {
        number(a, "ms") <= number(b, "ms") && number(a, "macs") > number(b, "macs")
            || number(a, "ms") < number(b, "ms") && number(a, "macs") >= number(b, "macs")
    };
    for variant in measured {
        let beaten = measured.iter().any(|other| beats(other, variant));
        assert_eq!(variant["front"].as_bool(), Some(!beaten), "{variant}");
        assert!(variant["values"]["stages.1.depth"].is_string() && variant["values"]["width"].is_string());
    }
}

#[test]
fn the_fronts_specs_are_networks_with_its_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let [specs, svg] = ["variants", "front.svg"].map(|name| folder.path().join(name).display().to_string());
    let over = ["--over", "stages.1.depth=1,2", "--metric", "params", "--train", "--batch", "2"];
    let args = [&["design", TINY, "-o", &specs, "--svg", &svg][..], &over].concat();
    let table = stdout(&args);
    assert!(table.contains("stages.1.depth") && table.contains("expected"), "{table}");
    assert!(fs::read_to_string(&svg).expect("written").contains("circle class=\"beside\""));
    let written: Vec<_> =
        fs::read_dir(&specs).expect("made").map(|entry| entry.expect("read").path()).collect();
    assert!(!written.is_empty());
    for path in written {
        let summary = stdout(&["build", &path.display().to_string(), "--emit", "json"]);
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        let params = summary["params"].as_u64().expect("a count");
        let shown: String = params
            .to_string()
            .chars()
            .rev()
            .collect::<Vec<_>>()
            .chunks(3)
            .map(String::from_iter)
            .collect::<Vec<_>>()
            .join(",")
            .chars()
            .rev()
            .collect();
        assert!(table.contains(&shown), "{shown} is not in\n{table}");
    }
}

#[test]
fn what_has_no_answer_is_told() {
    let failed = run(&["design", TINY, "--over", "width=1,2", "--budget", "1us"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        stderr(&failed).contains("no variant that was measured keeps to the budget"),
        "{}",
        stderr(&failed)
    );
    for (wrong, why) in [
        (&["--over", "width=wide"][..], "`wide` is no width"),
        (&["--over", "width=1", "--over", "width=2"], "names `width` twice"),
        (&["--over", "stages.*.depth=none"], "depth"),
        (&["--over", "width=1", "--budget", "5"], "a time with its unit"),
        (&[], "--over"),
    ] {
        let failed = run(&[&["design", TINY][..], wrong].concat());
        assert_eq!(failed.status.code(), Some(2), "{wrong:?}");
        assert!(stderr(&failed).contains(why), "{wrong:?}: {}", stderr(&failed));
    }
}
