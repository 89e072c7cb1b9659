//! Whom a command talks to, and what it does where nobody listens: closed pipes, full devices, files that are no regular ones,
//! arguments that are no text, terminals that must not be steered.

#![cfg(unix)]

mod common;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};

use common::{resnetc, run, stderr, stdout};
use resnetc::{Spec, SpecOptions};
use resnetc_runtime::weights::{ParamStore, file};

const TINY: &str = "tests/specs/tiny.yaml";

/// The status of a command whose reader has gone before it prints.
fn unread(args: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    resnetc(args).stdout(writer).stderr(Stdio::null()).status().expect("it starts").code()
}

#[test]
fn a_status_does_not_hang_on_a_reader() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (wrong, picture) = (at("wrong.yaml"), at("tiny.svg"));
    fs::write(&wrong, "extends: resnet20\nclases: 3\n").expect("written");
    for (args, status) in [
        (vec!["diff", "resnet20", "resnet32"], 1),
        (vec!["diff", "resnet20", "resnet20"], 0),
        (vec!["check", TINY, &wrong], 2),
        (vec!["check", TINY], 0),
        (vec!["verify", folder.path().to_str().expect("UTF-8")], 2),
        (vec!["lint", "resnet110", "--strict"], 1),
        (vec!["build", TINY, "--emit", "summary,svg", "-o", &picture], 0),
        (vec!["list"], 0),
    ] {
        assert_eq!(unread(&args), Some(status), "{args:?}");
    }
    assert!(fs::read_to_string(&picture).expect("written for nobody's reading").starts_with("<svg"));
}

#[test]
fn a_full_device_is_an_error_of_results_and_none_of_messages() {
    let full = || File::options().write(true).open("/dev/full");
    let Ok(device) = full() else { return };
    let output = resnetc(&["list"]).stdout(device).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("standard output"), "{}", stderr(&output));
    for (args, status) in [
        (vec!["build", "no/such.yaml"], 2),
        (vec!["build"], 2),
        (vec!["check", "tests/specs/wrong.yaml"], 2),
        (vec!["run", TINY, "--threads", "40"], 0),
        (vec!["run", TINY, "--eval", "shapes10", "--checkpoint", "/no/such"], 1),
    ] {
        let mut command = resnetc(&args);
        command.stdout(Stdio::null()).stderr(full().expect("it is there"));
        assert_eq!(command.status().expect("it starts").code(), Some(status), "{args:?}");
    }
}

