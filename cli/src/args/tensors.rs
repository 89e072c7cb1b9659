//! Arguments of `resnetc run` for tensors in and out.

use std::path::PathBuf;

use clap::Args;

/// Images as numbers, and where the results go.
#[derive(Debug, Default, Args)]
pub struct TensorArgs {
    /// Run on the images in a .npy or .safetensors file: floats, N x C x H x W, normalised as in training.
    #[arg(long, value_name = "FILE", requires = "output", conflicts_with_all = ["train", "eval"])]
    #[arg(help_heading = "Tensors")]
    pub input: Option<PathBuf>,
    /// Where the results go: a .npy with the logits, or a .safetensors with all results by their names.
    #[arg(long, value_name = "FILE", requires = "input", help_heading = "Tensors")]
    pub output: Option<PathBuf>,
    /// Nodes whose results are written too, as `resnetc explain` names them; the output is a .safetensors then.
    #[arg(long, value_name = "NODE", value_delimiter = ',', requires = "input", help_heading = "Tensors")]
    pub emit_activations: Vec<String>,
}
