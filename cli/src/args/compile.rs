//! Arguments of `resnetc compile`.

use std::path::PathBuf;

use clap::Args;

use super::overrides::{Overrides, positive};

/// `resnetc compile`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompileArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// What to compile for, as cuda:sm_90; the GPU need not be there. After the colon comes an architecture, the name of a GPU
    /// (h100-sxm, h200-sxm), or a file with cuDNN's description of one.
    #[arg(long, value_name = "DEVICE")]
    pub device: String,
    /// Folder for the plans.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Images per run [default: 1, with --train the spec's batch size].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    /// Compile the training step (forward, loss, backward, update) instead of inference.
    #[arg(long)]
    pub train: bool,
    /// Engines of each convolution that a plan is made of; where the GPU is, the fastest is found.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, default_value_t = 3)]
    pub engines: usize,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const EXAMPLES: &str = "\
Examples:
  resnetc compile resnet50 --device cuda:sm_90 -o plans --batch 32
  resnetc compile resnet50 --device cuda:sm_90 -o plans --train --dtype bf16
  resnetc compile resnet20 --device cuda:my-gpu.json -o plans --train --engines 1
It needs a build with `--features cudnn`, and cuDNN 9.8 or newer with cuBLAS and NVRTC in the loader's path.
A plan is taken by GPUs of the same kind, and by the same version of cuDNN.";
