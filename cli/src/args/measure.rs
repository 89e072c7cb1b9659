//! Arguments of the commands that measure: bench, tune.

use clap::Args;
use resnetc_compiler::ir::graph::Mode;

use super::device::{self, DeviceArg};
use super::overrides::{Overrides, positive, threads, whole};
use super::weights::WeightsArgs;

/// What runs, and how much of it at a time.
#[derive(Debug, Args)]
pub struct WorkloadArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// Take the training step (forward, loss, backward, update) instead of inference.
    #[arg(long)]
    pub train: bool,
    /// Images per run [default: 1, with --train the spec's batch size].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    /// Threads of the CPU kernels [default: all cores].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

impl WorkloadArgs {
    /// What it is compiled for.
    pub fn mode(&self) -> Mode {
        if self.train { Mode::Train } else { Mode::Infer }
    }
}

/// `resnetc bench`
#[derive(Debug, Args)]
#[command(after_help = BENCH_EXAMPLES)]
pub struct BenchArgs {
    /// What runs.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// What to run on: auto, cpu, reference, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", long_help = device::HELP)]
    pub device: DeviceArg,
    /// Weights to time it with; times do not depend on them, unless they are not finite.
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// Timed runs, after the warm-up.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, default_value_t = 20)]
    pub runs: usize,
    /// Runs before the timed ones.
    #[arg(long, value_name = "N", value_parser = whole, allow_negative_numbers = true, default_value_t = 3)]
    pub warmup: usize,
    /// Say of each step with several algorithms what the cost model expects of them.
    #[arg(long)]
    pub explain: bool,
    /// Print the figures as one JSON object.
    #[arg(long)]
    pub json: bool,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  resnetc bench resnet50                        one image, each kernel against the machine's ceilings
  resnetc bench resnet20 --train --batch 128    the training step
  resnetc bench resnet50 --explain              and why a step's algorithm was taken
  resnetc bench resnet50 --batch 16 --json      for programs: `ms`, `img_s`, `steps`
Run nothing else meanwhile.";

/// `resnetc tune`
#[derive(Debug, Args)]
#[command(after_help = TUNE_EXAMPLES)]
pub struct TuneArgs {
    /// What runs.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// Times that each algorithm has its turn, with four runs.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, default_value_t = 5)]
    pub rounds: usize,
    /// Print the figures as one JSON object.
    #[arg(long)]
    pub json: bool,
}

const TUNE_EXAMPLES: &str = "\
Examples:
  resnetc tune resnet50                         inference of one image
  resnetc tune resnet20 --train --batch 128     the training step
  RESNETC_ISA=avx2 resnetc tune resnet50        of those instructions
Never needed: a cost model decides where nothing was measured. What is faster than that,
the whole network too, is kept by processor, instructions, threads and sizes in
$XDG_CACHE_HOME/resnetc/tuning (~/.cache/...) or the folder that RESNETC_TUNING names;
run and bench take it from then on, unless RESNETC_TUNING=off. Other algorithms round
otherwise: a training resumed after tuning may differ in its last bits.
Run nothing else meanwhile.";
