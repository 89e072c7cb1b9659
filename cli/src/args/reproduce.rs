//! Arguments of `resnetc reproduce`.

use std::path::PathBuf;

use clap::Args;

use super::device::{self, DeviceArg};
use super::overrides::{Overrides, positive, threads};

/// `resnetc reproduce`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReproduceArgs {
    /// A compiled-in table, or the file of one [without: list the compiled-in ones].
    pub table: Option<String>,
    /// Rows to train, by their ids, in the table's order [default: all].
    #[arg(long, value_name = "IDS", value_delimiter = ',', requires = "table")]
    pub rows: Vec<String>,
    /// Epochs of each training [default: as published]. The schedule and the warm-up shrink, or grow, with them.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, requires = "table")]
    pub epochs: Option<usize>,
    /// Trainings of each row, with the seeds 0 to N-1.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, default_value_t = 1)]
    #[arg(requires = "table")]
    pub seeds: usize,
    /// Another data set than the table's, as of `run --train`.
    #[arg(long, value_name = "DATASET", requires = "table")]
    pub dataset: Option<String>,
    /// Say what would be done and about how long it takes; train nothing.
    #[arg(long, requires = "table")]
    pub dry_run: bool,
    /// Where trainings and the result go, a folder for each row with one for each seed in it [default: out/TABLE].
    #[arg(long, value_name = "DIR", requires = "table")]
    pub out: Option<PathBuf>,
    /// Print the result, or the list, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Threads of the CPU kernels [default: all cores].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// Threads that prepare images [default: one for four of the kernels' threads, for a GPU all cores but one].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub workers: Option<usize>,
    /// What to run on: auto, cpu, reference, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", long_help = device::HELP)]
    pub device: DeviceArg,
    /// Folder with data sets [default: $RESNETC_DATA, else downloaded once into a cache].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Changes of all networks, behind those of the table.
    #[command(flatten)]
    pub overrides: Overrides,
}

const EXAMPLES: &str = "\
Examples:
  resnetc reproduce                                  which tables there are
  resnetc reproduce resnet --dry-run                 its rows, their sizes, and the hours that they take here
  resnetc reproduce resnet --rows resnet20,resnet32 --epochs 5 --seeds 3
  resnetc reproduce identity-shortcuts --epochs 10 --data-dir data
  resnetc reproduce mine.yaml --dataset shapes10     a table of your own: docs/tables.md
The same command goes on where it stopped. At the end table.md and table.json lie in the output folder.";
