//! The program on an emulated GPU: its kernels compiled for the CPU, convolutions by the reference. Builds of tests take the library's
//! name from `RESNETC_CUDA_EMULATED`.

mod common;

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::{pictures, resnetc, stderr};
use resnetc_runtime::checkpoint::Checkpoint;
use resnetc_tests::emulated::{Threads, library};

/// Small enough to be trained by an emulation.
const NET: &str = "
name: small
input: [3, 32, 32]
classes: 10
stem: conv3x3(4, stride=2) -> bn -> relu -> maxpool3x3(stride=2)
unit: basic
stages: [{depth: 1, filters: 4, stride: 2}]
head: global_avgpool -> linear(classes)
train: {dataset: shapes10, epochs: 1, batch_size: 20, augment: [{crop: {padding: 4}}, flip]}
";

fn on_gpu(args: &[&str], library: &Path) -> Output {
    resnetc(args).env("RESNETC_CUDA_EMULATED", library).output().expect("the binary starts")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

struct Place {
    folder: tempfile::TempDir,
    spec: String,
    library: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = folder.path().join("small.yaml");
    std::fs::write(&spec, NET).expect("written");
    let library = library(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers);
    Place { spec: spec.display().to_string(), folder, library }
}

/// Interrupts a training as Ctrl-C does, once it has trained some steps.
fn interrupted(mut command: Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    sleep(Duration::from_secs(3));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("`kill` starts").success());
    let mut text = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut text).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{text}");
    text
}

#[cfg(unix)]
#[test]
fn a_training_that_is_stopped_on_a_gpu_goes_on_on_the_cpu() {
    let place = place();
    let out = format!("{}/out", place.folder.path().display());
    let train = ["run", &place.spec, "--train", "shapes10", "--out", &out];
    let mut command = resnetc(&train);
    command.args(["--device", "cuda"]).env("RESNETC_CUDA_EMULATED", &place.library);
    let text = interrupted(command);
    assert!(text.contains("cuda emulated on the CPU"), "{text}");
    let text = done(&on_gpu(&[&train[..], &["--resume"]].concat(), &place.library));
    assert!(text.contains("the device") && text.contains("cuda emulated"), "the change is told: {text}");
    assert!(Path::new(&out).join("best.safetensors").exists());
}

/// A checkpoint names the engine of each convolution, and a training that goes on takes no other one unless it is told to.
#[cfg(unix)]
#[test]
fn a_training_goes_on_with_the_engines_of_its_checkpoint() {
    let place = place();
    let out = format!("{}/out", place.folder.path().display());
    let last = Path::new(&out).join("last.safetensors");
    let train = ["run", &place.spec, "--train", "shapes10", "--out", &out, "--device", "cuda"];
    let start = |more: &[&str]| {
        let mut command = resnetc(&[&train[..], more].concat());
        command.env("RESNETC_CUDA_EMULATED", &place.library);
        command
    };
    interrupted(start(&[]));
    let mut checkpoint = Checkpoint::load(&last).expect("it was saved");
    let engines = checkpoint.progress.engines.clone();
    assert_eq!(engines.of, "the emulated GPU");
    let of_stem =
        engines.chosen.keys().find(|work| work.contains("n 20")).expect("the batch's works").clone();
    checkpoint.progress.engines.chosen.insert(of_stem.clone(), Some("engine 7".to_owned()));
    std::fs::write(&last, checkpoint.to_bytes().expect("plain data")).expect("written");
    let refused = start(&["--resume"]).output().expect("the binary starts");
    let text = stderr(&refused);
    assert!(!refused.status.success(), "{text}");
    for word in [&*format!("`{of_stem}` to engine 7"), "cannot be had now", "`--new-engines`"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    interrupted(start(&["--resume", "--new-engines"]));
    let after = Checkpoint::load(&last).expect("it was saved");
    assert_eq!(after.progress.engines, engines);
}

/// Two processes, each with an emulated GPU, as `LOCAL_RANK` has it; how they meet is TCP's.
#[test]
fn processes_share_a_training_on_gpus() {
    let (place, pictures) = (place(), pictures::folder(&["red", "blue"]));
    std::fs::write(&place.spec, pictures::MINI).expect("written");
    let shades = pictures.path().join("shades").display().to_string();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let out = format!("{}/out", place.folder.path().display());
    let processes = [0, 1].map(|rank| {
        let mut command =
            resnetc(&["run", &place.spec, "--train", &shades, "--out", &out, "--device", "cuda"]);
        command.args(["--set", "train.batch_size=3", "--set", "train.parallel.sync_bn=true"]);
        command.env("RESNETC_CUDA_EMULATED", &place.library);
        command.env("RANK", rank.to_string()).env("LOCAL_RANK", rank.to_string()).env("WORLD_SIZE", "2");
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
    });
    let [first, second] = processes.map(|process| process.wait_with_output().expect("it ends"));
    let text = done(&first);
    assert!(text.contains("cuda emulated on the CPU") && text.contains("ranks     2 by TCP"), "{text}");
    assert_eq!(done(&second), "", "one of them talks");
    let log = std::fs::read_to_string(Path::new(&out).join("log.jsonl")).expect("a log");
    assert_eq!(log.lines().count(), 2);
}

#[test]
fn bench_has_steps_and_ceilings() {
    let place = place();
    for args in [&["--train", "--batch", "4"][..], &["--batch", "2", "--dtype", "bf16"]] {
        let args = [&["bench", &place.spec, "--device", "cuda:0", "--runs", "2", "--json"], args].concat();
        let text = done(&on_gpu(&args, &place.library));
        assert!(text.contains("\"peak_gflop_s\": ") && !text.contains("\"peak_gb_s\": null"), "{text}");
        assert!(text.contains("\"share\": ") && text.contains("stem.conv1"), "{text}");
    }
}
