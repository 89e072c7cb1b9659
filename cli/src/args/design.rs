//! Arguments of `resnetc design`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use resnetc_compiler::spec::sweep::Axis;

use super::device::{self, DeviceArg};
use super::measure::WorkloadArgs;
use super::overrides::positive;
use super::sweep::axis;

/// `resnetc design`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DesignArgs {
    /// What runs.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// What varies. KEY as for --set, where `*` stands for each stage by itself, as stages.*.depth=1..4; or `width`, the factor of
    /// all stages' filters, as width=0.5..2, which goes in steps of a quarter; ranges of whole numbers go in ones. May be given several times.
    #[arg(long, value_name = "KEY=VALUES", action = ArgAction::Append, value_parser = axis, required = true)]
    pub over: Vec<Axis>,
    /// Longest run, as 5ms: slower variants are no answer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub budget: Option<Duration>,
    /// What is to be had for the time.
    #[arg(long, value_enum, value_name = "WHAT", default_value = "macs")]
    pub metric: Metric,
    /// Most variants that are measured; the cost model chooses them.
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, default_value_t = 24)]
    pub measure: usize,
    /// What to run on: auto, cpu, reference, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", long_help = device::HELP)]
    pub device: DeviceArg,
    /// Write the front's specs into this folder.
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write a picture: what was measured, and the front.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print all that was measured as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What a variant has more of than a faster one on the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// Trained parameters: most of them.
    Params,
    /// Multiply-accumulates of an image: most of them.
    Macs,
    /// Bytes of the plan: the fewest.
    Memory,
}

const EXAMPLES: &str = "\
Examples:
  resnetc design resnet20 --over stages.*.depth=1..4 --budget 2ms
  resnetc design resnet20 --over stages.*.depth=1..4 --over width=0.5..2 --train --batch 128 --budget 60ms
  resnetc design resnet50 --over unit=bottleneck,'bottleneck(groups=32, base_width=4)' --over width=0.5,0.75,1
  resnetc design resnet20 --over width=0.5..2 --budget 5ms -o variants/ --svg front.svg
All variants are compiled; a cost model, scaled by the spec's own time, says which may be on the front; these are measured.";

/// `5ms`, `1.5s`, `800us`
fn time(text: &str) -> Result<Duration, String> {
    let form = || "a time with its unit is needed, as 5ms, 1.5s or 800us".to_owned();
    let (number, unit) =
        text.trim().split_at(text.trim().find(|c: char| c.is_ascii_alphabetic()).ok_or_else(form)?);
    let number: f64 = number.trim().parse().map_err(|_| form())?;
    let seconds = match unit {
        "s" => number,
        "ms" => number * 1e-3,
        "us" => number * 1e-6,
        _ => return Err(form()),
    };
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or_else(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(time("1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("800us"), Ok(Duration::from_micros(800)));
        for wrong in ["5", "ms", "-5ms", "5m", "0ms", "nans", "1e400s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
