//! A small training as a process, and what it leaves.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::common::resnetc;

/// Two epochs of a network that is trained in moments.
pub const ARGS: [&str; 9] = [
    "run",
    "tests/specs/tiny.yaml",
    "--train",
    "shapes10",
    "--epochs",
    "2",
    "--threads",
    "1",
    "--set=train.batch_size=512",
];

/// The command that trains in a folder.
pub fn training(out: &Path, more: &[&str]) -> Command {
    let out = out.to_str().expect("UTF-8");
    resnetc(&[&ARGS[..], &["--out", out], more].concat())
}

/// A training that has begun.
pub struct Running {
    pub child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// Starts the command and waits until the training has said that it begins.
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut running = Running { child, lines };
        running.wait_for("epochs ");
        running
    }

    /// Reads up to a line that has this in it.
    pub fn wait_for(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(self.lines.read_line(&mut line).expect("UTF-8") > 0, "it ended before it said {what:?}");
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(kill.expect("kill is there").success());
    }

    /// The exit status, and what was said from now on.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).expect("UTF-8");
        (self.child.wait().expect("it ends").code(), text)
    }
}

/// The checkpoint that a training which nothing disturbs ends with.
pub fn undisturbed() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let output = training(dir.path(), &[]).output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        last(dir.path())
    })
}

/// The bytes of the last checkpoint.
pub fn last(out: &Path) -> Vec<u8> {
    std::fs::read(out.join("last.safetensors")).expect("a checkpoint")
}

/// Brings whatever is in the folder to the end: resumes where there is something to resume, begins anew where there is not.
/// Either of the two must work.
pub fn bring_to_the_end(out: &Path) {
    let resumed = training(out, &["--resume"]).output().expect("the binary starts");
    if resumed.status.success() {
        return;
    }
    let told = String::from_utf8_lossy(&resumed.stderr);
    assert!(told.contains("nothing to resume"), "{told}");
    let begun = training(out, &[]).output().expect("the binary starts");
    assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
}
