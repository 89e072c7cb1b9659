//! What several commands take: changes of the spec, how large it may be, numbers of at least one.

use clap::{ArgAction, Args, ValueEnum};
use resnetc_compiler::spec::limits::Limits;
use resnetc_runtime::cpu::threads::MOST_THREADS;
use resnetc_runtime::ranks::Carrier;

/// Changes of a spec from the command line.
#[derive(Debug, Clone, Default, Args)]
pub struct Overrides {
    /// Set a value of the spec: `--set train.epochs=3`. May be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// What convolutions and linear layers multiply in, training or not: short for `--set train.precision=...`. Sums, statistics and
    /// weights are f32 always.
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<Precision>,
    /// How large it may be.
    #[command(flatten)]
    pub bounds: Bounds,
}

/// What is multiplied.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Precision {
    /// Single precision.
    F32,
    /// bfloat16: half the bits, the same range.
    Bf16,
    /// IEEE half precision: half the bits, for GPUs; training scales the loss.
    Fp16,
}

impl Overrides {
    /// All changes as `KEY=VALUE`: `--dtype`, then what `--set` says.
    pub fn sets(&self) -> Vec<String> {
        let precision = self.dtype.map(|precision| match precision {
            Precision::F32 => "train.precision=f32".to_owned(),
            Precision::Bf16 => "train.precision=bf16".to_owned(),
            Precision::Fp16 => "train.precision=fp16".to_owned(),
        });
        precision.into_iter().chain(self.set.iter().cloned()).collect()
    }
}

/// How large a spec and its network may be.
#[derive(Debug, Clone, Default, Args)]
pub struct Bounds {
    #[arg(long = "limit", value_name = "NAME=VALUE", action = ArgAction::Append, value_parser = limit)]
    #[arg(help = limit_help())]
    limit: Vec<String>,
}

impl Bounds {
    /// The default limits with those of the command line.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for text in &self.limit {
            limits.set(text).expect("the parser has tried it");
        }
        limits
    }
}

fn limit_help() -> String {
    let names: Vec<_> = Limits::names().collect();
    format!("Raise a limit of what a spec may ask for: {}. May be given several times", names.join(", "))
}

fn limit(text: &str) -> Result<String, String> {
    Limits::default().set(text).map(|()| text.to_owned())
}

/// A whole number.
pub fn whole(text: &str) -> Result<usize, String> {
    number(text, 0, usize::MAX as u64).map(|n| n as usize)
}

/// A number of at least 1.
pub fn positive(text: &str) -> Result<usize, String> {
    number(text, 1, usize::MAX as u64).map(|n| n as usize)
}

/// A number of images, or `auto`.
pub fn batch_size(text: &str) -> Result<String, String> {
    if text == "auto" { Ok(text.to_owned()) } else { positive(text).map(|n| n.to_string()) }
}

/// What moves bytes between ranks.
pub fn carrier(text: &str) -> Result<Carrier, String> {
    match text {
        "auto" => Ok(Carrier::Auto),
        "mpi" => Ok(Carrier::Mpi),
        "tcp" => Ok(Carrier::Tcp),
        _ => Err("auto, mpi or tcp is needed".to_owned()),
    }
}

/// How many threads.
pub fn threads(text: &str) -> Result<usize, String> {
    number(text, 1, MOST_THREADS as u64).map(|n| n as usize)
}

/// A seed.
pub fn seed(text: &str) -> Result<u64, String> {
    number(text, 0, u64::MAX)
}

/// A whole number within bounds; the reason says them.
pub fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let reason = || match most {
        most if most == usize::MAX as u64 => format!("a whole number from {least} on is needed"),
        most => format!("a whole number from {least} to {most} is needed"),
    };
    text.parse().ok().filter(|n| (least..=most).contains(n)).ok_or_else(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_bounds_are_told_them() {
        assert_eq!((positive("3"), whole("0"), seed("0")), (Ok(3), Ok(0), Ok(0)));
        assert_eq!(threads("1024"), Ok(1024));
        for wrong in ["0", "-1", "1.5", "many", "", "99999999999999999999999"] {
            assert_eq!(positive(wrong), Err("a whole number from 1 on is needed".into()), "{wrong}");
        }
        for wrong in ["0", "1025", "1000000000"] {
            assert_eq!(threads(wrong), Err("a whole number from 1 to 1024 is needed".into()), "{wrong}");
        }
        assert!(seed("-1").is_err_and(|reason| reason.contains("from 0")));
    }
}
