//! A training that several processes share, as a user starts and loses it.

#![cfg(unix)]

mod common;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use common::pictures::{MINI, folder};
use common::{resnetc, stderr};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);
/// In which the others of a rank that has gone end.
const SOON: Duration = Duration::from_secs(30);

/// A training of a small network on a few pictures.
struct Training {
    pictures: tempfile::TempDir,
    out: tempfile::TempDir,
    epochs: usize,
    /// Overrides: what the processes do alike.
    settings: &'static [&'static str],
}

impl Training {
    fn new(epochs: usize) -> Self {
        Training::with(epochs, &["train.parallel.sync_bn=true"])
    }

    fn with(epochs: usize, settings: &'static [&'static str]) -> Self {
        let pictures = folder(&["red", "blue"]);
        std::fs::write(pictures.path().join("mini.yaml"), MINI).expect("writable");
        Training { pictures, out: tempfile::tempdir().expect("a folder"), epochs, settings }
    }

    /// Starts it on two processes.
    fn start(&self, resume: bool) -> [Child; 2] {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        [0, 1].map(|rank| {
            let (spec, shades) =
                (self.pictures.path().join("mini.yaml"), self.pictures.path().join("shades"));
            let [spec, shades, out] =
                [&spec, &shades, &self.folder()].map(|path| path.to_str().expect("UTF-8").to_owned());
            let (batch, epochs) = ("train.batch_size=3", self.epochs.to_string());
            let mut args = vec!["run", &spec, "--train", &shades, "--out", &out, "--threads", "1"];
            args.extend(["--epochs", &epochs, "--set", batch]);
            args.extend(self.settings.iter().flat_map(|setting| ["--set", setting]));
            args.extend(resume.then_some("--resume"));
            let mut command = resnetc(&args);
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2");
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
    }

    fn folder(&self) -> std::path::PathBuf {
        self.out.path().join("run")
    }

    /// Epochs in its log.
    fn logged(&self) -> usize {
        std::fs::read_to_string(self.folder().join("log.jsonl")).unwrap_or_default().lines().count()
    }

    /// The tensors of its last checkpoint; what stands before them names the pictures' folder.
    fn tensors(&self) -> Vec<u8> {
        let bytes = std::fs::read(self.folder().join("last.safetensors")).expect("it is there");
        let (header, rest) = bytes.split_first_chunk::<8>().expect("a safetensors file");
        rest[u64::from_le_bytes(*header) as usize..].to_vec()
    }
}

/// Waits for the end of all.
fn ends(processes: [Child; 2]) -> [Output; 2] {
    processes.map(|process| process.wait_with_output().expect("it ends"))
}

fn wait(until: impl Fn() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < PATIENCE, "nothing came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn whole(path: &Path) -> bool {
    path.join("last.safetensors").exists()
}

#[test]
fn two_processes_train_one_network_and_one_of_them_talks() {
    let training = Training::new(2);
    let [first, second] = ends(training.start(false));
    let text = String::from_utf8_lossy(&first.stdout);
    assert!(first.status.success() && second.status.success(), "{}{}", stderr(&first), stderr(&second));
    assert!(text.contains("ranks     2 by TCP") && text.contains("epoch 2/2"), "{text}");
    assert!(second.stdout.is_empty(), "{}", String::from_utf8_lossy(&second.stdout));
    let run = std::fs::read_to_string(training.folder().join("run.json")).expect("it is there");
    assert!(run.contains("\"ranks\": 2"), "{run}");
    // The same bits again, and the same as by its own rank's twin.
    let again = Training::new(2);
    ends(again.start(false));
    assert!(training.tensors() == again.tensors());
}

/// Ten times one of the processes is killed: the other names it and ends, and the training goes on from its last checkpoint.
#[test]
fn a_training_survives_ten_deaths_of_its_processes() {
    let undisturbed = Training::new(40);
    ends(undisturbed.start(false));
    let training = Training::new(40);
    for death in 0..10 {
        let before = training.logged();
        let [first, second] = training.start(death > 0);
        wait(|| whole(&training.folder()) && training.logged() > before + death % 3);
        let (mut victim, survivor) = if death % 2 == 0 { (second, first) } else { (first, second) };
        victim.kill().expect("it can be killed");
        let killed = Instant::now();
        victim.wait().expect("it is dead");
        let output = survivor.wait_with_output().expect("it ends");
        assert!(killed.elapsed() < SOON, "it took {:?}", killed.elapsed());
        let text = stderr(&output);
        // It may have been done a moment before.
        if training.logged() == training.epochs {
            continue;
        }
        assert!(!output.status.success(), "{text}");
        let victim = format!("rank {} of 2 on ", (death + 1) % 2);
        assert!(text.contains(&victim) && text.contains("in step ") && text.contains("--resume"), "{text}");
        assert_eq!(text.matches("error:").count(), 1, "{text}");
    }
    let [first, second] = ends(training.start(true));
    assert!(first.status.success() && second.status.success(), "{}{}", stderr(&first), stderr(&second));
    assert_eq!(training.logged(), 40);
    assert!(training.tensors() == undisturbed.tensors());
}

#[test]
fn a_signal_to_all_saves_once_and_it_goes_on() {
    survives_a_signal(&[0, 1], &["train.parallel.sync_bn=true"], &["train.parallel.sync_bn=true"]);
}

/// They stop where they meet: behind the second update, or at an epoch's end.
#[test]
fn a_signal_to_ranks_on_their_own_saves_once_and_they_go_on() {
    survives_a_signal(&[0, 1], &["train.parallel.sync_every=2"], &["train.parallel.sync_every=2"]);
}

/// Ranks put the state together where they save, and take their parts where they go on: the end is that of ranks that have all of it. A
/// signal to one of them is one to all.
#[test]
fn a_signal_to_one_that_shares_the_state_saves_all_of_it() {
    survives_a_signal(
        &[1],
        &["train.optimizer=adamw", "train.parallel.shard_optimizer=true"],
        &["train.optimizer=adamw"],
    );
}

/// Signals some ranks of a training, and lets it go on to the tensors that an undisturbed one has.
fn survives_a_signal(
    signalled: &[usize],
    settings: &'static [&'static str],
    undisturbed: &'static [&'static str],
) {
    let undisturbed = Training::with(12, undisturbed);
    ends(undisturbed.start(false));
    let training = Training::with(12, settings);
    let processes = training.start(false);
    wait(|| training.logged() > 2);
    for &rank in signalled {
        let process = processes[rank].id().to_string();
        let kill = std::process::Command::new("kill").args(["-INT", &process]).status();
        assert!(kill.expect("kill runs").success());
    }
    let [first, second] = ends(processes);
    assert_eq!(
        [first.status.code(), second.status.code()],
        [Some(130); 2],
        "{}{}",
        stderr(&first),
        stderr(&second)
    );
    let said = String::from_utf8_lossy(&first.stdout);
    assert!(
        said.contains("stopped after") && second.stdout.is_empty() && stderr(&second).is_empty(),
        "{said}"
    );
    let [first, _] = ends(training.start(true));
    assert!(first.status.success(), "{}", stderr(&first));
    assert!(training.tensors() == undisturbed.tensors());
}

/// A rank that cannot begin tells the other, which says so too.
#[test]
fn what_only_one_can_know_all_are_told() {
    let training = Training::new(2);
    ends(training.start(false));
    let [first, second] = ends(training.start(false));
    assert!(!first.status.success() && !second.status.success());
    assert!(
        stderr(&first).contains("holds a training") && stderr(&second).contains("rank 0 of 2"),
        "{}",
        stderr(&second)
    );
}
