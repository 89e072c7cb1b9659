//! What is said where CUDA cannot be used: stand-ins for its libraries, compiled here, in place of the machine's.

#![cfg(all(feature = "cuda", target_os = "linux"))]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "not every suite needs all of it")]
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{resnetc, stderr};

/// CUDA's version that the stand-ins have.
const CUDA: u32 = 13_000;

/// A folder of stand-ins; what a test wants otherwise it makes again, or removes.
struct Machine {
    folder: tempfile::TempDir,
}

/// File, number in the source, version.
const LIBRARIES: [(&str, u32, u32); 6] = [
    ("libcudart.so.13", 2, CUDA),
    ("libnvrtc.so.13", 3, CUDA),
    ("libcublasLt.so.13", 4, CUDA),
    ("libcublas.so.13", 5, CUDA),
    ("libcurand.so.10", 6, 10_400),
    ("libcudnn.so.9", 7, 91_300),
];

impl Machine {
    /// Without any of CUDA.
    fn empty() -> Self {
        Machine { folder: tempfile::tempdir().expect("a folder") }
    }

    /// With all that is needed, and one GPU.
    fn whole() -> Self {
        let machine = Machine::empty();
        machine.driver(CUDA, 0, 1);
        for (file, library, version) in LIBRARIES {
            machine.compile(file, &[("LIBRARY", library), ("VERSION", version), ("MADE_WITH", CUDA)]);
        }
        for part in ["graph", "ops", "cnn", "heuristic", "engines_precompiled", "engines_runtime_compiled"] {
            machine.compile(&format!("libcudnn_{part}.so.9"), &[("LIBRARY", 8)]);
        }
        machine
    }

    fn without(self, file: &str) -> Self {
        std::fs::remove_file(self.path(file)).expect("it was there");
        std::fs::remove_file(self.path(file.rsplit_once('.').expect("a version").0)).expect("it was there");
        self
    }

