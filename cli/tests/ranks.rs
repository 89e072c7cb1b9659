//! Commands that a launcher started several times.

mod common;

use common::{resnetc, stderr};

const MPIRUN: [(&str, &str); 2] = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];

#[test]
fn what_only_prints_prints_once() {
    for (rank, says) in [("0", true), ("1", false)] {
        let mut command = resnetc(&["list"]);
        let output = command.envs(MPIRUN).env("OMPI_COMM_WORLD_RANK", rank).output().expect("it starts");
        assert!(output.status.success());
        assert_eq!(output.stdout.is_empty(), !says, "rank {rank}");
    }
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let output = resnetc(&["bench", "tests/specs/tiny.yaml"]).envs(MPIRUN).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("mpirun started 2 processes, and only `resnetc run --train` shares its work"),
        "{text}"
    );
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_training_under_mpirun_in_a_build_without_mpi_says_what_to_do() {
    let output = resnetc(&["run", "--train", "shapes10"]).envs(MPIRUN).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("this build has no MPI") && text.contains("--features mpi"), "{text}");
}

#[test]
fn half_a_launch_is_refused_for_a_training_alone() {
    let output = resnetc(&["run", "--train", "shapes10"]).env("RANK", "1").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("RANK is set, WORLD_SIZE is not"));
    let output = resnetc(&["list"]).env("RANK", "1").output().expect("it starts");
    assert!(output.status.success() && !output.stdout.is_empty());
}
