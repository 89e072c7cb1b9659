//! `resnetc runs`: lists of trainings, and comparisons.

mod common;

use std::fs;

use common::pictures::{MINI, folder};
use common::{run, stderr, stdout};
use serde_json::Value;

/// Two trainings that differ in a rate, and a folder that is none: listed, sorted, compared, as text and as a page.
#[test]
fn trainings_are_listed_and_compared() {
    let folder = folder(&["blood", "sky"]);
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    fs::write(at("mini.yaml"), MINI).expect("writable");
    for (out, lr, epochs) in [("out/a", "0.05", "2"), ("out/b", "0.1", "1")] {
        let args = ["run", &at("mini.yaml"), "--train", &at("shades"), "--lr", lr, "--epochs", epochs];
        stdout(&[&args[..], &["--out", &at(out)]].concat());
    }
    fs::create_dir(at("out/c")).expect("made");
    fs::write(at("out/c/run.json"), "{").expect("written");

    let listed: Vec<Value> =
        serde_json::from_str(&stdout(&["runs", &at("out"), "--json", "--sort", "duration"])).expect("JSON");
    assert_eq!(listed.len(), 3, "{listed:?}");
    // So small trainings take as long as the machine likes.
    let seconds = |nth: usize| listed[nth]["seconds"].as_f64().expect("a time");
    assert!(seconds(0) >= seconds(1), "{listed:?}");
    assert_eq!(listed[2]["error"], "run.json cannot be read");
    let log = fs::read_to_string(at("out/a/log.jsonl")).expect("a log");
    let last: Value = serde_json::from_str(log.lines().last().expect("two lines")).expect("JSON");
    let listed_a = listed.iter().find(|run| run["run"] == at("out/a")).expect("listed");
    assert_eq!(listed_a["last_accuracy"], last["test_accuracy"]);
    assert_eq!((&listed_a["epochs"], &listed_a["state"]), (&2.into(), &"finished".into()));
    let text = stdout(&["runs", &at("out")]);
    assert!(text.contains("out/c: cannot be read: run.json cannot be read"), "{text}");

    let page = at("compare.html");
    let text = stdout(&["runs", "compare", &at("out/a"), &at("out/b"), "--html", &page]);
    let settings: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("setting"))
        .skip(2)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(settings, [["train.epochs", "2", "1"], ["train.optimizer.sgd.lr", "0.05", "0.1"]]);
    let html = fs::read_to_string(&page).expect("written");
    assert!(html.contains("train.optimizer.sgd.lr") && !html.contains("<script"), "{html}");
    assert_eq!(html.matches("<svg").count(), 4, "accuracy, two losses, rate");
    assert_eq!(html.matches("class=\"s1\"").count(), 4, "the second training is in each");

    let inner = stdout(&["runs", "compare", &at("out")]);
    assert!(inner.starts_with(&format!("a  {}\nb  {}\n", at("out/a"), at("out/b"))), "{inner}");
    let alone = run(&["runs", "compare", &at("out/a")]);
    assert_eq!(alone.status.code(), Some(2), "{}", stderr(&alone));
    let none = run(&["runs", "compare", &at("out/a"), &at("shades")]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("no training"), "{}", stderr(&none));
    assert_eq!(run(&["runs", &at("missing")]).status.code(), Some(1));
}
