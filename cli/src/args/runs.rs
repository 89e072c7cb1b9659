//! Arguments of `resnetc runs`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `resnetc runs`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct RunsCommand {
    /// What to do with them, if not list them.
    #[command(subcommand)]
    pub action: Option<RunsAction>,
    /// Folders that are searched through for trainings [default: out].
    #[arg(value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// What the list is sorted by.
    #[arg(long, value_enum, value_name = "KEY", default_value_t = SortArg::Path)]
    pub sort: SortArg,
    /// Print a list of `run`, `network`, `dataset`, `epochs`, `planned`, `state`, `best_accuracy`, `last_accuracy`, `last_loss`, `started` and
    /// `seconds` as JSON; a folder that cannot be read has `run` and `error`.
    #[arg(long)]
    pub json: bool,
}

/// What is done with trainings.
#[derive(Debug, Subcommand)]
pub enum RunsAction {
    /// Tell how trainings differ: settings, figures, curves.
    Compare(CompareArgs),
}

/// What a list of trainings is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortArg {
    /// The folder.
    Path,
    /// When it began, the newest first.
    When,
    /// Best accuracy, the highest first.
    Best,
    /// Last loss of the test images, the lowest first.
    Loss,
    /// How long it took, the longest first.
    Duration,
}

/// `resnetc runs compare`
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// Folders of trainings, or folders that hold several: up to 8 trainings.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write a page with curves over one another, settings that differ, and figures. It loads nothing.
    #[arg(long, value_name = "OUT.html")]
    pub html: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  resnetc runs                               all trainings under out/
  resnetc runs out /data/trainings --sort best
  resnetc runs --json | jq '.[] | select(.state == \"stopped\") | .run'
  resnetc runs compare out/resnet20-cifar10 out/resnet32-cifar10
A training is running while a process has its folder, finished with its last epoch, else stopped: --resume goes on with it.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  resnetc runs compare out/resnet20-cifar10 out/resnet32-cifar10
  resnetc runs compare out/resnet20-cifar10-sweep --html compare.html
Exit status: 0 they were compared, 1 one cannot be read, 2 there are fewer than two, or too many.";
