//! Arguments of `build`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::scaling::{self, Link};

use super::overrides::{Overrides, positive, threads};
use crate::picture::Fold;

/// `resnetc build`
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct BuildArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// Images per run [default: 1, with --train the spec's batch size].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub batch: Option<usize>,
    /// Compile the training step (forward, loss, backward, update) instead of inference.
    #[arg(long)]
    pub train: bool,
    /// Most memory of the training step, as `4GiB`: short for `--set train.memory_limit=...`. Where the plan takes more, the backward
    /// pass computes feature maps again.
    #[arg(long, value_name = "SIZE", requires = "train")]
    pub memory_limit: Option<String>,
    /// Processes that share the training, each with a batch of its own: their sums of gradients are steps of the plan.
    #[arg(long, requires = "train", value_name = "N", default_value_t = 1, value_parser = positive)]
    pub ranks: usize,
    /// What joins the processes, as `25Gbit` or `12.5GB/s`: says how long a step takes on 2, 4, ... N of them. Latency and the sender's time
    /// for a message may follow: `25Gbit,30us,5us` [default: those].
    #[arg(long, requires = "ranks", value_name = "LINK")]
    pub link: Option<Link>,
    /// What the step takes where one process trains alone, as `250ms`, for --link [default: measured on this machine's CPU].
    #[arg(long, requires = "link", value_name = "TIME", value_parser = seconds)]
    pub step_time: Option<f64>,
    /// Threads of the CPU, by which the step is measured and workspaces are counted [default: all cores].
    #[arg(long, requires = "train", value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// What to compile for; its hardware is not needed.
    #[arg(long, value_name = "BACKEND", value_parser = backends(), default_value = Backend::CPU.name)]
    pub backend: Backend,
    /// What to print [default: summary, unless passes are shown].
    #[arg(long, value_enum, value_name = "FORM", value_delimiter = ',')]
    pub emit: Vec<Emit>,
    /// What a picture draws once for many [default: as little as fits on a page].
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fold: Option<Fold>,
    /// Print the graph after a pass, or after all.
    #[arg(long, value_name = "PASS|all")]
    pub dump_after: Option<String>,
    /// Say of every pass what it did, and why it did not do the rest.
    #[arg(long)]
    pub explain_passes: bool,
    /// Write the one emitted form here; a summary next to another form still goes to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const BUILD_EXAMPLES: &str = "\
Examples:
  resnetc build resnet50                                 table of units, totals, memory, kernels
  resnetc build resnet20 --train --batch 128             the same of the training step
  resnetc build resnet50 --train --memory-limit 4GiB     what is computed again to fit
  resnetc build resnet50 --train --ranks 8 --emit plan   what is summed over 8 processes, when
  resnetc build resnet50 --train --ranks 8 --link 1Gbit  how long a step takes on 2, 4 and 8 hosts
  resnetc build resnet18 --emit svg -o resnet18.svg      a picture
  resnetc build resnet152 --emit html -o resnet152.html  a page: picture, table, passes, spec
  resnetc build resnet20 --emit plan                     what the executor runs
  resnetc build resnet20 --train --backend cuda --emit plan
  resnetc build resnet20 --dump-after fold-bn            the graph after one pass
  resnetc build resnet20 --explain-passes                why passes fired, or did not
  resnetc build resnet20 --set shortcut=projection --emit json";

/// Seconds of a time with its unit.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    scaling::seconds(text)
        .filter(|&seconds| seconds > 0.0)
        .ok_or_else(|| "a time with its unit is needed, as `250ms`".to_owned())
}

/// The names of the backends that the compiler knows.
fn backends() -> impl TypedValueParser<Value = Backend> {
    let named = |name: String| Backend::ALL.into_iter().find(|backend| backend.name == name);
    PossibleValuesParser::new(Backend::ALL.map(|backend| backend.name))
        .map(move |name| named(name).expect("one of the possible values"))
}

/// A form of the compiled network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The table of units and the totals.
    Summary,
    /// The spec with all defaults and overrides in place.
    Spec,
    /// The graph after the last pass, as text.
    Ir,
    /// The graph in Graphviz' language.
    Dot,
    /// The graph as a picture.
    Svg,
    /// A page with the picture, the table, the passes and the spec; it loads nothing.
    Html,
    /// Kernel steps and memory, as text.
    Plan,
    /// The summary as one JSON object.
    Json,
}
