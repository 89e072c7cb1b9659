//! Arguments about weights: where a network's come from, and the command that looks at their files.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use resnetc::{Downloads, WeightsOptions};

/// Where a network's weights come from.
#[derive(Debug, Clone, Default, Args)]
pub struct WeightsArgs {
    /// Weights to begin with: safetensors (or the index of several files), or what PyTorch's `torch.save` wrote; or published ones:
    /// torchvision[:V1|:V2], timm[:TAG], hf:OWNER/NAME[@REVISION], fetched once.
    #[arg(long, value_name = "FILE", help_heading = "Weights")]
    pub weights: Option<PathBuf>,
    /// Whose names its tensors have: auto, resnetc, torchvision, timm, cifar, transformers.
    #[arg(long, value_name = "NAME", requires = "weights", default_value = "auto", help_heading = "Weights")]
    pub dialect: String,
    /// Start the last linear layer afresh: `new`, for another number of classes than the file's.
    #[arg(long, value_name = "new", value_enum, requires = "weights", help_heading = "Weights")]
    pub head: Option<HeadArg>,
    /// Take a checkpoint's weights as they were trained, where it holds their average too.
    #[arg(long, help_heading = "Weights")]
    pub raw_weights: bool,
}

/// What becomes of the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HeadArg {
    /// It starts afresh.
    New,
}

impl WeightsArgs {
    /// What the library takes; `None` where no file is named.
    pub fn options(&self, seed: Option<u64>, downloads: &Downloads) -> Option<WeightsOptions> {
        let (file, downloads) = (self.weights.clone()?, downloads.clone());
        let (dialect, raw) = (Some(self.dialect.clone()), self.raw_weights);
        Some(WeightsOptions {
            file,
            dialect,
            new_head: self.head == Some(HeadArg::New),
            raw,
            seed,
            downloads,
        })
    }
}

/// `resnetc weights`
#[derive(Debug, Args)]
#[command(after_help = WEIGHTS_EXAMPLES)]
pub struct WeightsCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: WeightsAction,
}

/// What is done with files of weights.
#[derive(Debug, Subcommand)]
pub enum WeightsAction {
    /// Say what is in a file: format, names, shapes, and the compiled-in network that it fits.
    Inspect(InspectArgs),
    /// Write a file's weights as safetensors, by the same names or those of a dialect.
    Convert(ConvertArgs),
    /// Tell how the weights of two files differ.
    Diff(WeightsDiffArgs),
}

/// `resnetc weights inspect`
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// A file of weights.
    pub file: PathBuf,
    /// Print what was found as one JSON object.
    #[arg(long)]
    pub json: bool,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  resnetc weights inspect resnet50-0676ba61.pth
  resnetc weights inspect model.safetensors.index.json --json
Networks whose weights look alike (other activations, other strides) fit the same files; all are named.";

/// `resnetc weights convert`
#[derive(Debug, Args)]
#[command(after_help = CONVERT_EXAMPLES)]
pub struct ConvertArgs {
    /// A file of weights.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The safetensors file to write.
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// Whose names to write: resnetc, torchvision, timm, cifar, transformers [default: those that the file has].
    #[arg(long, value_name = "NAME")]
    pub dialect: Option<String>,
    /// The network that the weights are of [default: the compiled-in one that they fit].
    #[arg(long, value_name = "SPEC", requires = "dialect")]
    pub spec: Option<String>,
    /// Whose names the file has [default: what fits].
    #[arg(long, value_name = "NAME", requires = "dialect", default_value = "auto")]
    pub from: String,
}

const CONVERT_EXAMPLES: &str = "\
Examples:
  resnetc weights convert resnet20-12fca82f.th resnet20.safetensors                    other format, same names
  resnetc weights convert resnet50.pth resnet50.safetensors --dialect transformers     other names
  resnetc weights convert out/best.safetensors mine.safetensors --dialect timm --spec mine.yaml
Counters of steps (num_batches_tracked) and what is no tensor are left out.";

/// `resnetc weights diff`
#[derive(Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct WeightsDiffArgs {
    /// A file of weights.
    pub a: PathBuf,
    /// Another one, of the same network, in any format and dialect.
    pub b: PathBuf,
    /// Print the differences as one JSON object.
    #[arg(long)]
    pub json: bool,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  resnetc weights diff out/a/last.safetensors out/b/last.safetensors
  resnetc weights diff resnet50.pth resnet50.safetensors
Files of other dialects are compared by the network that both fit.
Exit status: 0 all elements are equal, 1 they differ, or a file cannot be read.";

const WEIGHTS_EXAMPLES: &str = "\
Examples:
  resnetc weights inspect resnet50-0676ba61.pth
  resnetc weights convert resnet50-0676ba61.pth resnet50.safetensors --dialect timm
  resnetc weights diff resnet50-0676ba61.pth resnet50.safetensors";
