//! `resnetc verify`, `explain`, `diff`, `lint`, `new`, `list` and `schema`.

mod common;

use common::{resnetc, run, stderr, stdout};
use serde_json::Value;

const TINY: &str = "tests/specs/tiny.yaml";

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn every_shipped_spec_is_right() {
    let rows = json(&stdout(&["verify", "../specs", "--json"]));
    let rows = rows.as_array().expect("a list");
    assert!(rows.len() >= 11, "{rows:?}");
    for row in rows {
        assert_eq!(row["ok"], true, "{row}");
        assert!(row["params"].as_u64().is_some() && row["macs"].as_u64().is_some(), "{row}");
        assert!(row["file"].as_str().is_some_and(|file| file.ends_with(".yaml")), "{row}");
    }
    let resnet50 = rows.iter().find(|row| row["name"] == "resnet50").expect("it is shipped");
    assert_eq!(resnet50["params"], 25_557_032);
    assert_eq!(resnet50["expect"], serde_json::json!(["params", "macs", "output"]));
}

#[test]
fn verify_tells_all_and_fails_with_2() {
    let output = run(&["verify", "tests/specs"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("verify", String::from_utf8_lossy(&output.stdout));
    assert!(stderr(&output).contains("unknown layer `relux`"), "{}", stderr(&output));
    assert_eq!(run(&["verify", "tests/specs", "--json"]).status.code(), Some(2));
    assert_eq!(run(&["verify", "no/such/folder"]).status.code(), Some(2));
    let one = json(&stdout(&["verify", "tests/specs/tiny.yaml", "--json"]));
    assert_eq!((one.as_array().map(Vec::len), &one[0]["ok"]), (Some(1), &true.into()));
}

#[test]
fn a_failed_expectation_keeps_its_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "extends: resnet20\nname: off\nexpect: {params: 1}\n";
    std::fs::write(folder.path().join("off.yaml"), text).expect("written");
    let output = run(&["verify", folder.path().to_str().expect("UTF-8"), "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let rows = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!((&rows[0]["ok"], &rows[0]["params"]), (&Value::from(false), &Value::from(269_722)));
}

/// A time is expected, measured where that is asked for, and told at its place where it is longer.
#[test]
fn an_expected_time_is_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("timed.yaml");
    let path = path.to_str().expect("UTF-8");
    let tiny = std::fs::read_to_string(TINY).expect("readable");
    let with = |ms: &str| std::fs::write(path, format!("{tiny}expect: {{ms: \"{ms}\"}}\n")).expect("written");
    with("< 0.000001");
    let unmeasured = stdout(&["verify", path]);
    assert!(
        unmeasured.contains("ok, ms not measured") && unmeasured.contains("--measure does"),
        "{unmeasured}"
    );
    stdout(&["build", path]);
    let output = run(&["verify", path, "--measure", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("< 0.000001 ms is expected here"), "{}", stderr(&output));
    let rows = json(&String::from_utf8_lossy(&output.stdout));
    assert!(rows[0]["ms"].as_f64().is_some_and(|ms| ms > 0.0) && rows[0]["ok"] == false, "{rows}");
    with("<= 600000");
    let measured = stdout(&["verify", path, "--measure"]);
    assert!(measured.contains("1 of 1 specs are right") && !measured.contains("not measured"), "{measured}");
}

/// A folder's specs are all looked at: those that cannot be read have a row.
#[cfg(unix)]
#[test]
fn unreadable_specs_have_a_row() {
    let (folder, _) = common::mixed_folder();
    let output = resnetc(&["verify", "."]).current_dir(folder.path()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("verify_mixed", String::from_utf8_lossy(&output.stdout));
    insta::assert_snapshot!("verify_mixed_reasons", stderr(&output));
    let output = resnetc(&["verify", ".", "--json"]).current_dir(folder.path()).output().expect("it starts");
    let rows = json(&String::from_utf8_lossy(&output.stdout));
    let rows = rows.as_array().expect("a list");
    let unreadable = rows.iter().filter(|row| row["unreadable"].is_string()).count();
    let right = rows.iter().filter(|row| row["ok"] == true).count();
    assert_eq!((rows.len(), unreadable, right), (6, 3, 2), "{rows:?}");
}

/// What would be waited for is not opened, where a folder has it; a command's own argument may be a pipe.
#[cfg(unix)]
#[test]
fn pipes_in_folders_are_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let output = run(&["verify", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("pipe.yaml: it is no file"), "{}", stderr(&output));
}

#[test]
fn without_a_folder_the_compiled_in_networks_are_verified() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = resnetc(&["verify", "--json"]).current_dir(folder.path()).output().expect("it starts");
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = json(&String::from_utf8_lossy(&output.stdout));
    let listed = json(&stdout(&["list", "--json"]));
    assert_eq!(rows.as_array().map(Vec::len), listed.as_array().map(Vec::len));
}

#[test]
fn nodes_are_explained() {
    for (snapshot, node) in [
        ("explain_unit", "stage2.unit0"),
        ("explain_conv", "stage2.unit0.conv2"),
        ("explain_shortcut", "stage2.unit0.shortcut"),
        ("explain_identity", "stage1.unit0.shortcut"),
        ("explain_fused", "stage2.unit0.relu2"),
        ("explain_folded", "stage2.unit0.bn1"),
    ] {
        insta::assert_snapshot!(snapshot, stdout(&["explain", TINY, node]));
    }
    let train = ["explain", TINY, "stage2.unit0.bn2", "--train", "--batch", "4"];
    insta::assert_snapshot!("explain_train", stdout(&train));
}

#[test]
fn an_unknown_node_names_near_ones() {
    let output = run(&["explain", TINY, "stage2.unit0.cnov1"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("explain_unknown", stderr(&output));
}

#[test]
fn differences_are_those_of_networks() {
    let output = run(&["diff", "resnet50", "resnet101"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("diff", String::from_utf8_lossy(&output.stdout));

    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let v1 = write("v1.yaml", "extends: resnet50\nname: v1\nstyle: v1\n");
    let output = run(&["diff", "resnet50", &v1, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found = json(&String::from_utf8_lossy(&output.stdout));
    let found = found["differences"].as_array().expect("a list").clone();
    let stride = found.iter().find(|d| d["aspect"] == "stride").expect("the stride moved");
    assert_eq!(stride["places"], serde_json::json!(["stage2.unit0", "stage3.unit0", "stage4.unit0"]));
    assert_eq!((&stride["a"], &stride["b"]), (&"2 in conv2".into(), &"2 in conv1".into()));
    assert!(found.iter().all(|d| d["aspect"] != "parameters"), "{found:?}");

    // Another text of the same network: everything written out, and another name.
    let spec = stdout(&["build", "resnet50", "--emit", "spec"]).replace("name: resnet50", "name: same");
    let same = write("same.yaml", &spec);
    assert_eq!(stdout(&["diff", "resnet50", &same]), "the networks are equal\n");
    assert_eq!(json(&stdout(&["diff", "resnet50", &same, "--json"]))["equal"], true);
}

/// One spec against which every rule has something to say.
const BAD: &str = "\
name: bad
input: [3, 32, 32]
classes: 10
stem: conv7x7(12, stride=2) -> bn -> relu -> maxpool3x3(stride=2)
units:
  scaled(f, stride): |
    main = x -> conv3x3(f, stride) -> bn -> relu -> conv3x3(f) -> bn
    out  = main + 0.5 * shortcut -> relu
unit: scaled
stages:
  - {depth: 54, filters: 12}
train: {batch_size: 1024, precision: bf16}
";

#[test]
fn findings_are_underlined_with_their_source() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("bad.yaml"), BAD).expect("written");
    let lint = |args: &[&str]| {
        let args = [&["lint", "bad.yaml"], args].concat();
        resnetc(&args).current_dir(folder.path()).output().expect("it starts")
    };
    let output = lint(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    insta::assert_snapshot!("lint", String::from_utf8_lossy(&output.stdout));
    assert_eq!(lint(&["--strict"]).status.code(), Some(1));

    let rows = json(&String::from_utf8_lossy(&lint(&["--json"]).stdout));
    let mut rules: Vec<&str> =
        rows.as_array().expect("a list").iter().filter_map(|r| r["rule"].as_str()).collect();
    rules.dedup();
    let all = [
        "stem-for-large-images",
        "multiplicative-shortcut",
        "no-zero-init",
        "norm-decay",
        "no-warmup",
        "bf16-channels",
    ];
    assert_eq!(rules, all);
    assert_eq!((&rows[0]["file"], &rows[0]["line"]), (&"bad.yaml".into(), &4.into()));
}

#[test]
fn what_is_mended_is_not_warned_of() {
    assert_eq!(stdout(&["lint", TINY, "--strict"]), format!("{TINY}: nothing to warn of\n"));
    let mended = [
        "init.zero_last_bn=true",
        "train.optimizer.sgd.decay_norm=false",
        "train.batch_size=1024",
        "train.warmup.length=5",
    ];
    let args: Vec<&str> = mended.iter().flat_map(|set| ["--set", set]).collect();
    let output = run(&[&["lint", "resnet110", "--strict"], args.as_slice()].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_new_spec_is_its_base_and_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = |args: &[&str]| resnetc(args).current_dir(folder.path()).output().expect("it starts");
    let output = new(&["new", "mine", "--from", "resnet20"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let file = folder.path().join("mine.yaml");
    let text = std::fs::read_to_string(&file).expect("written");
    insta::assert_snapshot!("new", text);

    let path = file.to_str().expect("UTF-8");
    assert_eq!(stdout(&["diff", "resnet20", path]), "the networks are equal\n");
    let refused = new(&["new", "mine"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), text);
    assert!(new(&["new", "mine", "--force"]).status.success());
    assert_ne!(std::fs::read_to_string(&file).expect("still there"), text);
    assert_eq!(new(&["new", "../mine"]).status.code(), Some(2));

    // The comments are the base: without their marks they are a spec of the same network.
    let bare = text
        .replace("# ", "")
        .lines()
        .skip_while(|l| !l.starts_with("input:"))
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&file, format!("name: bare\n{bare}\n")).expect("written");
    assert_eq!(stdout(&["diff", "resnet20", path]), "the networks are equal\n");
}

/// A variant is a few lines that change a base, and says what comes out; so is the largest base, without the lines.
#[test]
fn specs_are_short() {
    let rows = json(&stdout(&["list", "--json"]));
    for row in rows.as_array().expect("a list") {
        let file = row["file"].as_str().expect("a file");
        let text = std::fs::read_to_string(format!("../specs/{file}")).expect("readable");
        let variant = file.starts_with("variants/");
        let lines = text.lines().count();
        assert!(lines <= if variant { 15 } else { 25 }, "{file} has {lines} lines");
        assert!(text.contains("\nextends: ") || !variant, "{file} extends nothing");
        for part in ["\nexpect: {params: ", ", macs: ", ", output: "] {
            assert!(text.contains(part), "{file} does not say {part}");
        }
    }
}

#[test]
fn compiled_in_networks_are_those_of_the_folder() {
    let rows = json(&stdout(&["list", "--json"]));
    let listed = rows
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| format!("../specs/{}", row["file"].as_str().unwrap_or("")));
    let mut listed: Vec<_> = listed.collect();
    let files = json(&stdout(&["verify", "../specs", "--json"]));
    let files =
        files.as_array().expect("a list").iter().map(|row| row["file"].as_str().unwrap_or("").to_owned());
    let mut files: Vec<_> = files.collect();
    listed.sort();
    files.sort();
    assert_eq!(listed, files);
}

/// By a name, its own or its base's, and by a file beside it.
#[test]
fn compiled_in_networks_extend_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mine.yaml"), "extends: wrn_40_4\nname: mine\nclasses: 100\n")
        .expect("written");
    for spec in ["densenet_bc_100_k12", "wrn_28_10_dropout", "ecaresnet50d", "mine.yaml"] {
        let output = resnetc(&["check", spec]).current_dir(folder.path()).output().expect("it starts");
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn compiled_in_networks_are_listed() {
    let rows = json(&stdout(&["list", "--json"]));
    let resnet20 =
        rows.as_array().expect("a list").iter().find(|row| row["name"] == "resnet20").expect("it is there");
    assert_eq!(resnet20["params"], 269_722);
    assert_eq!(resnet20["macs"], 40_551_040);
    assert_eq!(resnet20["input"], serde_json::json!([3, 32, 32]));
    assert!(
        resnet20["about"].as_str().is_some_and(|about| about.starts_with("He et al. 2015")),
        "{resnet20}"
    );
    let text = stdout(&["list"]);
    assert_eq!(text.lines().count(), 2 + rows.as_array().map_or(0, Vec::len));
}

#[test]
fn data_sets_are_listed_with_what_normalises_them() {
    insta::assert_snapshot!("list_datasets", stdout(&["list", "--datasets"]));
    let rows = json(&stdout(&["list", "--datasets", "--json"]));
    let shapes10 = rows.as_array().and_then(|rows| rows.iter().find(|row| row["name"] == "shapes10"));
    let shapes10 = shapes10.expect("it is listed");
    assert_eq!(shapes10["mean"], serde_json::json!([0.5, 0.5, 0.5]));
    assert_eq!(shapes10["std"], serde_json::json!([0.25, 0.25, 0.25]));
}

/// Where it is not, `resnetc schema > spec.schema.json` in the root of the repository.
#[test]
fn the_schema_in_the_repository_is_the_one_printed() {
    let file = std::fs::read_to_string("../spec.schema.json").expect("the schema is there");
    assert!(stdout(&["schema"]) == file, "spec.schema.json is out of date");
}
