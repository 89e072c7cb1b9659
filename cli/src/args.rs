//! The command line, as clap types. No meaning here: commands read these, nothing writes them.

mod build;
mod compile;
mod data;
mod design;
mod device;
mod export;
mod import;
mod measure;
mod overrides;
mod pictures;
mod reproduce;
mod runs;
mod schedule;
mod sweep;
mod tensors;
mod tools;
mod weights;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use resnetc_compiler::datasets;
use resnetc_runtime::ranks::Carrier;

pub use build::{BuildArgs, Emit};
pub use compile::CompileArgs;
pub use data::{DataAction, DataCommand, DataInspectArgs, DataPackArgs, SourceArgs};
pub use design::{DesignArgs, Metric};
pub use device::DeviceArg;
pub use export::ExportArgs;
pub use import::ImportArgs;
pub use measure::{BenchArgs, TuneArgs, WorkloadArgs};
pub use overrides::Overrides;
pub use pictures::{PictureArgs, TtaArg};
pub use reproduce::ReproduceArgs;
pub use runs::{CompareArgs, RunsAction, RunsCommand, SortArg};
pub use schedule::{RateArgs, ScheduleArgs};
pub use sweep::SweepArgs;
pub use tensors::TensorArgs;
pub use tools::{DevicesArgs, DiffArgs, ExplainArgs, LintArgs, ListArgs, NewArgs, SchemaArgs, VerifyArgs};

pub use weights::{ConvertArgs, InspectArgs, WeightsAction, WeightsArgs, WeightsCommand, WeightsDiffArgs};

use overrides::{batch_size, carrier, positive, seed, threads};

/// A compiler and runtime for residual networks.
#[derive(Debug, Parser)]
#[command(name = "resnetc", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

