//! Arguments of `resnetc data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::overrides::{Overrides, threads};

/// `resnetc data`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DataCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: DataAction,
}

/// What is done with data sets.
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// Read all pictures: classes, sizes, mean and deviation, broken pictures, and those that stand there twice.
    Inspect(DataInspectArgs),
}

/// `resnetc data inspect`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DataInspectArgs {
    /// A data set's name, a folder of classes, a table (.csv, .jsonl), or archives (.tar, .tar.gz, shard-{000..009}.tar).
    pub source: String,
    /// Write a page of pictures as they are, as they are evaluated, and as they are changed in three epochs. It loads nothing.
    #[arg(long, value_name = "OUT.html")]
    pub html: Option<PathBuf>,
    /// The network that pictures are prepared for, and whose `train` says how they are split and changed [default: resnet18, of a data set
    /// with a name resnet20].
    #[arg(long, value_name = "SPEC")]
    pub spec: Option<String>,
    /// Print what was found as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Threads that read [default: all cores].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,
    /// Folder with data sets [default: $RESNETC_DATA, else downloaded once into a cache].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const EXAMPLES: &str = "\
Examples:
  resnetc data inspect pictures/
  resnetc data inspect pictures/ --html sheet.html --spec mine.yaml
  resnetc data inspect labels.csv --json --set train.split=0.1
Exit status: 0 nothing is wrong, 1 pictures are broken or stand in both splits, or nothing can be read.";
