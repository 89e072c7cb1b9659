//! Arguments of `resnetc export`.

use std::path::PathBuf;

use clap::Args;
use resnetc::onnx::version;

use super::overrides::{Overrides, positive, seed};
use super::weights::WeightsArgs;

/// `resnetc export`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// Weights of the network [default: fresh ones from the seed].
    #[command(flatten)]
    pub weights: WeightsArgs,
    /// The ONNX file [default: NETWORK-VERSION.onnx].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// ONNX's set of operators, 17 to 28: the older, the more programs take it.
    #[arg(long, value_name = "N", default_value_t = version::DEFAULT)]
    #[arg(value_parser = clap::value_parser!(i64).range(version::FIRST..=version::LAST))]
    pub opset: i64,
    /// Images per run [default: 1].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    /// Leave the number of images per run free.
    #[arg(long, conflicts_with = "batch")]
    pub dynamic_batch: bool,
    /// Fold batch normalisations into the weights of the convolutions before them.
    #[arg(long)]
    pub fold_bn: bool,
    /// Seed of fresh weights, or of a fresh last layer.
    #[arg(long, value_name = "SEED", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const EXAMPLES: &str = "\
Examples:
  resnetc export resnet50 --weights best.safetensors -o resnet50.onnx
  resnetc export resnet50 --weights best.safetensors -o resnet50.onnx --dynamic-batch --fold-bn
  resnetc export mine.yaml --opset 21 --batch 8
The input is `input`, N x C x H x W, normalised as in training (the file's metadata have mean and std); the
result is `logits`. docs/export.md says what each layer becomes.";
