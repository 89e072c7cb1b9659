//! The emulated GPU: its kernels are compiled by the host's C++ compiler, once for each state of their sources.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use resnetc_runtime::cuda::CudaDevice;
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::device::{Device, Session};

/// How a CUDA thread is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// As a fiber.
    Fibers,
    /// As a thread of the system, under ThreadSanitizer.
    System,
}

/// Flags of the compiler. Warnings are errors; the kernels' pragmas are for nvcc.
const FLAGS: [&str; 10] = [
    "-std=c++20",
    "-g1",
    "-fPIC",
    "-shared",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-ffp-contract=off",
    "-pthread",
];

impl Threads {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Threads::Fibers => &["-O2"],
            Threads::System => &["-O1", "-DRESNETC_THREADS", "-fsanitize=thread"],
        }
    }
}

/// The kernels' library, compiled into a folder unless it lies there already.
///
/// # Panics
/// Where there is no C++ compiler, or it refuses the sources.
pub fn library(folder: &Path, threads: Threads) -> PathBuf {
    compiled(folder, &cuda().join("emulated/library.cpp"), threads)
}

fn cuda() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/cuda")
}

/// A source with kernels as a library, likewise.
///
/// # Panics
/// As [`library`].
pub fn compiled(folder: &Path, source: &Path, threads: Threads) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (FLAGS, threads.flags()).hash(&mut hasher);
    fs::read(source).expect("a source").hash(&mut hasher);
    for part in ["kernels", "emulated"] {
        let files = fs::read_dir(cuda().join(part)).expect("the sources");
        let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending != "rs"));
        files.sort();
        files.iter().for_each(|file| fs::read(file).expect("a source").hash(&mut hasher));
    }
    let library = folder.join(format!("kernels-{:016x}.so", hasher.finish()));
    // Tests run in processes of their own: one compiles, the others wait.
    let lock = File::create(folder.join("kernels.lock")).expect("the folder can be written");
    lock.lock().expect("a lock");
    if !library.exists() {
        let made = library.with_extension("part");
        let mut compiler = Command::new("c++");
        compiler.args(FLAGS).args(threads.flags()).arg(source).arg("-o").arg(&made);
        let compiler = compiler.output().expect("a C++ compiler, `c++`, is installed");
        assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
        fs::rename(&made, &library).expect("the same folder");
    }
    library
}

/// A driver.
///
/// # Panics
/// As [`library`].
pub fn driver(folder: &Path, threads: Threads, choices: Choices) -> Emulated {
    Emulated::open(&library(folder, threads), choices).expect("the library was just compiled")
}

/// A session of an emulated GPU of its own.
///
/// # Panics
/// As [`library`].
pub fn session(driver: &Emulated) -> Box<dyn Session> {
    Arc::new(CudaDevice::new(Arc::new(driver.clone()))).session().expect("sessions need nothing")
}
