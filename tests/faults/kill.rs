//! Killed at any moment, a training goes on to the very bytes that it would have ended with.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::training::{bring_to_the_end, last, training, undisturbed};

#[test]
fn at_random_points() {
    let expected = undisturbed();
    // Spread over the training; where they fall hangs on the machine.
    for round in 0..4u64 {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = training(dir.path(), &[]).stdout(Stdio::null()).spawn().expect("the binary starts");
        std::thread::sleep(Duration::from_millis(150 + round * round * 400));
        let _ = child.kill();
        child.wait().expect("it ends");
        bring_to_the_end(dir.path());
        assert!(last(dir.path()) == expected, "killed in round {round}");
    }
}

/// `strace` injects the kill at the n-th call of a kind; where there is none, the test says so and is done.
#[test]
fn at_every_saving_system_call() {
    if !Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("no strace here: not tested");
        return;
    }
    let expected = undisturbed();
    for (call, times) in [("fsync", 4), ("fdatasync", 2), ("rename,renameat,renameat2", 3), ("ftruncate", 1)]
    {
        for nth in 1..=times {
            let dir = tempfile::tempdir().expect("a folder");
            let plain = training(dir.path(), &[]);
            let mut traced = Command::new("strace");
            traced.args(["-f", "-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={nth}")]);
            traced.arg(plain.get_program()).args(plain.get_args());
            traced.current_dir(plain.get_current_dir().expect("set"));
            for (key, value) in plain.get_envs() {
                match value {
                    Some(value) => traced.env(key, value),
                    None => traced.env_remove(key),
                };
            }
            let output = traced.output().expect("strace starts");
            if output.status.success() {
                // The training has fewer calls of this kind.
                break;
            }
            assert_eq!(output.status.signal(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
            bring_to_the_end(dir.path());
            assert!(last(dir.path()) == expected, "killed at {call} {nth}");
        }
    }
}
