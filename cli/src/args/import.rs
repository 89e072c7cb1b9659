//! Arguments of `resnetc import`.

use std::path::PathBuf;

use clap::Args;

/// `resnetc import`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// A network: an ONNX model (.onnx), Darknet's .cfg, or Caffe's .prototxt as it is deployed.
    #[arg(value_name = "FILE")]
    pub network: PathBuf,
    /// Write the spec here [default: standard output].
    #[arg(long, short, value_name = "SPEC")]
    pub output: Option<PathBuf>,
    /// Write the weights that came along here: safetensors, by the names of the spec's network.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Darknet's .weights, of the same network.
    #[arg(long, value_name = "FILE", requires = "weights")]
    pub from_weights: Option<PathBuf>,
    /// Channels, height and width of an image, where the file leaves them open.
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', num_args = 1)]
    pub input: Option<Vec<usize>>,
}

const EXAMPLES: &str = "\
Examples:
  resnetc import resnet50.onnx -o mine.yaml --weights mine.safetensors
  resnetc import resnet50.cfg -o mine.yaml --from-weights resnet50.weights --weights mine.safetensors
  resnetc import ResNet-50-deploy.prototxt | resnetc check -
The spec is compiled and compared with the network, layer by layer, before it is written.
Exit status: 1 where the network cannot be said as a spec, which names the line or node.";