#[test]
fn arguments_that_are_no_text_are_used_or_refused() {
    let odd = OsStr::from_bytes(b"\xff\xfe");
    for command in
        ["build", "run", "bench", "tune", "explain", "diff", "lint", "new", "list", "schema", "biuld"]
    {
        for extra in [&[][..], &["x"]] {
            let output = resnetc(&[command]).args(extra).arg(odd).output().expect("it starts");
            assert_eq!(output.status.code(), Some(2), "{command}: {}", stderr(&output));
        }
    }
    for option in ["--set", "--limit", "--color", "--emit", "--dump-after"] {
        let output = resnetc(&["build", TINY, option]).arg(odd).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{option}: {}", stderr(&output));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(odd);
    let output = resnetc(&["build", TINY, "-o"]).arg(&file).output().expect("it starts");
    assert!(output.status.success() && file.is_file(), "{}", stderr(&output));
}

#[test]
fn numbers_out_of_bounds_are_told_them() {
    for (args, reason) in [
        (vec!["run", TINY, "--seed", "-1"], "a whole number from 0 on is needed"),
        (vec!["run", TINY, "--threads", "1000000000"], "a whole number from 1 to 1024 is needed"),
        (vec!["bench", TINY, "--threads", "1025"], "a whole number from 1 to 1024 is needed"),
        (vec!["tune", TINY, "--threads", "-2"], "a whole number from 1 to 1024 is needed"),
        (vec!["bench", TINY, "--warmup", "-1"], "a whole number from 0 on is needed"),
        (vec!["build", TINY, "--batch", "-1"], "a whole number from 1 on is needed"),
        (vec!["run", "--train", "--epochs", "many"], "a whole number from 1 on is needed"),
        (vec!["run", "--train", "--lr", "-0.1"], "lr"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(reason), "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("-- -1"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn more_threads_than_cores_are_warned_of() {
    let output = run(&["run", TINY, "--threads", "200"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: 200 threads on "), "{}", stderr(&output));
    assert_eq!(stderr(&run(&["run", TINY, "--threads", "1"])), "");
    assert_eq!(stderr(&run(&["run", TINY, "--threads", "200", "--quiet"])), "");
}

/// Writes the tiny network's plan to a path.
fn write_to(path: &std::path::Path) -> Output {
    resnetc(&["build", TINY, "--emit", "plan", "-o"]).arg(path).output().expect("it starts")
}

#[test]
fn output_goes_through_what_is_no_regular_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let plan = stdout(&["build", TINY, "--emit", "plan"]);

    for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].map(std::path::Path::new) {
        if path.exists() {
            let output = write_to(path);
            assert_eq!(String::from_utf8_lossy(&output.stdout), plan, "{path:?}: {}", stderr(&output));
        }
    }
    assert!(write_to("/dev/null".as_ref()).status.success());
    assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device());

    let fifo = at("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is there").success());
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read_to_string(fifo).expect("read")
    });
    assert!(write_to(&fifo).status.success());
    assert_eq!(reader.join().expect("read"), plan);
    assert!(fs::metadata(&fifo).expect("there").file_type().is_fifo());

    fs::write(at("file"), "old").expect("written");
    fs::set_permissions(at("file"), Permissions::from_mode(0o600)).expect("set");
    symlink("file", at("link")).expect("linked");
    assert!(write_to(&at("link")).status.success());
    assert_eq!(fs::read_to_string(at("file")).expect("there"), plan);
    assert_eq!(fs::metadata(at("file")).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(fs::symlink_metadata(at("link")).expect("there").is_symlink());
}

/// A shell's `>>`: what stood in the file stays, and what the command prints besides.
#[test]
fn a_redirected_descriptor_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    fs::write(&path, "before\n").expect("written");
    let log = File::options().append(true).open(&path).expect("opened");
    let mut command = resnetc(&["build", TINY, "--emit", "summary,plan", "-o", "/dev/stdout"]);
    assert!(command.stdout(log).status().expect("it starts").success());
    let text = fs::read_to_string(&path).expect("there");
    assert!(text.starts_with("before\n") && text.contains("parameters"), "{text}");
    assert!(text.ends_with(&stdout(&["build", TINY, "--emit", "plan"])), "{text}");
}

#[test]
fn new_specs_follow_links() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("real.yaml"), "old").expect("written");
    symlink("real.yaml", folder.path().join("mine.yaml")).expect("linked");
    let output = resnetc(&["new", "mine", "--force"]).current_dir(folder.path()).output().expect("it starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(folder.path().join("mine.yaml").is_symlink());
    assert!(fs::read_to_string(folder.path().join("real.yaml")).expect("there").contains("name: mine"));
}

#[test]
fn an_evaluation_without_a_loss_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nan.safetensors");
    let spec = Spec::open(format!("{}/{TINY}", env!("CARGO_MANIFEST_DIR")), &SpecOptions::default());
    let weights = spec.expect("right").initial_weights(0).expect("weights");
    let mut broken = ParamStore::new();
    for (name, tensor) in weights.iter() {
        broken.insert(name, tensor.shape.clone(), vec![f32::NAN; tensor.data.len()]);
    }
    file::save(&path, &broken, &Default::default()).expect("written");
    let path = path.to_str().expect("UTF-8");
    for json in [&[][..], &["--json"]] {
        let output = run(&[&["run", TINY, "--eval", "shapes10", "--checkpoint", path], json].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("the loss is NaN"), "{}", stderr(&output));
    }
}

