//! Nobody reads: standard output or error is closed, full, or a reader has left. The training goes on.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::training::{last, training, undisturbed};

#[test]
fn a_reader_that_leaves_stops_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = training(dir.path(), &[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("the training goes on"), "{told}");
    assert!(last(dir.path()) == undisturbed());
}

#[test]
fn closed_and_full_streams_stop_nothing() {
    for streams in ["2>&-", "<&- >&- 2>&-"] {
        let dir = tempfile::tempdir().expect("a folder");
        let plain = training(dir.path(), &[]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec \"$0\" \"$@\" {streams}")])
            .arg(plain.get_program())
            .args(plain.get_args());
        shell.current_dir(plain.get_current_dir().expect("set")).env("RESNETC_TUNING", "off");
        let status = shell.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it ends");
        assert_eq!(status.code(), Some(0), "{streams}");
        assert!(last(dir.path()) == undisturbed(), "{streams}");
    }
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        let dir = tempfile::tempdir().expect("a folder");
        let both = || Stdio::from(full.try_clone().expect("a handle"));
        let status = training(dir.path(), &[]).stdout(both()).stderr(both()).status().expect("it ends");
        assert_eq!(status.code(), Some(0), "a full disk behind both streams");
        assert!(last(dir.path()) == undisturbed());
    }
}
