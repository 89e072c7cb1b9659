//! Ranks that MPI connects. Each test starts this program again under `mpirun`; where there is none, it says so.

#![cfg(feature = "mpi")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use resnetc_runtime::ranks::{Carrier, HAS_MPI};
use resnetc_tests::again::only;
use resnetc_tests::ranks::{connected_by, own_launch, say, signal, steps_until_a_fault, suite};

/// Longer than any test waits for a beat.
const PATIENT: Duration = Duration::from_secs(60);
/// In which a rank has to be heard of, where a test wants it not to be.
const SHORT: Duration = Duration::from_millis(1500);

/// What MPICH's `mpirun` calls itself.
const MPICH: &str = "HYDRA";

/// What `mpirun` says of itself; none where there is no `mpirun`.
fn version() -> Option<String> {
    let output = Command::new("mpirun").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_mpich() -> bool {
    version().is_some_and(|version| version.contains(MPICH))
}

/// `mpirun -n SIZE` of a test of this program; none where there is no `mpirun`.
fn mpirun(size: usize, test: &str) -> Option<Command> {
    let Some(version) = version() else {
        drop(writeln!(std::io::stderr(), "SKIPPED: there is no mpirun"));
        return None;
    };
    let mut command = Command::new("mpirun");
    if version.contains("Open MPI") {
        // More ranks than cores, and containers' user.
        command.args(["--allow-run-as-root", "--oversubscribe"]);
    } else if version.contains(MPICH) {
        command.arg("-disable-auto-cleanup");
    }
    let rank = only(module_path!(), test);
    // mpirun ends the others by SIGTERM, then SIGKILL: as the command line does, ranks outlive the first.
    let outliving = ["sh", "-c", "trap '' TERM; exec \"$0\" \"$@\""];
    command.args(["-n", &size.to_string()]).args(outliving).arg(rank.get_program()).args(rank.get_args());
    Some(command)
}

/// A rank of the suite; what moves its bytes calls itself `name`.
fn of_the_suite(carrier: Carrier, name: &str) {
    let launch = own_launch();
    let rank = connected_by(carrier, &launch, PATIENT).expect("ranks meet");
    assert!(HAS_MPI && (launch.size == 1 || rank.transport.describe().starts_with(name)));
    suite(rank.transport);
    rank.watch.end().expect("all end well");
    say(&format!("rank {} of {} is done", launch.rank, launch.size));
}

#[test]
#[ignore = "a rank of another test's, which starts it"]
fn rank_of_the_suite() {
    // All are on one host.
    of_the_suite(Carrier::Auto, "MPI (");
}

#[test]
#[ignore = "a rank of another test's, which starts it"]
fn rank_of_the_suite_by_tcp() {
    of_the_suite(Carrier::Tcp, "TCP, met by MPI (");
}

fn pass_the_suite_and_end(test: &str) {
    for size in 1..=4 {
        let Some(mut command) = mpirun(size, test) else { return };
        let output = command.output().expect("mpirun runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        for rank in 0..size {
            assert!(said.contains(&format!("rank {rank} of {size} is done")), "{said}");
        }
    }
}

#[test]
fn ranks_by_mpi_pass_the_suite_and_end() {
    pass_the_suite_and_end("rank_of_the_suite");
}

#[test]
fn ranks_that_mpi_brings_together_pass_it_by_tcp() {
    pass_the_suite_and_end("rank_of_the_suite_by_tcp");
}

fn with_a_fault(carrier: Carrier) {
    let launch = own_launch();
    let rank = connected_by(carrier, &launch, SHORT).expect("ranks meet");
    say(&format!("rank {} was told: {}", launch.rank, steps_until_a_fault(rank, &launch)));
}

#[test]
#[ignore = "a rank of another test's, which starts it"]
fn rank_with_a_fault() {
    with_a_fault(Carrier::Mpi);
}

#[test]
#[ignore = "a rank of another test's, which starts it"]
fn rank_with_a_fault_by_tcp() {
    with_a_fault(Carrier::Tcp);
}

/// Starts three ranks by `mpirun` and sends one a signal when all make steps; what the first of the others says. MPICH ends them by
/// itself, and often before one has said it.
fn killed(victim: usize, name: &str, test: &str) -> Option<String> {
    let mut mpirun = mpirun(3, test)?.stdout(Stdio::piped()).spawn().expect("mpirun runs");
    let output = BufReader::new(mpirun.stdout.take().expect("a pipe"));
    let mut lines = output.lines().map_while(Result::ok);
    let mut processes = [0; 3];
    while processes.contains(&0) {
        let line = lines.next().expect("all ranks make steps");
        let Some((rank, process)) = line.split_once(" is process ") else { continue };
        let rank: usize = rank.trim_start_matches("rank ").parse().expect("a rank");
        processes[rank] = process.parse().expect("a process");
    }
    signal(name, processes[victim]);
    let begun = Instant::now();
    let told = lines.find_map(|line| line.split_once(" was told: ").map(|(_, told)| told.to_owned()));
    // mpirun may wait for what is stopped.
    if name == "STOP" {
        signal("KILL", processes[victim]);
    }
    drop(lines);
    let ended = mpirun.wait().expect("mpirun ends");
    assert!(begun.elapsed() < Duration::from_secs(30) && !ended.success());
    assert!(told.is_some() || is_mpich(), "a rank tells before mpirun ends it");
    told
}

#[test]
fn a_rank_that_is_killed_is_named_ten_times() {
    for round in 0..10 {
        let victim = round % 3;
        let test = if round % 2 == 0 { "rank_with_a_fault" } else { "rank_with_a_fault_by_tcp" };
        let Some(told) = killed(victim, "KILL", test) else { continue };
        let expected = format!("rank {victim} of 3 on ");
        assert!(
            told.starts_with(&expected) && told.contains(", last heard in step 7, has ended without a word"),
            "{told}"
        );
    }
}

#[test]
fn a_rank_that_is_stopped_is_named() {
    for victim in 0..2 {
        let Some(told) = killed(victim, "STOP", "rank_with_a_fault") else { continue };
        let expected = format!("rank {victim} of 3 on ");
        assert!(
            told.starts_with(&expected) && told.contains("last heard in step 7, is not heard for 1.5 s"),
            "{told}"
        );
    }
}
