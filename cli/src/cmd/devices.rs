//! `resnetc devices`: what networks can run on here.

use std::fmt::Write;

use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::cpu::tune::processor;
use resnetc_runtime::cuda;
use resnetc_runtime::cuda::found::{Found, Gpu};
use resnetc_runtime::memory::{Memory, memory};
use resnetc_runtime::ranks::HAS_MPI;
use serde_json::{Value, json};

use crate::args::DevicesArgs;
use crate::environment::Environment;
use crate::failure::Result;
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::{bytes, counted};

/// Columns before what is said of a device.
const NAMES: usize = 11;

/// Runs the command.
pub fn devices(args: &DevicesArgs, environment: &Environment, output: &Output) -> Result {
    let cpu = Cpu::of_this_machine(environment)?;
    let cuda = cuda::find(&environment.cuda()).map_err(|error| error.to_string());
    output.result(&match args.json {
        true => format!("{:#}", json!({"cpu": cpu.json(), "cuda": cuda_json(&cuda), "mpi": HAS_MPI})),
        false => cpu.text() + &cuda_text(&cuda, output.page.columns) + &entry("ranks", &[ranks()]),
    })
}

/// What processes that share a training reach each other by.
fn ranks() -> String {
    match HAS_MPI {
        true => "several processes reach each other by MPI or TCP".to_owned(),
        false => "several processes reach each other by TCP; for MPI build with `--features mpi`".to_owned(),
    }
}

/// The CPU, as its kernels see it.
struct Cpu {
    processor: String,
    taken: Isa,
    available: Vec<&'static str>,
    threads: usize,
    memory: Option<Memory>,
}

impl Cpu {
    fn of_this_machine(environment: &Environment) -> Result<Self> {
        Ok(Cpu {
            processor: processor(),
            taken: environment.isa()?.unwrap_or_else(Isa::best),
            available: Isa::ALL.into_iter().filter(|isa| isa.available()).map(Isa::name).collect(),
            threads: available_threads(),
            memory: memory(),
        })
    }

    fn json(&self) -> Value {
        let memory = self.memory.as_ref();
        json!({
            "processor": self.processor, "instructions": self.taken.name(), "available": self.available,
            "threads": self.threads, "memory": memory.map(|memory| memory.total), "memory_free": memory.map(|memory| memory.free),
        })
    }

    fn text(&self) -> String {
        let Cpu { processor, taken, available, threads, memory } = self;
        let memory = memory.as_ref().map_or(String::new(), |memory| {
            format!(", {} of memory, {} free", bytes(memory.total), bytes(memory.free))
        });
        let lines = [
            processor.clone(),
            format!("{}{memory}", counted(*threads, "thread")),
            format!("instructions: {} of {}", taken.name(), available.join(", ")),
        ];
        entry("cpu", &lines) + &entry("reference", &["plain Candle operations on the same".to_owned()])
    }
}

fn cuda_json(cuda: &std::result::Result<Found, String>) -> Value {
    let found = match cuda {
        Ok(found) => found,
        Err(error) => return json!({"error": error}),
    };
    let gpu = |gpu: &Gpu| {
        let mut object = json!(gpu);
        let free = cuda::free_memory(gpu);
        object["memory_free"] = json!(free.as_ref().ok());
        object["error"] = json!(free.err().map(|error| error.to_string()));
        object
    };
    let gpus: Vec<Value> = found.gpus.iter().map(gpu).collect();
    json!({"driver": found.driver, "cuda": found.cuda, "libraries": found.libraries, "gpus": gpus})
}

fn cuda_text(cuda: &std::result::Result<Found, String>, columns: Option<usize>) -> String {
    let found = match cuda {
        Ok(found) => found,
        Err(error) => return entry("cuda", &error.lines().map(str::to_owned).collect::<Vec<_>>()),
    };
    let mut text: String =
        found.gpus.iter().map(|gpu| entry(&format!("cuda:{}", gpu.ordinal), &gpu_lines(gpu))).collect();
    let driver = found.driver.as_ref().map_or(String::new(), |release| format!("driver {release}, "));
    writeln!(text, "\n{driver}CUDA {}\n", found.cuda).expect("writing to a string");
    let mut table = Table::new(&[("library", Align::Left), ("version", Align::Right), ("file", Align::Left)]);
    for library in &found.libraries {
        table.row([library.name.to_owned(), library.version.clone(), library.path.display().to_string()]);
    }
    text + &table.within(columns)
}

fn gpu_lines(gpu: &Gpu) -> Vec<String> {
    let free = match cuda::free_memory(gpu) {
        Ok(free) => format!("{} free", bytes(free)),
        Err(error) => format!("none for this process: {error}"),
    };
    let Gpu { name, uuid, compute_capability, multiprocessors, memory, .. } = gpu;
    vec![
        format!("{name}, compute capability {compute_capability}, {multiprocessors} multiprocessors"),
        format!("{} of memory, {free}", bytes(*memory)),
        uuid.clone(),
    ]
}

/// A device's name before the first of its lines.
fn entry(name: &str, lines: &[String]) -> String {
    let named = |(i, line): (usize, &String)| format!("{:NAMES$}{line}\n", if i == 0 { name } else { "" });
    lines.iter().enumerate().map(named).collect()
}