const EXAMPLES: &str = "\
Examples:
  resnetc build specs/resnet50.yaml          compile, print the table of units
  resnetc run --train shapes10               train ResNet-20 on the embedded data set
  resnetc check specs/*.yaml                 find all mistakes of specs

A SPEC is a file, `-` for standard input, or the name of a compiled-in network, such as resnet20.
Exit status: 0 done, 1 failed, 2 wrong usage or a wrong spec; a training that a signal
ends saves first, then exits with 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP).";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a spec; print what it became.
    Build(BuildArgs),
    /// Train, evaluate or just run a network.
    Run(Box<RunArgs>),
    /// List trainings, and compare them.
    Runs(RunsCommand),
    /// Train a published table's networks again; set the errors beside the published ones.
    Reproduce(Box<ReproduceArgs>),
    /// Time a network, kernel by kernel.
    Bench(BenchArgs),
    /// Measure which algorithms are the fastest here, and keep that for later runs.
    Tune(TuneArgs),
    /// Make cuDNN's plans for a GPU ahead of time, without the GPU.
    Compile(CompileArgs),
    /// Write a network with its weights for other programs: ONNX, PyTorch.
    Export(ExportArgs),
    /// Look at files of weights, convert and compare them.
    Weights(WeightsCommand),
    /// Look at data sets and people's own pictures.
    Data(DataCommand),
    /// Write a spec from a network of another program: ONNX, Darknet, Caffe.
    Import(ImportArgs),
    /// Report all mistakes of specs; print nothing else.
    Check(CheckArgs),
    /// Compile every spec of a folder; check what each expects of itself.
    Verify(VerifyArgs),
    /// Say what became of a node: its text, passes, kernel, cost and buffers.
    Explain(ExplainArgs),
    /// Tell how two networks differ.
    Diff(DiffArgs),
    /// Warn of what publications advise against.
    Lint(LintArgs),
    /// Find variants of a network that are worth their time on this machine.
    Design(Box<DesignArgs>),
    /// Draw the learning rate over a training.
    Schedule(ScheduleArgs),
    /// Write a commented spec to begin with.
    New(NewArgs),
    /// List the compiled-in networks, or the data sets.
    List(ListArgs),
    /// List what networks can run on here: the CPU, and GPUs or why there are none.
    Devices(DevicesArgs),
    /// Print the JSON schema of specs, for editors.
    Schema(SchemaArgs),
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Print results and errors only.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub quiet: bool,
    /// When to colour diagnostics; NO_COLOR in the environment counts as never unless `always` is given.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    #[arg(help_heading = "Output")]
    pub color: Color,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// At a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `--color` says, of a command line that may be wrong otherwise.
pub fn color(args: &[OsString]) -> Option<Color> {
    let mut words =
        args.iter().map_while(|arg| arg.to_str().map_or(Some(""), |arg| (arg != "--").then_some(arg)));
    words.find(|word| word.starts_with("--color")).and_then(|word| match word.strip_prefix("--color=") {
        Some(value) => Color::from_str(value, false).ok(),
        None => words.next().and_then(|value| Color::from_str(value, false).ok()),
    })
}

/// `resnetc run`
#[derive(Debug, Default, Args)]
#[command(after_help = RUN_EXAMPLES)]
#[command(group(ArgGroup::new("asked").args(["eval", "predict"])))]
#[command(group(ArgGroup::new("shown").args(["eval", "predict", "train"])))]
#[command(group(ArgGroup::new("trained").args(["weights", "checkpoint"])))]
pub struct RunArgs {
    /// A spec file, `-` for standard input, or the name of a compiled-in network [default with --train: the data set's].
    #[arg(required_unless_present = "train")]
    pub spec: Option<String>,

    /// The data set to train on; `None` where the spec's is wanted.
    #[arg(long, value_name = "DATASET", num_args = 0..=1, help = train_help(), help_heading = "What to do")]
    pub train: Option<Option<String>>,
    /// Count right answers on a data set's test images; DATASET as of --train.
    #[arg(long, value_name = "DATASET", conflicts_with = "train", requires = "trained")]
    #[arg(help_heading = "What to do")]
    pub eval: Option<String>,

    /// Epochs to train.
    #[arg(long, value_name = "N", requires = "train", value_parser = positive, allow_negative_numbers = true)]
    #[arg(help_heading = "Training")]
    pub epochs: Option<usize>,
    /// Images per step; `auto` takes as many as the free memory has room for.
    #[arg(long, value_name = "N|auto", requires = "train", value_parser = batch_size, allow_negative_numbers = true)]
    #[arg(help_heading = "Training")]
    pub batch_size: Option<String>,
    /// Most memory of a step, as `4GiB`: where its plan takes more, the backward pass computes feature maps again.
    #[arg(long, value_name = "SIZE", requires = "train", help_heading = "Training")]
    pub memory_limit: Option<String>,
    /// Learning rate before the schedule.
    #[arg(
        long,
        value_name = "RATE",
        requires = "train",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub lr: Option<f32>,
    /// The range test of learning rates.
    #[command(flatten)]
    pub rate: RateArgs,
    /// Where checkpoints, log and the other records of the run go [default: out/NETWORK-DATASET].
    #[arg(long, value_name = "DIR", requires = "train", help_heading = "Training")]
    pub out: Option<PathBuf>,
    /// Go on where the training in the output folder stopped.
    #[arg(long, requires = "train", help_heading = "Training")]
    pub resume: bool,
    /// What moves bytes between ranks that MPI started (mpirun, srun): mpi, tcp, or auto, which takes TCP between hosts without InfiniBand or the like.
    #[arg(long, value_name = "auto|mpi|tcp", requires = "train", default_value = "auto", value_parser = carrier)]
    #[arg(hide_default_value = true, help_heading = "Training")]
    pub ranks_by: Carrier,
    /// Choose the GPU's engines anew, not those that the checkpoint pins: on another GPU, or with another cuDNN.
    #[arg(long, requires = "resume", help_heading = "Training")]
    pub new_engines: bool,
    /// Replace the training in the output folder.
    #[arg(long, requires = "train", conflicts_with = "resume", help_heading = "Training")]
    pub overwrite: bool,
    /// Many trainings that differ in some settings.
    #[command(flatten)]
    pub sweeps: SweepArgs,

    /// Weights to evaluate: the same as --weights.
    #[arg(long, value_name = "FILE", requires = "eval", help_heading = "Evaluation")]
    pub checkpoint: Option<PathBuf>,
    /// Views of each picture whose mean answer counts: short for `--set train.tta=...`.
    #[arg(long, value_name = "VIEWS", requires = "shown", help_heading = "Evaluation")]
    pub tta: Option<TtaArg>,
    /// Write the answer to each test image as CSV: its path or number, its class, the class predicted and its probability.
    #[arg(long, value_name = "FILE.csv", requires = "eval", help_heading = "Evaluation")]
    pub predictions: Option<PathBuf>,
    /// Print the counts and metrics as one JSON object, or the answer to each picture as one on a line.
    #[arg(long, requires = "asked", help_heading = "Evaluation")]
    pub json: bool,

    /// Classifying pictures.
    #[command(flatten)]
    pub pictures: PictureArgs,

    /// Tensors in and out.
    #[command(flatten)]
    pub tensors: TensorArgs,

    /// Weights to evaluate or classify with, or to begin a training with.
    #[command(flatten)]
    pub weights: WeightsArgs,

    /// Images per run [default: 1, evaluating 100, of tensors 16, of pictures 8]; with --train the same as --batch-size, as other
    /// commands have it.
    #[arg(long, value_name = "N", conflicts_with = "batch_size", value_parser = positive, allow_negative_numbers = true)]
    #[arg(help_heading = "Running")]
    pub batch: Option<usize>,
    /// Turn the logits into probabilities.
    #[arg(long, conflicts_with_all = ["train", "eval", "predict"], help_heading = "Running")]
    pub softmax: bool,
    /// Seed of weights, order and augmentation; without data, of the random image too.
    #[arg(long, value_name = "SEED", value_parser = seed, allow_negative_numbers = true, help_heading = "Running")]
    pub seed: Option<u64>,
    /// Threads of the CPU kernels [default: all cores].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, help_heading = "Running")]
    pub threads: Option<usize>,
    /// Threads that prepare images for training and evaluation [default: one for four of the kernels' threads,
    /// for a GPU all cores but one].
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, help_heading = "Running")]
    pub workers: Option<usize>,
    /// What to run on: auto, cpu, reference, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", long_help = device::HELP, help_heading = "Running")]
    pub device: DeviceArg,
    /// Folder with data sets [default: $RESNETC_DATA, else downloaded once into a cache].
    #[arg(long, value_name = "DIR", help_heading = "Running")]
    pub data_dir: Option<PathBuf>,
    /// Changes of the spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

fn train_help() -> String {
    let (names, default) = (datasets::NAMES.join(", "), datasets::DEFAULT.name);
    format!(
        "Train on a data set: {names}, or a path of pictures, as DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg, or DIR/CLASS/*.jpg, of arrays (.npz, MNIST's or CIFAR's files), .parquet, or of `data pack` [default: the spec's, else {default}]"
    )
}

const RUN_EXAMPLES: &str = "\
Examples:
  resnetc run --train shapes10                       ResNet-20 on the embedded data set
  resnetc run --train cifar10 --data-dir data        ResNet-20 on CIFAR-10
  resnetc run resnet50 --train cifar10 --epochs 3 --set train.schedule=cosine
  resnetc run resnet20 --train cifar10 --find-lr     which learning rates to try
  resnetc run resnet18 --train pictures/             folders of classes
  mpirun -n 4 resnetc run resnet18 --train pictures/ four processes, one training
  resnetc run --train shapes10 --resume              go on after Ctrl-C
  resnetc run resnet20 --train cifar10 --sweep lr=0.05,0.1,0.2 --sweep seed=0..4
  resnetc run resnet20 --eval shapes10 --checkpoint out/resnet20-shapes10/best.safetensors
  resnetc run resnet18 --eval pictures/ --weights best.safetensors --predictions answers.csv
  resnetc run resnet18 --softmax                     a random image through fresh weights
  resnetc run resnet50 --weights w.safetensors --input x.npy --output y.npy
  resnetc run resnet50 --input x.npy --output y.safetensors --emit-activations stem.relu1,stage4.unit2.relu3
  resnetc run resnet50 --train cifar10 --weights resnet50-0676ba61.pth --head new
  resnetc run resnet20 --eval cifar10 --weights resnet20-12fca82f.th
  resnetc run resnet50 --weights w.safetensors --predict photos/ --top 3";

/// `resnetc check`
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// Spec files, `-` for standard input, or names of compiled-in networks.
    #[arg(required = true, value_name = "SPEC")]
    pub specs: Vec<PathBuf>,
    /// Changes of each spec.
    #[command(flatten)]
    pub overrides: Overrides,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  resnetc check specs/*.yaml
  resnetc check my.yaml --set stages.0.depth=4
  generate-spec | resnetc check -
Goes on after a spec that is wrong or cannot be read.
Exit status: 0 all are right, 2 one is wrong or cannot be read.";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Color, Command};

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_colour_of_a_wrong_command_line_is_found() {
        let named = |args: &[&str]| super::color(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(named(&["resnetc", "biuld", "--color", "always"]), Some(Color::Always));
        assert_eq!(named(&["resnetc", "--color=never", "--wrong"]), Some(Color::Never));
        assert_eq!(named(&["resnetc", "build", "--", "--color=never"]), None);
        assert_eq!(named(&["resnetc", "--color"]), None);
        assert_eq!(named(&["resnetc", "--color", "blue"]), None);
    }

    #[test]
    fn train_takes_a_data_set_or_none() {
        let train = |args: &[&str]| match Cli::try_parse_from(args).expect("valid").command {
            Command::Run(run) => run.train,
            other => panic!("{other:?}"),
        };
        assert_eq!(train(&["resnetc", "run", "--train"]), Some(None));
        assert_eq!(train(&["resnetc", "run", "--train", "cifar10"]), Some(Some("cifar10".into())));
        assert_eq!(train(&["resnetc", "run", "resnet18"]), None);
    }
}
