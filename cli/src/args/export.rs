//! Arguments of `resnetc export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
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
    /// The file [default: NETWORK-VERSION.onnx, of a format of weights .safetensors].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What is written: onnx, the whole network; or its weights by the names of torchvision, timm, cifar or transformers.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportFormat::Onnx)]
    #[arg(hide_possible_values = true)]
    pub format: ExportFormat,
    /// Write a folder that timm loads: `config.json` and `model.safetensors`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "format"])]
    pub hub: Option<PathBuf>,
    /// What timm calls the network [default: found by what it computes].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["output", "format"])]
    pub architecture: Option<String>,
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

/// What `--format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// An ONNX model.
    Onnx,
    /// Weights as torchvision names them.
    Torchvision,
    /// Weights as timm names them.
    Timm,
    /// Weights as collections of CIFAR networks name them.
    Cifar,
    /// Weights as Hugging Face's transformers names them.
    Transformers,
}

impl ExportFormat {
    /// The dialect of a format of weights.
    pub fn dialect(self) -> Option<&'static str> {
        match self {
            ExportFormat::Onnx => None,
            ExportFormat::Torchvision => Some("torchvision"),
            ExportFormat::Timm => Some("timm"),
            ExportFormat::Cifar => Some("cifar"),
            ExportFormat::Transformers => Some("transformers"),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  resnetc export resnet50 --weights best.safetensors -o resnet50.onnx
  resnetc export resnet50 --weights best.safetensors -o resnet50.onnx --dynamic-batch --fold-bn
  resnetc export mine.yaml --opset 21 --batch 8
  resnetc export resnet50 --weights best.safetensors --format torchvision -o for-torch.safetensors
  resnetc export resnet50 --weights best.safetensors --hub my-resnet50
A model's input is `input`, N x C x H x W, normalised as in training (the file's metadata have mean and std); the
result is `logits`. docs/export.md says what each layer becomes.";