#[test]
fn the_base_cannot_be_set() {
    for spec in ["resnet20", TINY] {
        for set in ["extends=resnet50", " extends = resnet50", "extends.x=1"] {
            let output = run(&["build", spec, "--set", set]);
            assert_eq!(output.status.code(), Some(2), "{set}");
            assert!(stderr(&output).contains("`extends` cannot be set"), "{}", stderr(&output));
        }
    }
}

#[test]
fn usage_errors_obey_the_colour_that_is_asked_for() {
    let coloured = |args: &[&str]| stderr(&run(args)).contains('\u{1b}');
    for wrong in [&["biuld"][..], &["build"], &["build", "no/such.yaml"], &["run", TINY, "--seed", "-1"]] {
        for (color, expected) in [("always", true), ("never", false), ("auto", false)] {
            assert_eq!(coloured(&[wrong, &["--color", color]].concat()), expected, "{wrong:?} {color}");
        }
    }
}

/// Sequences that clear the screen, set the title, move back: none reaches standard error, with colours or without.
#[test]
fn texts_of_others_do_not_steer_the_terminal() {
    const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}";
    let folder = tempfile::tempdir().expect("a folder");
    let spec = folder.path().join(format!("a{HOSTILE}.yaml"));
    fs::write(&spec, format!("name: x\ninput: [3, 8, 8] # {HOSTILE}\nclasses: \"{HOSTILE}\"\n"))
        .expect("written");
    let weights = folder.path().join("x.safetensors");
    let mut store = ParamStore::new();
    store.insert(HOSTILE, resnetc_compiler::ir::types::Shape(vec![1]), vec![0.0]);
    file::save(&weights, &store, &Default::default()).expect("written");
    let (spec, weights) = (spec.to_str().expect("UTF-8"), weights.to_str().expect("UTF-8"));
    for args in [
        vec!["check", spec],
        vec!["build", HOSTILE],
        vec!["build", "resnet20", "--set", HOSTILE],
        vec!["explain", TINY, HOSTILE],
        vec!["build", TINY, "--dump-after", HOSTILE],
        vec!["run", TINY, "--eval", "shapes10", "--checkpoint", weights],
    ] {
        for color in ["always", "never"] {
            let output = run(&[args.as_slice(), &["--color", color]].concat());
            let text = stderr(&output);
            assert!(!output.status.success() && !text.is_empty(), "{args:?}");
            for bad in ["\u{1b}[2J", "\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}"] {
                assert!(!text.contains(bad), "{args:?}: {text:?}");
            }
            assert!(color == "always" || !text.contains('\u{1b}'), "{args:?}: {text:?}");
        }
    }
}

/// What a command shows at a terminal of so many columns; none where there is no `script` to make one.
fn at_terminal(columns: usize, args: &str, term: &str) -> Option<String> {
    let command = format!("stty cols {columns} rows 40; {} {args}", env!("CARGO_BIN_EXE_resnetc"));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = script.env("TERM", term).env_remove("NO_COLOR").stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn widths_and_colours_follow_the_terminal() {
    let widest = |text: &str| text.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0);
    let wide = widest(&stdout(&["list"]));
    assert!(wide > 80);
    let Some(narrow) = at_terminal(80, "list", "dumb").filter(|text| text.contains("resnet50")) else {
        return;
    };
    assert!(widest(&narrow) <= 80, "{narrow}");
    assert_eq!(at_terminal(300, "list", "dumb").as_deref().map(widest), Some(wide));
    for (term, coloured) in [("dumb", false), ("xterm", true)] {
        for args in ["check tests/specs/wrong.yaml", "biuld", "build no/such.yaml"] {
            let text = at_terminal(60, args, term).expect("a terminal");
            assert_eq!(text.contains('\u{1b}'), coloured, "{term}, {args}: {text}");
            assert!(coloured || widest(&text) <= 60 || !args.starts_with("check"), "{text}");
        }
    }
}
