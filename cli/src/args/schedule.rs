//! Arguments of `resnetc schedule`, and of the range test of learning rates.

use std::path::PathBuf;

use clap::Args;
use resnetc_runtime::train::Range;

use super::overrides::{Overrides, positive};

/// `resnetc schedule`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ScheduleArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network.
    pub spec: String,
    /// Training images, which tell how many steps an epoch has [default: those of the spec's data set, else 50000].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub images: Option<usize>,
    /// Write the curve as a picture.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print a list of `epoch`, `step` and `lr`, an entry for each step at which the rate changes, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const EXAMPLES: &str = "\
Examples:
  resnetc schedule resnet20
  resnetc schedule resnet50 --set train.schedule=cosine --set 'train.warmup={length: 5}'
  resnetc schedule mine.yaml --images 12000 --svg rate.svg
  resnetc schedule resnet20 --json | jq '.[-1].lr'
A rate that falls on plateaus depends on evaluations: it is drawn as if each of them were better than the one before.";

/// `resnetc run SPEC --train DATASET --find-lr`
#[derive(Debug, Default, Args)]
pub struct RateArgs {
    /// Train a hundred steps at rates that rise from step to step, draw the loss over them, and say which rates to try
    /// [default: 1e-6..10]; nothing is kept.
    #[arg(long, value_name = "FROM..TO", num_args = 0..=1, value_parser = range, requires = "train")]
    #[arg(conflicts_with_all = ["resume", "overwrite", "out", "epochs", "lr"], help_heading = "Training")]
    pub find_lr: Option<Option<Range>>,
    /// Write the curve of --find-lr as a picture.
    #[arg(long, value_name = "FILE", requires = "find_lr", help_heading = "Training")]
    pub svg: Option<PathBuf>,
}

fn range(text: &str) -> Result<Range, String> {
    let rate = |text: &str| text.trim().parse::<f32>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    let ends = text.split_once("..").and_then(|(from, to)| Some((rate(from)?, rate(to)?)));
    match ends {
        Some((from, to)) if from < to => Ok(Range { from, to, ..Range::default() }),
        _ => Err("two rates above 0, the lower one first, as in 1e-5..1".to_owned()),
    }
}
