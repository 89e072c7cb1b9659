//! `resnetc reproduce`: tables of rows and seeds, trained, resumed, refused.

mod common;

use std::fs;
use std::path::Path;

use common::pictures::{MINI, folder};
use common::{run, stderr, stdout};
use serde_json::Value;

/// A folder with a network, pictures, and a table of two rows of it.
struct Place {
    folder: tempfile::TempDir,
}

const TABLE: &str = "\
title: Two small networks
source: nowhere
dataset: SHADES
figures: one run each
note: None of it was published.
recipe:
  train.epochs: 4
  train.optimizer: {sgd: {lr: 0.05, momentum: 0.9, weight_decay: 1e-4}}
  train.schedule: {multistep: {milestones: [2, 3], gamma: 0.1}}
rows:
  - {id: mini, name: Mini, network: mini.yaml, params: 430, error: 12.5, std: 0.5}
  - {id: wide, name: 'Mini | wide', network: mini.yaml, set: {stages.0.filters: 8}, params: 1.1K, above: 20, note: Twice as wide.}
left_out:
  - {name: Deep, why: it is not small}
";

impl Place {
    fn new() -> Self {
        let place = Place { folder: folder(&["blood", "sky"]) };
        fs::write(place.at("mini.yaml"), MINI).expect("writable");
        place.write(TABLE);
        place
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn write(&self, table: &str) {
        fs::write(self.at("two.yaml"), table.replace("SHADES", &self.at("shades"))).expect("writable");
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let args = ["reproduce".to_owned(), self.at("two.yaml"), "--out".into(), self.at("out")];
        args.into_iter().chain(more.iter().map(|&more| more.to_owned())).collect()
    }

    fn run(&self, more: &[&str]) -> std::process::Output {
        let args = self.args(more);
        run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn stdout(&self, more: &[&str]) -> String {
        let args = self.args(more);
        stdout(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn result(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.at("out/table.json")).expect("written")).expect("JSON")
    }

    /// A text without this folder, without times, and without what trainings came to: last bits differ from processor to processor.
    fn masked(&self, text: &str) -> String {
        let text = text.replace(self.folder.path().to_str().expect("UTF-8"), "DIR");
        let time = |cell: &str| {
            let unit = cell.rsplit_once(' ').filter(|(number, _)| number.parse::<f64>().is_ok());
            unit.is_some_and(|(_, unit)| ["µs", "ms", "s"].contains(&unit))
        };
        let error = |cell: &str| cell.contains(" ± ") && cell != "12.50 ± 0.50 %";
        let line = |line: &str| {
            if let Some((_, rest)) = line.strip_prefix("order     ").and_then(|rest| rest.split_once(" of "))
            {
                return format!("order     N of {rest}");
            }
            let cells = line.split(" | ").map(|cell| match cell.trim() {
                trimmed if time(trimmed) => "TIME",
                trimmed if error(trimmed) => "ERROR",
                _ => cell,
            });
            cells.collect::<Vec<_>>().join(" | ")
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Two rows, two seeds, one epoch of four: the result beside what was published; the same command does nothing again.
#[test]
fn a_table_is_trained_told_and_left_as_it_is() {
    let place = Place::new();
    let said = place.stdout(&["--epochs", "1", "--seeds", "2"]);
    let first = said.find("4 trainings take about ").expect("said before");
    assert!(first < said.find("row 1 of 2: Mini").expect("said at its time"), "{said}");
    assert!(said.contains("scale     epochs 1 of 4: not the published one."), "{said}");
    let markdown = fs::read_to_string(place.at("out/table.md")).expect("written");
    insta::assert_snapshot!(place.masked(&markdown));

    let result = place.result();
    let rows = result["rows"].as_array().expect("a list");
    assert_eq!((rows.len(), &result["as_published"]), (2, &Value::Bool(false)));
    assert_eq!((&rows[0]["params"], &rows[0]["published"]["std"]), (&430.into(), &0.5.into()));
    assert_eq!(rows[1]["published"], serde_json::json!({"above": 20.0}));
    for row in rows {
        let folder = place.at(&format!("out/{}", row["id"].as_str().expect("text")));
        let last = |seed: usize| {
            let log = fs::read_to_string(format!("{folder}/seed={seed}/log.jsonl")).expect("a log");
            let record: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
            (1.0 - record["test_accuracy"].as_f64().expect("a number")) * 100.0
        };
        let (mean, error) = ((last(0) + last(1)) / 2.0, &row["error"]);
        assert!((error["mean"].as_f64().expect("a number") - mean).abs() < 1e-4, "{row}");
        assert_eq!(error["n"], 2);
    }

    let again = place.stdout(&["--epochs", "1", "--seeds", "2"]);
    assert!(again.contains("2 runs finished") && !again.contains("run 1 of 2"), "{again}");
    assert!(again.contains("4 trainings take about 0 "), "nothing is left: {again}");
    assert_eq!(place.result(), result);
    let json = place.stdout(&["--epochs", "1", "--seeds", "2", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON alone"), result);
    let more = place.stdout(&["--epochs", "1", "--seeds", "3", "--rows", "mini"]);
    assert!(more.contains("run 3 of 3: seed=2") && !more.contains("run 2 of 3"), "{more}");
    let rows = &place.result()["rows"];
    assert_eq!(
        (&rows[0]["error"]["n"], &rows[1]),
        (&3.into(), &result["rows"][1]),
        "the row of before stays"
    );
    let other = place.run(&["--epochs", "2", "--seeds", "2"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("`train.epochs` was 1, it is 2"), "{}", stderr(&other));
}

/// The curve of the rate keeps its shape: milestones 2 and 3 of 4 epochs are 4 and 6 of 8.
#[test]
fn a_training_at_another_scale_has_the_same_curve() {
    let place = Place::new();
    let said = place.stdout(&["--rows", "wide", "--epochs", "8", "--dry-run"]);
    assert!(said.contains("8 of 4") && !said.contains("Mini \n"), "{said}");
    assert!(!Path::new(&place.at("out")).exists(), "a dry run writes nothing");
    place.stdout(&["--rows", "wide", "--epochs", "8"]);
    let log = fs::read_to_string(place.at("out/wide/seed=0/log.jsonl")).expect("a log");
    let rates: Vec<f64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["lr"].as_f64().expect("a number"))
        .collect();
    let drops: Vec<usize> = (1..rates.len()).filter(|&at| rates[at] < rates[at - 1] * 0.5).collect();
    assert_eq!(drops, [4, 6], "{rates:?}");
}

/// Ctrl-C saves the training under way and the rows before it; the rows behind it wait; the same command goes on.
#[cfg(unix)]
#[test]
fn a_table_is_interrupted_and_goes_on() {
    let place = Place::new();
    place.write(&TABLE.replace("[2, 3]", "[2000, 3000]"));
    let args = place.args(&["--epochs", "5000", "--rows", "mini,wide"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    for again in [false, true] {
        let said = common::interrupted(&args, "run 1 of 1: seed=0");
        assert_eq!(said.contains(" (goes on after "), again, "{said}");
        assert!(said.contains("go on with: ") && said.contains("--rows mini,wide"), "{said}");
        let rows = &place.result()["rows"];
        assert_eq!(rows[0]["state"], "stopped");
        assert_eq!((&rows[1]["state"], &rows[1]["epochs"]), (&"waiting".into(), &5000.into()), "{rows}");
        assert!(rows[1]["params"].as_u64() > rows[0]["params"].as_u64(), "{rows}");
    }
}

#[test]
fn mistakes_are_told_at_their_places_before_anything_is_trained() {
    let place = Place::new();
    let refused = |table: &str, args: &[&str]| {
        place.write(table);
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{table}");
        assert!(!Path::new(&place.at("out")).exists(), "{table}");
        stderr(&output)
    };
    let wrong = TABLE
        .replace("title: Two", "tilte: Two")
        .replace("params: 430, error: 12.5", "params: 430x, error: 120, above: 3")
        .replace("id: wide", "id: mini")
        .replace("  - {name: Deep, why: it is not small}", "  - {name: Deep}");
    insta::assert_snapshot!(place.masked(&refused(&wrong, &[])));
    let wrong = TABLE
        .replace("params: 430", "params: 431")
        .replace("network: mini.yaml, set", "network: resnet21, set");
    insta::assert_snapshot!(place.masked(&refused(&wrong, &[])));
    let told = refused(&TABLE.replace("train.epochs: 4", "train.epoks: 4"), &[]);
    assert_eq!(told.matches("unknown key `epoks`").count(), 1, "of two rows: {told}");
    let told = refused(TABLE, &["--rows", "mini,wyde"]);
    assert!(told.contains("no row `wyde`") && told.contains("`wide`"), "{told}");
    let told = refused(TABLE, &["--set", "train.seed=3"]);
    assert!(told.contains("--seeds N"), "{told}");
}

#[test]
fn tables_are_listed_and_unknown_ones_are_near_to_some() {
    let list = stdout(&["reproduce"]);
    assert!(list.contains("identity-shortcuts") && list.contains("He et al. 2015"), "{list}");
    let json: Value = serde_json::from_str(&stdout(&["reproduce", "--json"])).expect("JSON");
    assert!(json.as_array().is_some_and(|tables| tables.iter().any(|table| table["rows"][0] == "resnet20")));
    let output = run(&["reproduce", "resnt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("near: resnet"), "{}", stderr(&output));
    let output = run(&["reproduce", "no/such.yaml"]);
    assert!(stderr(&output).contains("cannot read no/such.yaml"), "{}", stderr(&output));
}
