//! `resnetc run SPEC --predict`: pictures in, answers out.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{run, run_with, stderr};
use resnetc::{Model, Session, Spec, SpecOptions};
use resnetc_pictures::{Limits, Preparer, decode};
use resnetc_runtime::weights::file;

const TINY: &str = "tests/specs/tiny.yaml";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pictures/tests/golden/formats").join(name)
}

/// Random weights of the small network in a file, and the folder that it lies in.
fn weights() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let store = spec().initial_weights(3).expect("a network");
    file::save(&path, &store, &Default::default()).expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

fn spec() -> Spec {
    Spec::open(TINY, &SpecOptions::default()).expect("a spec")
}

fn session(weights: &str) -> Session {
    let model = Model::from_file(&spec(), weights, &Default::default()).expect("its weights");
    model.session().expect("threads")
}

/// What the library answers.
fn expected(session: &mut Session, picture: &Path) -> Vec<(usize, f32)> {
    let (spec, limits) = (spec(), Limits::default());
    let resolved = spec.resolved();
    let mut preparer = Preparer::new(resolved.input.value, &resolved.preprocess, &limits).expect("colours");
    let picture = decode(&fs::read(picture).expect("there"), &limits).expect("a picture");
    let seen = preparer.fit(&picture).expect("small");
    let mut input = vec![0.0; preparer.numbers()];
    preparer.normalize(&seen, &mut input);
    session.run(&input).expect("one image").softmax().largest(0, 3)
}

fn predict<'a>(weights: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["run", TINY, "--weights", weights, "--predict"], more].concat()
}

#[test]
fn a_folder_is_answered_in_order_and_bad_pictures_are_told() {
    let (folder, weights) = weights();
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("below")).expect("made");
    // More than one batch, and a part of one.
    for index in 0..11 {
        let kind = if index % 2 == 0 { "420.jpg" } else { "rgb.png" };
        let name = format!("{index:02}.{}", &kind[kind.len() - 3..]);
        fs::copy(golden(kind), photos.join(name)).expect("copied");
    }
    fs::copy(golden("two_frames.gif"), photos.join("below/z.gif")).expect("copied");
    fs::write(photos.join("05a.jpg"), b"no picture").expect("written");
    fs::write(photos.join("notes.txt"), b"no picture").expect("written");

    let at = photos.to_str().expect("UTF-8");
    let output = run(&predict(&weights, &[at, "--top", "3", "--json", "--quiet"]));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stderr(&output);
    assert_eq!(
        told,
        format!("error: {at}/05a.jpg: not a picture in a known format: JPEG, PNG, WebP, GIF, TIFF, BMP\n")
    );

    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let answers: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let files: Vec<_> = answers.iter().map(|answer| answer["file"].as_str().expect("a name")).collect();
    assert_eq!(files.len(), 12);
    assert!(files.is_sorted_by_key(|file| (file.contains("below"), *file)), "{files:?}");
    let mut session = session(&weights);
    for (file, answer) in files.iter().zip(&answers) {
        let found = answer["predictions"].as_array().expect("a list");
        for (found, (class, probability)) in found.iter().zip(expected(&mut session, Path::new(file))) {
            assert_eq!(found["class"], class, "{file}");
            let difference = found["probability"].as_f64().expect("a number") - f64::from(probability);
            assert!(difference.abs() < 1e-5, "{file}: {difference}");
        }
        assert_eq!(found.len(), 3);
    }
}

#[test]
fn forms_and_names() {
    let (folder, weights) = weights();
    let names = folder.path().join("names.txt");
    fs::write(&names, "zero, or none\none\n2\n3\n4\n5\n6\n7\n8\n9\n").expect("written");
    let names = names.to_str().expect("UTF-8");
    let picture = golden("rgb.png");
    let picture = picture.to_str().expect("UTF-8");
    let output = run(&predict(&weights, &[picture, "--csv", "--top", "20", "--classes", names]));
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 11, "{text}");
    assert!(text.starts_with("file,rank,class,name,probability\n"));
    assert!(text.contains(",0,\"zero, or none\","), "{text}");

    let output = run(&predict(&weights, &[picture, "--top", "1"]));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[1].contains(" %  class "), "{text}");
    // The data set's names, where a spec is trained on one.
    let output = run(&predict(&weights, &[picture, "--top", "10", "--set", "train.dataset=cifar10"]));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("airplane") && text.contains("truck"), "{text}");
}

#[test]
fn one_picture_comes_on_standard_input() {
    let (_folder, weights) = weights();
    let bytes = fs::read(golden("rgb.png")).expect("there");
    let output = run_with(&predict(&weights, &["-", "--top", "3", "--json"]), &bytes);
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line");
    assert_eq!(answer["file"], "<stdin>");
    let expected = expected(&mut session(&weights), &golden("rgb.png"));
    assert_eq!(answer["predictions"][0]["class"], expected[0].0);
    let twice = run_with(&predict(&weights, &["-", "-"]), &bytes);
    assert_eq!(twice.status.code(), Some(2));
}

#[test]
fn limits_and_wrong_use_are_told() {
    let (folder, weights) = weights();
    let picture = golden("rgb.png");
    let picture = picture.to_str().expect("UTF-8");
    let output = run(&predict(&weights, &[picture, "--max-pixels", "100"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).ends_with("24x17 are 408 pixels, the limit is 100\n"), "{}", stderr(&output));
    let missing = folder.path().join("missing.jpg");
    let output = run(&predict(&weights, &[missing.to_str().expect("UTF-8"), picture, "--json"]));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8").lines().count(), 1, "the other is answered");
    let headless = run(&predict(&weights, &[picture, "--set", "head=none"]));
    assert_eq!(headless.status.code(), Some(2), "no classes");
    let none = run(&["run", TINY, "--predict", picture]);
    assert_eq!(none.status.code(), Some(2), "no weights");
    let wide = run(&predict(&weights, &[picture, "--set", "input=[5, 32, 32]"]));
    assert_eq!(wide.status.code(), Some(2));
    assert!(stderr(&wide).contains("the network takes 5x32x32"), "{}", stderr(&wide));
}

/// The sum of the map's weights is the logit, so the explanation lies where the network's answer comes from.
#[test]
fn a_picture_is_explained() {
    let (folder, weights) = weights();
    let out = folder.path().join("why.png");
    let (picture, path) = (golden("rgb.png"), out.to_str().expect("UTF-8"));
    let picture = picture.to_str().expect("UTF-8");
    let output = run(&predict(&weights, &[picture, "--explain-picture", path]));
    assert!(output.status.success(), "{}", stderr(&output));
    let limits = Limits::default();
    let [before, after] = [Path::new(picture), &out]
        .map(|path| decode(&fs::read(path).expect("there"), &limits).expect("a picture"));
    assert_eq!([after.width(), after.height()], [before.width(), before.height()]);
    assert_ne!(after, before);
    let two = run(&predict(&weights, &[picture, picture, "--explain-picture", path]));
    assert_eq!(two.status.code(), Some(2), "one picture is explained");
}
