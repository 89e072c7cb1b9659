//! Running the built binary.

#[allow(dead_code, reason = "not every suite needs it")]
pub mod pictures;

use std::process::{Command, Output};

/// The binary, in the folder of this crate, without anything of the caller's environment that changes what it says.
pub fn resnetc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resnetc"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
        .env_remove("NO_COLOR")
        .env_remove("RESNETC_DATA")
        .env("RESNETC_TUNING", "off")
        .env("COLUMNS", "100");
    command
}

/// Runs to the end.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn run(args: &[&str]) -> Output {
    resnetc(args).output().expect("the binary starts")
}

/// Standard output of a run that succeeded.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Standard error of any run.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A folder with specs that can be read and ones that cannot: a lock link as editors leave it, other encodings, a folder
/// and a name that is no text.
#[cfg(unix)]
#[allow(dead_code, reason = "not every suite needs it")]
pub fn mixed_folder() -> (tempfile::TempDir, Vec<std::ffi::OsString>) {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &OsStr, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).expect("written");
    };
    let right = "extends: resnet20\n";
    let utf_16: Vec<u8> = right.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::os::unix::fs::symlink("me@host.1234", folder.path().join(".#right.yaml")).expect("linked");
    std::fs::create_dir(folder.path().join("folder.yaml")).expect("made");
    let odd = OsStr::from_bytes(b"n\xe4me.yaml");
    write(odd, right.as_bytes());
    write("latin.yaml".as_ref(), b"extends: resnet20\nname: gr\xf6sse\n");
    write("right.yml".as_ref(), right.as_bytes());
    write("wide.yaml".as_ref(), &utf_16);
    write("wrong.YAML".as_ref(), b"extends: resnet20\nclases: 3\n");
    let names = [".#right.yaml", "latin.yaml", "wide.yaml", "wrong.YAML", "right.yml"].map(OsString::from);
    (folder, names.into_iter().chain([odd.to_owned()]).collect())
}

/// Runs with a text on standard input.
#[allow(dead_code, reason = "not every suite needs it")]
pub fn run_with(args: &[&str], input: &[u8]) -> Output {
    use std::io::Write;

    let mut command = resnetc(args);
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    // A command that refuses early reads nothing.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

/// Sends Ctrl-C to a command when it has said that; all that it says. It ends with the signal's status.
#[cfg(unix)]
#[allow(dead_code, reason = "not every suite needs it")]
pub fn interrupted(args: &[&str], after: &str) -> String {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let mut child = resnetc(args).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut text = String::new();
    while !text.contains(after) {
        assert!(lines.read_line(&mut text).expect("UTF-8") > 0, "{text}");
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill is there").success());
    lines.read_to_string(&mut text).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{text}");
    text
}
