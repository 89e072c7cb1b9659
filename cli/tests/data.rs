//! Data sets and checkpoints from places that users name.

mod common;

use std::fs;
use std::path::Path;

use common::{resnetc, run, stderr, stdout};

const TINY: &str = "tests/specs/tiny.yaml";

/// What a run that fails says.
fn failure(args: &[&str]) -> String {
    let output = run(args);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_mistyped_data_dir_is_no_new_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mistyped, out) = (folder.path().join("dta"), folder.path().join("out"));
    let args = ["run", TINY, "--train", "cifar10", "--out", text(&out)];
    let expected =
        "dta, does not exist: correct --data-dir or $RESNETC_DATA, make the folder, or leave both out";
    let named = failure(&[&args[..], &["--data-dir", text(&mistyped)]].concat());
    assert!(named.contains(expected), "{named}");
    let output = resnetc(&args).env("RESNETC_DATA", &mistyped).output().expect("the binary starts");
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert!(!mistyped.exists() && !out.exists(), "nothing was made");
}

#[test]
fn an_incomplete_data_set_names_the_missing_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for batch in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_5", "test_batch"] {
        fs::write(folder.path().join(batch).with_extension("bin"), "").expect("writable");
    }
    let args = ["run", TINY, "--train", "cifar10", "--data-dir", text(folder.path())];
    let message = failure(&args);
    let expected = format!("data_batch_4.bin is missing from {}", folder.path().display());
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn a_file_of_another_size_is_refused_unread() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["train.bin", "test.bin"] {
        // A hole of 20 GB.
        fs::File::create(folder.path().join(name)).and_then(|file| file.set_len(20 << 30)).expect("a hole");
    }
    let args =
        ["run", TINY, "--set", "classes=100", "--train", "cifar100", "--data-dir", text(folder.path())];
    let message = failure(&args);
    assert!(message.contains("train.bin: 21474836480 bytes, expected 153700000"), "{message}");
}

/// A link to a regular file is as good as that.
#[cfg(unix)]
#[test]
fn weights_are_read_through_a_link() {
    let folder = tempfile::tempdir().expect("a folder");
    let [file, link] = ["first.safetensors", "link"].map(|name| folder.path().join(name));
    let spec = resnetc::Spec::open(TINY, &resnetc::SpecOptions::default()).expect("a spec");
    let weights = spec.initial_weights(1).expect("weights");
    resnetc_runtime::weights::file::save(&file, &weights, &Default::default()).expect("writable");
    std::os::unix::fs::symlink(&file, &link).expect("writable");
    let text = stdout(&["run", TINY, "--eval", "shapes10", "--checkpoint", text(&link)]);
    assert!(text.starts_with("tiny on shapes10: "), "{text}");
}

#[cfg(unix)]
#[test]
fn a_checkpoint_is_a_regular_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
    assert!(made.success());
    for (path, what) in
        [(pipe.as_path(), "a named pipe"), (Path::new("/dev/zero"), "a device"), (folder.path(), "a folder")]
    {
        let message = failure(&["run", TINY, "--eval", "shapes10", "--checkpoint", text(path)]);
        assert!(message.contains(&format!("{}: it is {what}, no regular file", path.display())), "{message}");
    }
}
