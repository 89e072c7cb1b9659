//! `resnetc check`, and how wrong specs and wrong usage are told.

mod common;

use common::{resnetc, run, run_with, stderr, stdout};

#[test]
fn right_specs_are_ok() {
    assert_eq!(
        stdout(&["check", "resnet20", "tests/specs/tiny.yaml"]),
        "resnet20: ok\ntests/specs/tiny.yaml: ok\n"
    );
    assert_eq!(stdout(&["check", "--quiet", "resnet20"]), "");
}

#[test]
fn wrong_specs_are_underlined_and_fail_with_2() {
    let output = run(&["check", "tests/specs/wrong.yaml", "resnet20"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "resnet20: ok\n");
    insta::assert_snapshot!("wrong_spec", stderr(&output));
}

#[test]
fn every_command_refuses_a_wrong_spec_with_2() {
    for args in [&["build", "tests/specs/wrong.yaml"][..], &["run", "tests/specs/wrong.yaml", "--train"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains("wrong.yaml:"), "{}", stderr(&output));
    }
}

/// What `check` refuses, each command refuses in the same words: nothing of a spec is wrong for one of them alone.
#[test]
fn every_command_refuses_what_check_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let tiny = std::fs::read_to_string("tests/specs/tiny.yaml").expect("readable");
    let head = "head: global_avgpool -> linear(classes)";
    for (name, wrong) in [
        ("maps", tiny.replace(head, "head: conv1x1(classes) -> bn -> global_avgpool")),
        ("classes", tiny.replace(head, "head: global_avgpool -> linear(100)")),
        ("expect", format!("{tiny}expect: {{params: 1}}\n")),
    ] {
        let file = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&file, wrong).expect("written");
        let file = file.to_str().expect("UTF-8");
        let told = stderr(&run(&["check", file]));
        assert!(told.contains(file), "{told}");
        for args in [
            &["build", file][..],
            &["build", file, "--train"],
            &["run", file],
            &["run", file, "--train", "shapes10", "--out", "/nonexistent/out"],
            &["explain", file, "stem"],
            &["lint", file],
            &["diff", "tests/specs/tiny.yaml", file],
            &["verify", file],
            &["bench", file],
        ] {
            let output = run(args);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
            assert!(stderr(&output).contains(&told), "{args:?}: {}\n{told}", stderr(&output));
        }
    }
}

#[test]
fn a_name_that_is_no_spec_is_wrong_usage() {
    let output = run(&["build", "resnet51"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("unknown_network", stderr(&output));
    let output = run(&["build", "no/such/file.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no/such/file.yaml"));
}

#[test]
fn wrong_overrides_point_at_the_argument() {
    let output = run(&["check", "resnet20", "--set", "train.epoch=3"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!("wrong_override", stderr(&output));
}

#[test]
fn limits_are_set_and_named() {
    let limited = |limit: &str| run(&["check", "resnet20", "--limit", limit]);
    let output = limited("units=8");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--limit units=N"), "{}", stderr(&output));
    assert!(limited("units=9").status.success());
    for (wrong, part) in
        [("unit=9", "there are bytes, nesting"), ("units", "NAME=VALUE"), ("units=x", "number")]
    {
        let output = limited(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(stderr(&output).contains(part), "{wrong}: {}", stderr(&output));
    }
}

/// A spec may be longer than the limit where the command line says so, in every command that reads one.
#[test]
fn a_limit_reaches_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("long.yaml");
    let text = std::fs::read_to_string("tests/specs/tiny.yaml").expect("readable");
    std::fs::write(&file, format!("{text}# {}\n", "x".repeat(300_000))).expect("written");
    let (file, dir) = (file.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8"));
    for args in [
        &["check", file][..],
        &["build", file],
        &["run", file],
        &["explain", file, "stem"],
        &["diff", file, file],
        &["lint", file],
        &["verify", dir],
    ] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(stderr(&refused).contains("--limit bytes=N"), "{args:?}: {}", stderr(&refused));
        let taken = run(&[args, &["--limit", "bytes=400_000"]].concat());
        assert!(taken.status.success(), "{args:?}: {}", stderr(&taken));
    }
}

#[test]
fn warnings_are_told_once_unless_quiet() {
    let idle = ["--set", "output_stride=32"];
    for args in [
        &["check", "resnet18"][..],
        &["build", "resnet18"],
        &["explain", "resnet18", "stem"],
        &["lint", "resnet18"],
    ] {
        let output = run(&[args, &idle].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        let told = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(told.matches("`output_stride` has no effect").count(), 1, "{args:?}: {told}");
        assert_eq!(
            stderr(&output).is_empty(),
            args[0] == "lint",
            "{args:?}: lint's results are its warnings"
        );
    }
    let quiet = run(&[&["check", "resnet18", "--quiet"][..], &idle].concat());
    assert!(quiet.status.success() && quiet.stderr.is_empty() && quiet.stdout.is_empty());
}

#[test]
fn colour_is_as_asked() {
    let colored = |args: &[&str], no_color: &str| {
        let output = resnetc(args).env("NO_COLOR", no_color).output().expect("the binary starts");
        stderr(&output).contains('\u{1b}')
    };
    let check = ["check", "tests/specs/wrong.yaml"];
    assert!(!colored(&check, ""), "standard error is no terminal here");
    assert!(colored(&[check[0], check[1], "--color", "always"], ""));
    assert!(!colored(&[check[0], check[1], "--color", "never"], ""));
}

/// Whatever one of them is, the others are checked.
#[cfg(unix)]
#[test]
fn specs_that_cannot_be_read_do_not_stop_the_others() {
    let (folder, names) = common::mixed_folder();
    let output = resnetc(&["check"]).args(&names).current_dir(folder.path()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let ok = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(ok, "right.yml: ok\nn\u{fffd}me.yaml: ok\n");
    insta::assert_snapshot!("mixed_folder", stderr(&output));
    let one = resnetc(&["check", "wide.yaml"]).current_dir(folder.path()).output().expect("it starts");
    assert_eq!(one.status.code(), Some(2));
}

#[test]
fn a_spec_may_come_from_standard_input() {
    let text = b"extends: resnet20\nclasses: 5\n";
    let output = run_with(&["check", "-"], text);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "-: ok\n");
    let output = run_with(&["check", "-"], b"extends: resnet20\nclases: 5\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("[<stdin>:2:1]"), "{}", stderr(&output));
    for args in [&["build", "-"][..], &["explain", "-", "stem"], &["lint", "-"], &["verify", "-"]] {
        let output = run_with(args, text);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
    // It is one text, however often it is named.
    let output = run_with(&["diff", "-", "-"], text);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the networks are equal\n");
    let output = run_with(&["diff", "resnet20", "-"], text);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let output = run_with(&["check", "-"], b"\xff\xfen\0a\0");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("cannot read <stdin>: it is UTF-16"), "{}", stderr(&output));
}
