//! Arguments of `resnetc data`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::overrides::{Overrides, positive, threads};

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
    /// Write all pictures, decoded, into one file, which --train reads without decoding anything.
    Pack(DataPackArgs),
}

/// Which pictures, and how they are read.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// A data set's name, a folder of classes, a table (.csv, .jsonl), archives (.tar, .tar.gz, shard-{000..009}.tar), arrays (.npz, CIFAR's
    /// and MNIST's files), .parquet, or a file of `data pack`.
    pub source: String,
    /// The network that pictures are prepared for, and whose `train` says how they are split and changed [default: resnet18, of a data set
    /// with a name resnet20].
    #[arg(long, value_name = "SPEC")]
    pub spec: Option<String>,
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

/// `resnetc data inspect`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DataInspectArgs {
    /// Which pictures.
    #[command(flatten)]
    pub from: SourceArgs,
    /// Write a page of pictures as they are, as they are evaluated, and as they are changed in three epochs. It loads nothing.
    #[arg(long, value_name = "OUT.html")]
    pub html: Option<PathBuf>,
    /// Print what was found as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `resnetc data pack`
#[derive(Debug, Args)]
#[command(after_help = PACK_EXAMPLES)]
pub struct DataPackArgs {
    /// Which pictures.
    #[command(flatten)]
    pub from: SourceArgs,
    /// The file to write; it is there when it is whole.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Pixels of the shorter side of what is larger; smaller pictures stay as they are [default: all stay as they are].
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    pub size: Option<usize>,
}

const PACK_EXAMPLES: &str = "\
Examples:
  resnetc data pack pictures/ -o pictures.pack --size 256
  resnetc run resnet18 --train pictures.pack
  resnetc data pack shards-{000..009}.tar -o all.pack --set train.on_error=fail
The split is that of `train.split` and `train.seed` of the spec. Pictures that cannot be read are left out, and named.
Exit status: 0 all is packed, 1 nothing is, 130 after Ctrl-C; FILE is then as it was before.";

const EXAMPLES: &str = "\
Examples:
  resnetc data inspect pictures/
  resnetc data inspect pictures/ --html sheet.html --spec mine.yaml
  resnetc data inspect labels.csv --json --set train.split=0.1
Exit status: 0 nothing is wrong, 1 pictures are broken or stand in both splits, or nothing can be read.";