    fn driver(&self, version: u32, init: u32, gpus: u32) {
        self.compile("libcuda.so.1", &[("LIBRARY", 1), ("VERSION", version), ("INIT", init), ("GPUS", gpus)]);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Compiles a stand-in, with the name beside it that programs link with.
    fn compile(&self, file: &str, defines: &[(&str, u32)]) {
        compile(&self.path(file), defines);
        let plain = self.path(file.rsplit_once('.').expect("a version").0);
        let _ = std::fs::remove_file(&plain);
        std::os::unix::fs::symlink(self.path(file), plain).expect("linked");
    }

    /// The program where these libraries are the only ones: first on the loader's path too, as some machines have real ones there.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = elsewhere(args);
        command.env("RESNETC_CUDA", self.folder.path()).env("LD_LIBRARY_PATH", self.folder.path());
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// What `run --device cuda` says, which has to end as a failure and not as a panic.
    fn refusal(&self) -> String {
        let output = self.output(&["run", "tests/specs/tiny.yaml", "--device", "cuda"]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with("error: ") && !text.contains("panicked"), "{text}");
        text.replace(&self.folder.path().display().to_string(), "HERE")
    }
}

/// The program with nothing of the caller's that names CUDA or Python.
fn elsewhere(args: &[&str]) -> Command {
    let mut command = resnetc(args);
    for name in ["CUDA_PATH", "CUDA_HOME", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "HOME", "PATH"] {
        command.env_remove(name);
    }
    command
}

fn compile(file: &Path, defines: &[(&str, u32)]) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda/stand_in.c");
    let name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", &format!("-Wl,-soname,{name}"), "-o"]);
    compiler.arg(file).arg(source).args(defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    let output = compiler.output().expect("a C compiler, as Rust's linker is one");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_machine_without_cuda_is_told_where_it_was_looked_for() {
    insta::assert_snapshot!("no_driver", Machine::empty().refusal());
}

#[test]
fn a_driver_that_is_too_old_is_told_with_its_version() {
    let machine = Machine::whole();
    machine.driver(12_080, 0, 1);
    insta::assert_snapshot!("old_driver", machine.refusal());
}

#[test]
fn a_driver_without_a_gpu_is_told() {
    let machine = Machine::whole();
    machine.driver(CUDA, 100, 0);
    insta::assert_snapshot!("no_gpu", machine.refusal());
    machine.driver(CUDA, 0, 0);
    assert!(machine.refusal().contains("has no GPU: it counts 0"), "{}", machine.refusal());
}

#[test]
fn a_gpu_that_is_not_there_is_told_with_those_that_are() {
    let output = Machine::whole().output(&["bench", "tests/specs/tiny.yaml", "--device", "cuda:3"]);
    assert_eq!(stderr(&output), "error: there is no GPU 3: cuda:0 is Stand-in\n");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn each_missing_library_is_told_by_its_name() {
    insta::assert_snapshot!("no_cudnn", Machine::whole().without("libcudnn.so.9").refusal());
    for (file, name) in [
        ("libnvrtc.so.13", "NVRTC"),
        ("libcublasLt.so.13", "cuBLASLt"),
        ("libcublas.so.13", "cuBLAS"),
        ("libcurand.so.10", "cuRAND"),
    ] {
        let text = Machine::whole().without(file).refusal();
        assert!(
            text.starts_with(&format!("error: CUDA cannot be used: no {name} ({file}) in\n  HERE")),
            "{text}"
        );
    }
}

#[test]
fn what_nothing_calls_may_be_missing() {
    let output = Machine::whole().without("libcudart.so.13").output(&["devices", "--json"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("Stand-in") && !text.contains("cudart"), "{text}");
}

#[test]
fn another_version_of_a_library_is_told() {
    let machine = Machine::whole().without("libcudnn.so.9");
    machine.compile("libcudnn.so.8", &[("LIBRARY", 7), ("VERSION", 8_907), ("MADE_WITH", 12_000)]);
    let text = machine.refusal();
    assert!(text.contains("There is HERE/libcudnn.so.8, which is of another version."), "{text}");
}

#[test]
fn a_cudnn_that_does_not_fit_is_told_why() {
    let machine = Machine::whole();
    machine.compile("libcudnn.so.9", &[("LIBRARY", 7), ("VERSION", 90_100), ("MADE_WITH", CUDA)]);
    insta::assert_snapshot!("old_cudnn", machine.refusal());
    machine.compile("libcudnn.so.9", &[("LIBRARY", 7), ("VERSION", 91_300), ("MADE_WITH", 12_090)]);
    let text = machine.refusal();
    assert!(text.contains("is of version 9.13.0 for CUDA 12, this build needs one for CUDA 13"), "{text}");
}

#[test]
fn a_cudnn_that_is_not_whole_is_told_what_is_missing() {
    let text = Machine::whole().without("libcudnn_cnn.so.9").refusal();
    assert!(
        text.contains("the cuDNN in HERE/libcudnn.so.9: HERE/libcudnn_cnn.so.9 is not beside it"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_library_is_told() {
    let machine = Machine::whole();
    std::fs::write(machine.path("libcublas.so.13"), "no library").expect("written");
    let text = machine.refusal();
    assert!(text.contains("the cuBLAS in HERE/libcublas.so.13: "), "{text}");
    machine.compile("libcublas.so.13", &[("LIBRARY", 8)]);
    let text = machine.refusal();
    assert!(text.contains("HERE/libcublas.so.13: it has no function `cublasGetProperty`"), "{text}");
}

#[test]
fn a_library_that_hides_another_is_told() {
    let (machine, other) = (Machine::whole(), Machine::whole());
    let output = machine
        .command(&["run", "tests/specs/tiny.yaml", "--device", "cuda"])
        .env("LD_LIBRARY_PATH", other.folder.path())
        .output()
        .expect("the binary starts");
    let text = stderr(&output);
    let hides = format!("but the loader takes {} for it", other.path("libcuda.so").display());
    assert!(text.contains(&hides) && output.status.code() == Some(1), "{text}");
}

#[test]
fn libraries_are_found_in_toolkits_and_in_pythons_packages() {
    let machine = Machine::whole();
    let packages = tempfile::tempdir().expect("a folder");
    let cudnn = packages.path().join("lib/python3.12/site-packages/nvidia/cudnn/lib");
    let toolkit = packages.path().join("cuda/lib64");
    std::fs::create_dir_all(&cudnn).expect("made");
    std::fs::create_dir_all(&toolkit).expect("made");
    for entry in std::fs::read_dir(machine.folder.path()).expect("listed").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        let folder = if name.contains("cudnn") { &cudnn } else { &toolkit };
        if !name.contains("libcuda.") && !name.ends_with(".so") {
            std::fs::rename(entry.path(), folder.join(&name)).expect("moved");
        }
    }
    let output = elsewhere(&["devices", "--json"])
        .env("LD_LIBRARY_PATH", machine.folder.path())
        .env("CUDA_PATH", packages.path().join("cuda"))
        .env("VIRTUAL_ENV", packages.path())
        .output()
        .expect("the binary starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let found: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let file = |library: &str| {
        let libraries = found["cuda"]["libraries"].as_array().unwrap_or_else(|| panic!("{text}"));
        let entry = libraries.iter().find(|entry| entry["name"] == library);
        PathBuf::from(entry.and_then(|entry| entry["path"].as_str()).unwrap_or_else(|| panic!("{text}")))
    };
    assert_eq!(file("cuBLAS"), toolkit.join("libcublas.so.13"));
    assert_eq!(file("cuDNN"), cudnn.join("libcudnn.so.9"));
}

#[test]
fn auto_says_what_it_takes_and_why() {
    let args = ["run", "tests/specs/tiny.yaml", "--device", "auto"];
    let output = Machine::empty().output(&args);
    assert_eq!(stderr(&output), "--device auto takes cpu: no driver (libcuda.so.1)\n");
    assert!(output.status.success());
    let machine = Machine::whole();
    machine.driver(CUDA, 0, 2);
    let text = stderr(&machine.output(&args));
    assert!(text.starts_with("--device auto takes cuda:0: Stand-in, the first of 2 GPUs\n"), "{text}");
}

#[test]
fn processes_on_a_host_take_a_gpu_each() {
    let machine = Machine::whole();
    machine.driver(CUDA, 0, 2);
    for (local, gpu) in [("0", "cuda:0"), ("1", "cuda:1"), ("2", "cuda:0")] {
        let mut command =
            machine.command(&["run", "tests/specs/tiny.yaml", "--train", "shapes10", "--device", "auto"]);
        command.env("RANK", local).env("LOCAL_RANK", local).env("WORLD_SIZE", "3");
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", "29500");
        let text = stderr(&command.output().expect("the binary starts"));
        assert!(text.starts_with(&format!("--device auto takes {gpu}: Stand-in, ")), "{local}: {text}");
    }
}

#[test]
fn devices_lists_gpus() {
    let machine = Machine::whole();
    let output = machine.output(&["devices"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let cuda = text.split_once("cuda:0").unwrap_or_else(|| panic!("{text}")).1;
    // A machine with a driver of its own tells that one's release.
    let cuda = match std::fs::read_to_string("/sys/module/nvidia/version") {
        Ok(release) => cuda.replace(&format!("driver {}, CUDA", release.trim()), "CUDA"),
        Err(_) => cuda.to_owned(),
    };
    insta::assert_snapshot!("devices", cuda.replace(&machine.folder.path().display().to_string(), "HERE"));
    assert!(output.status.success());
    let output = Machine::empty().output(&["devices"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.status.success() && text.contains("\ncuda       CUDA cannot be used: no driver"),
        "{text}"
    );
}

/// Two processes that share a training need NCCL besides, which says so before anything is begun; other commands do not.
#[test]
fn ranks_are_told_where_nccl_was_looked_for() {
    let train = |machine: &Machine| {
        let mut command =
            machine.command(&["run", "tests/specs/tiny.yaml", "--train", "shapes10", "--device", "cuda"]);
        command.env("RANK", "0").env("LOCAL_RANK", "0").env("WORLD_SIZE", "2");
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", "29500");
        let output = command.output().expect("the binary starts");
        let text = stderr(&output);
        assert!(!output.status.success() && !text.contains("panicked"), "{text}");
        text.replace(&machine.folder.path().display().to_string(), "HERE")
    };
    let machine = Machine::whole();
    insta::assert_snapshot!("no_nccl", train(&machine));
    machine.compile("libnccl.so.2", &[("LIBRARY", 9), ("VERSION", 21_303)]);
    insta::assert_snapshot!("old_nccl", train(&machine));
}
