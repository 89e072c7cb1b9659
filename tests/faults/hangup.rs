//! A terminal that closes under a training.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::training::{bring_to_the_end, last, training, undisturbed};

/// `script` gives a training a terminal of its own. Killed, it closes that: the training gets SIGHUP, and cannot print any more.
#[test]
fn a_terminal_that_closes_leaves_a_checkpoint() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = training(dir.path(), &[]);
    let words = std::iter::once(plain.get_program()).chain(plain.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().expect("UTF-8"))).collect();
    let mut script = Command::new("script");
    script.args(["-qc", &format!("exec {}", words.join(" ")), "/dev/null"]);
    script.current_dir(plain.get_current_dir().expect("set")).env("RESNETC_TUNING", "off");
    let quiet = script.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = quiet.spawn() else { return eprintln!("no script here: not tested") };
    let lock = dir.path().join(".lock");
    wait_until(|| lock.exists());
    std::thread::sleep(Duration::from_millis(500));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    wait_until(|| !lock.exists());
    assert!(dir.path().join("last.safetensors").exists());
    bring_to_the_end(dir.path());
    assert!(last(dir.path()) == undisturbed());
}

fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
