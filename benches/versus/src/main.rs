//! Times `resnetc bench` in turn with other runtimes on the same work (A B A B), and prints the ratios as Markdown.
//!
//! The peers are run by a Python program that prints one line of JSON with `ms` for each: its path and its interpreter are
//! options. Nothing else may run meanwhile.

#![forbid(unsafe_code)]

mod args;
mod calm;
mod race;
mod rows;
mod run;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use args::{Args, say, tell};
use calm::Calm;
use rows::{ROWS, Row};

/// Times resnetc and its peers in turn; prints the table as Markdown, progress on standard error.
#[derive(Debug, Parser)]
#[command(name = "resnetc-versus")]
struct Options {
    /// The peers' program, `peers.py`.
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    peers: Option<PathBuf>,
    /// Interpreter that has the peers installed.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// The release build of resnetc.
    #[arg(long, value_name = "FILE", default_value = "target/release/resnetc")]
    resnetc: PathBuf,
    /// Rows of the table by name, separated by commas [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Peers by name, separated by commas: those known to be the fastest [default: all that do a row's work].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    against: Vec<String>,
    /// Args of each side.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Timed runs of each call [default: by row].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Threads of both sides [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Wait up to so many seconds for an idle machine before each call, and make calls again behind which it was none; 0 calls
    /// at once, and once.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u16,
    /// Print the rows' names and what they are.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        let lines: String = ROWS.iter().map(|row| format!("{:28} {}\n", row.name, row.title())).collect();
        return print(&lines);
    }
    let rows = match chosen(&options.only) {
        Ok(rows) => rows,
        Err(fault) => {
            tell(&fault);
            return ExitCode::from(2);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let args = Args {
        peers: options.peers.expect("an option that is required"),
        python: options.python,
        resnetc: options.resnetc,
        against: options.against,
        rounds: options.rounds,
        runs: options.runs,
        threads: options.threads.unwrap_or(u16::try_from(cores).unwrap_or(u16::MAX)),
    };
    let mut calm = Calm::new(args.threads, Duration::from_secs(options.patience.into()));
    let (mut outcomes, mut failed) = (Vec::new(), false);
    for row in rows {
        match race::race(&args, &mut calm, row) {
            Ok(outcome) => outcomes.push(outcome),
            Err(fault) => {
                say(row, &format!("failed: {fault}"));
                failed = true;
            }
        }
    }
    let printed = match outcomes.as_slice() {
        [] => ExitCode::SUCCESS,
        outcomes => print(&table::render(&args, &calm, outcomes)),
    };
    if failed { ExitCode::FAILURE } else { printed }
}

/// A result, to standard output; fails where it cannot be written.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tell(&format!("standard output: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// The rows named, all when none is.
fn chosen(names: &[String]) -> Result<Vec<&'static Row>, String> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| ROWS.iter().find(|row| row.name == name);
    names
        .iter()
        .map(|name| find(name).ok_or_else(|| format!("no row `{name}`; --list prints them")))
        .collect()
}
