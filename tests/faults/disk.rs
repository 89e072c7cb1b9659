//! A disk that is full.

use std::process::Command;

use crate::training::{last, training, undisturbed};

/// KiB that a run's records may have before its first evaluation: `run.json`, `spec.yaml`, lines of metrics and their like.
const SMALL_FILES: usize = 32;

/// A file system of a few blocks, mounted where only this process and its children see it. It needs rights that not everybody
/// has; without them the test says so and is done.
#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let plain = training(&dir.path().join("full/out"), &[]);
    let bytes = undisturbed().len() / 1024;
    // Room for one checkpoint and half of another, and for the small files beside it, of which each has a page.
    let script = format!(
        "mount -t tmpfs -o size={}k tmpfs full || exit 77; cd \"$OLDPWD\"; \"$0\" \"$@\"; status=$?; \
         cp -r \"$FULL/out\" \"$FULL/../kept\"; exit $status",
        bytes + bytes / 2 + SMALL_FILES
    );
    std::fs::create_dir(dir.path().join("full")).expect("writable");
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--map-root-user", "sh", "-c"]);
    shell.arg(format!("cd \"$FULL/..\" && {script}")).arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(plain.get_current_dir().expect("set")).env("RESNETC_TUNING", "off");
    shell.env("FULL", dir.path().join("full"));
    let Ok(output) = shell.output() else { return eprintln!("no unshare here: not tested") };
    let told = String::from_utf8_lossy(&output.stderr);
    if !dir.path().join("kept").exists() && (output.status.code() == Some(77) || told.contains("unshare")) {
        return eprintln!("no mount here: not tested");
    }
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    // The first checkpoint is whole, and the training goes on from it where there is room.
    let out = dir.path().join("kept");
    let resumed = training(&out, &["--resume"]).output().expect("the binary starts");
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    assert!(last(&out) == undisturbed());
}
