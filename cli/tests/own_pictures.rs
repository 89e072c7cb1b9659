//! Trainings on folders of people's own pictures, from the command line to answers.

mod common;

use std::fs;
use std::path::Path;

use common::pictures::folder;
use common::{run, stderr};

const TINY: &str = "tests/specs/tiny.yaml";

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_folder_is_trained_on_evaluated_and_answered_with() {
    let folder = folder(&["blood", "sky"]);
    let (shades, out) = (folder.path().join("shades"), folder.path().join("out"));
    fs::write(shades.join("train/sky/5.bmp"), "broken").expect("writable");
    let spec = folder.path().join("mine.yaml");
    fs::write(&spec, format!("{SMALLER}train: {{epochs: 12, batch_size: 8}}\n")).expect("writable");
    let (spec, weights) = (text(&spec), out.join("best.safetensors"));
    let output = run(&["run", spec, "--train", text(&shades), "--out", text(&out)]);
    let (said, told) = (String::from_utf8_lossy(&output.stdout).into_owned(), stderr(&output));
    assert!(output.status.success(), "{told}");
    assert!(told.contains("classes   2 in place of 10, as the pictures have: blood, sky"), "{told}");
    assert_eq!(told.matches("5.bmp: not a picture").count(), 1, "{told}");
    assert!(said.contains("2 classes, 24 pictures, 6 to test on"), "{said}");

    let evaluated = run(&["run", spec, "--eval", text(&shades), "--weights", text(&weights)]);
    let said = String::from_utf8_lossy(&evaluated.stdout).into_owned();
    assert!(said.starts_with("mine on ") && said.contains("6 of 6 right"), "{said}{}", stderr(&evaluated));

    let picture = shades.join("val/sky/1.bmp");
    let answer = run(&["run", spec, "--weights", text(&weights), "--predict", text(&picture), "--json"]);
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    let answer: serde_json::Value = serde_json::from_str(&said).expect("one line");
    assert_eq!(answer["predictions"][0]["name"], "sky", "{said}");

    // Other classes are refused, and so are fewer of them.
    fs::rename(shades.join("val/sky"), shades.join("val/sea")).expect("writable");
    fs::rename(shades.join("train/sky"), shades.join("train/sea")).expect("writable");
    let refused = run(&["run", spec, "--eval", text(&shades), "--weights", text(&weights)]);
    let told = stderr(&refused);
    assert!(
        told.contains("has the classes blood, sea; ") && told.contains("was trained on blood, sky"),
        "{told}"
    );
}

/// What extends a compiled-in network, whose classes it takes over.
const SMALLER: &str = "extends: resnet20\nname: mine\nstem: conv3x3(8, stride=4) -> bn -> relu\nstages: [{depth: 1, filters: 8}]\n";

