//! Signals that ask for an end: the training saves, and its status says which it was.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::training::{ARGS, Running, bring_to_the_end, last, training, undisturbed};

/// Whether whoever runs the tests has SIGHUP ignored, as `nohup` does: what they start then ignores it, too.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[test]
fn the_status_tells_an_interrupted_training_from_a_finished_one() {
    let signals = [("INT", 130), ("TERM", 143), ("HUP", 129)];
    for (signal, status) in signals.into_iter().filter(|(name, _)| *name != "HUP" || !hangups_are_ignored()) {
        let dir = tempfile::tempdir().expect("a folder");
        let running = Running::start(training(dir.path(), &[]));
        running.signal(signal);
        let (code, text) = running.end();
        assert_eq!(code, Some(status), "{signal}: {text}");
        assert!(text.contains("stopped after ") && text.contains("--resume"), "{text}");
        bring_to_the_end(dir.path());
        assert!(last(dir.path()) == undisturbed(), "{signal}");
    }
}

#[test]
fn only_a_second_interrupt_ends_it_at_once() {
    let pairs = [("TERM", "TERM"), ("HUP", "HUP"), ("HUP", "TERM")];
    for (first, second) in pairs.into_iter().take(if hangups_are_ignored() { 1 } else { 3 }) {
        let dir = tempfile::tempdir().expect("a folder");
        let running = Running::start(training(dir.path(), &[]));
        running.signal(first);
        running.signal(second);
        let (code, text) = running.end();
        assert!([Some(129), Some(143)].contains(&code), "{code:?}");
        assert!(text.contains("stopped after "), "{first} {second}: {text}");
    }
}

#[test]
fn the_first_interrupt_is_answered() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = training(dir.path(), &[]);
    command.stderr(Stdio::piped());
    let running = Running::start(command);
    running.signal("INT");
    let Running { child, .. } = running;
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("stopping: "), "{told}");
}

/// `nohup` starts a process with SIGHUP ignored, and so it stays.
#[test]
fn signals_that_the_caller_ignores_stay_ignored() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = training(dir.path(), &[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(plain.get_current_dir().expect("set")).env("RESNETC_TUNING", "off").process_group(0);
    let running = Running::start(shell);
    running.signal("HUP");
    let (code, text) = running.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("epoch 2/2"), "{ARGS:?}: {text}");
}
