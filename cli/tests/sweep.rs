//! `resnetc run --sweep`: many trainings, resumed, halved, refused.

mod common;

use std::fs;
use std::path::Path;

use common::pictures::{MINI, folder};
use common::{run, stderr, stdout};
use serde_json::Value;

/// A folder with a spec and pictures; the arguments that train the one on the other into `out`.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = folder(&["blood", "sky"]);
        fs::write(folder.path().join("mini.yaml"), MINI).expect("writable");
        Place { folder }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let args = ["run".to_owned(), self.at("mini.yaml"), "--train".into(), self.at("shades")];
        let out = ["--out".to_owned(), self.at("out")];
        args.into_iter().chain(out).chain(more.iter().map(|&more| more.to_owned())).collect()
    }

    fn stdout(&self, more: &[&str]) -> String {
        let args = self.args(more);
        stdout(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn run(&self, more: &[&str]) -> std::process::Output {
        let args = self.args(more);
        run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn sweep(&self) -> Value {
        let text = fs::read_to_string(self.at("out/sweep.json")).expect("written");
        serde_json::from_str(&text).expect("JSON")
    }
}

fn log(folder: &str) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(Path::new(folder).join("log.jsonl")).expect("a log");
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    records
        .map(|line| {
            (line["epoch"].as_u64().expect("a number"), line["train_loss"].as_f64().expect("a number"))
        })
        .collect()
}

const GRID: [&str; 4] = ["--sweep", "lr=0.05,1e6", "--sweep", "seed=0..1"];

/// One variant diverges, the others go on; the same command does nothing again; another one is refused.
#[test]
fn a_sweep_is_trained_told_and_left_as_it_is() {
    let place = Place::new();
    let output = place.run(&GRID);
    let said = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}{}", stderr(&output));
    assert!(stderr(&output).contains("2 of 4 runs diverged"), "{}", stderr(&output));
    assert!(said.contains("\nrun 2 of 4: lr=0.05 seed=1\n") && said.contains("  diverged: "), "{said}");
    let file = place.sweep();
    let states: Vec<&str> =
        file["runs"].as_array().expect("a list").iter().filter_map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["finished", "finished", "diverged", "diverged"]);
    let point = &file["points"][0];
    let accuracies: Vec<f64> = (0..2).filter_map(|run| file["runs"][run]["last_accuracy"].as_f64()).collect();
    let mean = (accuracies[0] + accuracies[1]) / 2.0;
    assert!((point["last_accuracy"]["mean"].as_f64().expect("a number") - mean).abs() < 1e-12, "{point}");
    assert_eq!(point["last_accuracy"]["n"], 2);
    assert!(file["runs"][2]["reason"].as_str().is_some_and(|reason| reason.contains("after step")), "{file}");
    let table = fs::read_to_string(place.at("out/sweep.csv")).expect("written");
    assert_eq!(table.lines().count(), 5, "{table}");

    let again = place.run(&GRID);
    let said = String::from_utf8(again.stdout).expect("UTF-8");
    assert!(said.contains("2 runs finished, 2 diverged") && !said.contains("run 1 of 4"), "{said}");
    assert_eq!(place.sweep(), file);

    let other = place.run(&["--sweep", "lr=0.05,0.1", "--sweep", "seed=0..1", "--set", "train.batch_size=4"]);
    assert_eq!(other.status.code(), Some(2));
    let told = stderr(&other);
    assert!(told.contains("`train.optimizer.lr` was 0.05,1e6, it is 0.05,0.1"), "{told}");
    assert!(told.contains("`train.batch_size` was 8, it is 4"), "{told}");
}

/// Of four points two go on; what came to the end is the run that it would be alone.
#[test]
fn halving_leaves_out_and_changes_nothing_else() {
    let place = Place::new();
    let spec =
        format!("{MINI}sweep: {{over: {{lr: [0.001, 0.01, 0.05, 0.1]}}, halving: 2, min_epochs: 1}}\n");
    fs::write(place.at("mini.yaml"), spec).expect("writable");
    let said = place.stdout(&["--epochs", "3"]);
    assert!(said.contains("after epoch 1, 2 of 4 points go on\n"), "{said}");
    assert!(said.contains("after epoch 2, 1 of 2 points go on\n"), "{said}");
    let file = place.sweep();
    let mut epochs = Vec::new();
    let mut finished = None;
    for row in file["runs"].as_array().expect("a list") {
        epochs.push(row["epochs"].as_u64().expect("a number"));
        if row["state"] == "finished" {
            finished = Some((row["name"].as_str().expect("text"), row["values"][0].as_str().expect("text")));
        }
    }
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 1, 2, 3]);
    let (name, lr) = finished.expect("one came to the end");
    let alone = place.at("alone");
    let (spec, shades) = (place.at("mini.yaml"), place.at("shades"));
    stdout(&[
        "run", &spec, "--train", &shades, "--out", &alone, "--epochs", "3", "--set", "sweep=~", "--lr", lr,
    ]);
    assert_eq!(log(&place.at(&format!("out/{name}"))), log(&alone));
}

#[test]
fn all_mistakes_are_told_once_before_anything_is_trained() {
    let place = Place::new();
    let output =
        place.run(&["--sweep", "trian.lr=1", "--sweep", "stages.0.depth=0,1", "--sweep", "seed=0..2"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert_eq!(told.matches("unknown key `trian`").count(), 1, "{told}");
    assert_eq!(told.matches("`depth` must be 1 or more").count(), 1, "{told}");
    assert!(!Path::new(&place.at("out")).exists());
    for (args, why) in [
        (&["--sweep", "lr=1,2", "--lr", "3"][..], "`lr` is swept over, and set by an option too"),
        (&["--sweep", "seed=3..1"], "runs backwards"),
        (&["--sweep", "train.dataset=cifar10,shapes10"], "the same in all trainings"),
        (&["--sweep", "epochs=1,2", "--halving", "2"], "halving decides on epochs"),
        (&["--halving", "2"], "are of sweeps"),
        (&["--sweep", "lr=1", "--overwrite"], "cannot be used with"),
    ] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(why), "{args:?}: {}", stderr(&output));
    }
}

/// Ctrl-C saves the training under way; the same command goes on with it.
#[cfg(unix)]
#[test]
fn a_sweep_is_interrupted_and_goes_on() {
    let place = Place::new();
    let args = place.args(&["--epochs", "5000", "--sweep", "seed=0..1"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    for again in [false, true] {
        let said = common::interrupted(&args, "run 1 of 2: seed=0");
        assert_eq!(said.contains(" (goes on after "), again, "{said}");
        assert!(said.contains("stopped with 0 of 2 runs finished"), "{said}");
        assert!(said.contains("go on with: ") && said.contains("--sweep seed=0..1"), "{said}");
        let file = place.sweep();
        assert_eq!(
            (&file["runs"][0]["state"], &file["runs"][1]["state"]),
            (&"stopped".into(), &"waiting".into())
        );
    }
}