/// Of four epochs the first two have images of 16x16.
#[test]
fn images_grow_over_a_training() {
    let folder = folder(&["blood", "sky"]);
    let (shades, out) = (folder.path().join("shades"), folder.path().join("out"));
    let spec = folder.path().join("mine.yaml");
    let train = "train: {epochs: 4, batch_size: 8, progressive_resizing: {multiple: 8}}\n";
    fs::write(&spec, format!("{SMALLER}{train}")).expect("writable");
    let output = run(&["run", text(&spec), "--train", text(&shades), "--out", text(&out)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(said.contains("\nsizes     16 to 32 by epoch\n"), "{said}");
    for (epoch, side) in [(1, 16), (2, 16), (3, 24), (4, 32)] {
        assert!(said.contains(&format!("\nepoch {epoch}/4  {side}x{side}")), "{said}");
    }
    let log = fs::read_to_string(out.join("log.jsonl")).expect("written");
    assert_eq!(log.matches("\"size\":[16,16]").count(), 2, "{log}");

    fs::write(&spec, format!("{SMALLER}head: avgpool8x8 -> flatten -> linear(classes)\n{train}"))
        .expect("writable");
    let refused = run(&["run", text(&spec), "--train", text(&shades), "--out", text(&out), "--overwrite"]);
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains("with images of 16x16: `head.avgpool"), "{told}");
}

#[test]
fn a_spec_that_says_another_number_of_classes_is_told_what_to_write() {
    let folder = folder(&["blood", "sky"]);
    let out = folder.path().join("out");
    let shades = folder.path().join("shades");
    let output = run(&["run", TINY, "--train", text(&shades), "--out", text(&out)]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains(
            "says `classes: 10`, the pictures have 2 classes (blood, sky): write `classes: 2` there"
        ),
        "{told}"
    );
    assert!(!out.exists(), "nothing was made");
}

#[test]
fn what_stands_in_both_splits_is_told() {
    let folder = folder(&["blood", "sky"]);
    let shades = folder.path().join("shades");
    let sheet = folder.path().join("sheet.html");
    let inspect = |more: &[&str]| run(&[&["data", "inspect", text(&shades), "--spec", TINY], more].concat());
    let sound = inspect(&["--html", text(&sheet)]);
    assert!(sound.status.success(), "{}", stderr(&sound));
    let page = fs::read_to_string(&sheet).expect("written");
    // Four pictures of two classes: as they are, evaluated, and in three epochs.
    assert_eq!(page.matches("data:image/png;base64,").count(), 4 * 2 * 5);
    assert!(!page.contains("http://") && !page.contains("https://"), "it loads nothing");

    fs::copy(shades.join("train/sky/3.bmp"), shades.join("val/sky/other.bmp")).expect("writable");
    fs::copy(shades.join("train/sky/3.bmp"), shades.join("train/sky/twice.bmp")).expect("writable");
    let output = inspect(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(report["in_both"][0][1].as_str().is_some_and(|name| name.ends_with("other.bmp")), "{report}");
    assert_eq!(report["train"]["duplicates"][0].as_array().map(Vec::len), Some(2), "{report}");
    assert_eq!(report["train"]["classes"][1]["images"], 13, "{report}");
}

/// The average is told of in every epoch, and is what evaluation takes unless it is told otherwise.
#[test]
fn an_average_of_the_weights_is_kept_and_taken() {
    let folder = folder(&["blood", "sky"]);
    let (shades, out) = (folder.path().join("shades"), folder.path().join("out"));
    let spec = folder.path().join("mine.yaml");
    let train = "{epochs: 2, batch_size: 4, accumulate: 2, ema: {decay: 0.8}}";
    fs::write(&spec, format!("{SMALLER}train: {train}\n")).expect("writable");
    let (spec, weights) = (text(&spec), out.join("last.safetensors"));
    let output = run(&["run", spec, "--train", text(&shades), "--out", text(&out)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(said.contains("epochs    2 of 3 steps, 24 images"), "{said}");
    assert_eq!(said.matches(" %, of the average ").count(), 2, "{said}");
    let log = fs::read_to_string(out.join("log.jsonl")).expect("a log");
    let last: serde_json::Value = serde_json::from_str(log.lines().last().expect("lines")).expect("JSON");
    let eval = ["run", spec, "--eval", text(&shades), "--weights", text(&weights), "--json"];
    for (more, key, told) in [(&[][..], "average_loss", true), (&["--raw-weights"], "test_loss", false)] {
        let output = run(&[&eval[..], more].concat());
        assert_eq!(stderr(&output).contains("weights   the average over the training"), told, "{key}");
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let [found, logged] = [&found["loss"], &last[key]].map(|loss| loss.as_f64().expect("a number"));
        assert!((found - logged).abs() <= 1e-5 * logged, "{key}: {found}, {logged}");
    }
    assert_ne!(last["average_loss"], last["test_loss"]);
}

/// What is packed is inspected as what it was packed from, and trained on.
#[test]
fn packed_pictures_are_those_of_their_source() {
    let folder = folder(&["blue", "red"]);
    let (source, packed) = (folder.path().join("shades"), folder.path().join("shades.pack"));
    let output = run(&["data", "pack", text(&source), "-o", text(&packed), "--threads", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let bytes = fs::metadata(&packed).expect("there").len();
    assert!(said.contains("24 pictures, 6 to test on") && bytes > 24 * 20 * 18 * 3, "{said}");
    let table = |path: &Path| {
        let output = run(&["data", "inspect", text(path), "--threads", "2"]);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(table(&source), table(&packed));
    let out = folder.path().join("out");
    let output = run(&[
        "run",
        TINY,
        "--train",
        text(&packed),
        "--out",
        text(&out),
        "--epochs",
        "1",
        "--set",
        "classes=2",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    // Cut off, it is refused by name, and nothing is packed over it that cannot be read.
    let whole = fs::read(&packed).expect("there");
    fs::write(&packed, &whole[..whole.len() - 9]).expect("writable");
    let output = run(&["data", "inspect", text(&packed)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("shades.pack: it has") && stderr(&output).contains("cut off"),
        "{}",
        stderr(&output)
    );
}

/// Arrays say their size: a network that takes another is told what to write.
#[test]
fn arrays_of_another_size_say_what_to_write() {
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/arrays/mnist");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let args = ["run", TINY, "--train", digits, "--out", text(&out), "--epochs", "1", "--set", "classes=3"];
    let output = run(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("write `input: [1, 28, 28]` in its spec"), "{}", stderr(&output));
    let output = run(&[&args[..], &["--set", "input=[1, 28, 28]"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}
