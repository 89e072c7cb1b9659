//! Arguments of the commands that look at specs: verify, explain, diff, lint, new, list, schema.

use std::path::PathBuf;

use clap::Args;

use super::device::{self, DeviceArg};
use super::overrides::{Bounds, Overrides, positive, threads};

/// `resnetc verify`
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// A spec, or a folder that is searched through for .yaml and .yml files [default: specs, else the compiled-in networks].
    #[arg(value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Run the networks that expect a time, `expect: {ms: "< 5"}`, and check it: inference of one image, the median of some runs.
    #[arg(long)]
    pub measure: bool,
    /// Threads of the CPU kernels [default: all cores].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, requires = "measure")]
    pub threads: Option<usize>,
    /// What to measure on: auto, cpu, reference, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", long_help = device::HELP, requires = "measure")]
    pub device: DeviceArg,
    /// Print a list of `name`, `file`, `params`, `macs`, `ms`, `expect`, `ok` and `unreadable` as JSON.
    #[arg(long)]
    pub json: bool,
    /// How large a spec may be.
    #[command(flatten)]
    pub bounds: Bounds,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  resnetc verify                       every spec under specs/
  resnetc verify my-networks --json
  resnetc verify mine.yaml
  resnetc verify mine.yaml --measure   its time on this machine, too; run nothing else meanwhile
Exit status: 0 all hold, 2 a spec is wrong, its `expect` does not hold, or it cannot be read.";

/// `resnetc explain`
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// A node, such as stage3.unit0.conv1, or a part of the network, such as stage3.unit0.
    pub node: String,
    /// Explain the training step (forward, loss, backward, update) instead of inference.
    #[arg(long)]
    pub train: bool,
    /// Images per run [default: 1, with --train the spec's batch size].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  resnetc explain resnet50 stage3.unit0               the nodes of a unit, and what its shortcut is
  resnetc explain resnet50 stage3.unit0.shortcut      why it is a projection
  resnetc explain resnet50 stage3.unit0.relu2         what it was fused with
  resnetc explain resnet50 stage3.unit0.bn1 --train   kernels forward and backward, buffers
  resnetc explain resnet50 grad.stem.conv1 --train    a node that a pass added";

/// `resnetc diff`
#[derive(Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct DiffArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub a: String,
    /// The one to compare it with.
    pub b: String,
    /// Print `equal` and the list of `differences` as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// How large a spec may be.
    #[command(flatten)]
    pub bounds: Bounds,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  resnetc diff resnet50 resnet101
  resnetc diff resnet50 my.yaml --json
Networks are compared, not texts: names, comments and defaults written out do not count.
Exit status: 0 the networks are equal, 1 they differ, 2 a spec is wrong.";

/// `resnetc lint`
#[derive(Debug, Args)]
#[command(after_help = LINT_EXAMPLES)]
pub struct LintArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// Print a list of `rule`, `source`, `message`, `file`, `line`, `column` and `help` as JSON.
    #[arg(long)]
    pub json: bool,
    /// Fail where there are warnings.
    #[arg(long)]
    pub strict: bool,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const LINT_EXAMPLES: &str = "\
Examples:
  resnetc lint resnet110
  resnetc lint my.yaml --strict
  resnetc lint resnet50 --set train.batch_size=1024
Exit status: 0, with --strict 1 where there are warnings; 2 the spec is wrong.";

/// `resnetc new`
#[derive(Debug, Args)]
#[command(after_help = NEW_EXAMPLES)]
pub struct NewArgs {
    /// Name of the network; the file is NAME.yaml.
    pub name: String,
    /// The spec to begin with: a file, or the name of a compiled-in network.
    #[arg(long, value_name = "SPEC", default_value = "resnet50")]
    pub from: String,
    /// Overwrite the file where there is one.
    #[arg(long)]
    pub force: bool,
    /// How large a spec may be.
    #[command(flatten)]
    pub bounds: Bounds,
}

const NEW_EXAMPLES: &str = "\
Examples:
  resnetc new mine                     mine.yaml, which extends resnet50
  resnetc new mine --from resnet20";

/// `resnetc schema`
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// Print the reference of the spec language instead, in Markdown: every key, layer and argument.
    #[arg(long)]
    pub markdown: bool,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  resnetc schema > spec.schema.json
  resnetc schema --markdown > language.md
A spec that begins with this line is completed and checked by editors with a YAML language server:
  # yaml-language-server: $schema=spec.schema.json";

/// `resnetc list`
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// List the data sets that have names instead.
    #[arg(long)]
    pub datasets: bool,
    /// Print a list of `name`, `params`, `macs`, `input`, `about` and `file` as JSON; of data sets, of `name`, `about`, `input`,
    /// `classes`, `images`, `mean` and `std`.
    #[arg(long)]
    pub json: bool,
}

const LIST_EXAMPLES: &str = "\
Examples:
  resnetc list
  resnetc list --datasets
  resnetc build $(resnetc list --json | jq -r '.[0].name')";

/// `resnetc devices`
#[derive(Debug, Args)]
#[command(after_help = DEVICES_EXAMPLES)]
pub struct DevicesArgs {
    /// Print `cpu` and `cuda` as one JSON object; `cuda` has `gpus`, `libraries`, `cuda` and `driver`, or `error`.
    #[arg(long)]
    pub json: bool,
}

const DEVICES_EXAMPLES: &str = "\
Examples:
  resnetc devices
  resnetc devices --json | jq -r '.cuda.gpus[].name'
CUDA's libraries are looked for on the loader's path (LD_LIBRARY_PATH), in CUDA_PATH, CUDA_HOME
and /usr/local/cuda*, and in the packages of Python of VIRTUAL_ENV, CONDA_PREFIX and PATH. Where
RESNETC_CUDA names folders, they are looked for in those alone.
Exit status: 0, also where there is no GPU.";
