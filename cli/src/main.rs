//! `resnetc`: a compiler and runtime for residual networks.
//!
//! The command line: arguments, progress, reports. The only crate that prints or exits.

#![forbid(unsafe_code)]

mod args;
mod chart;
mod cmd;
mod contest;
mod environment;
mod failure;
mod files;
mod markup;
mod output;
mod page;
mod picture;
mod progress;
mod ranks;
mod report;
mod runs;
mod signals;
mod sweep;
mod terminal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use args::{Cli, Color, Command};
use environment::Environment;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let environment = Environment::read();
    let cli = parse(std::env::args_os().collect(), &environment).unwrap_or_else(|error| error.exit());
    let output = Output::new(&cli.global, &environment);
    let done = ranks::admit(&cli.command, &environment)
        .and_then(|mine| if mine { obey(&cli.command, &environment, &output) } else { Ok(()) });
    done.map_or_else(|failure: Failure| output.failure(&failure), |()| ExitCode::SUCCESS)
}

/// Does the command.
fn obey(command: &Command, environment: &Environment, output: &Output) -> failure::Result {
    match command {
        Command::Build(args) => cmd::build::build(args, environment, output),
        Command::Run(args) => cmd::run::run(args, environment, output),
        Command::Runs(args) => cmd::runs::runs(args, output),
        Command::Reproduce(args) => cmd::reproduce::reproduce(args, environment, output),
        Command::Bench(args) => cmd::bench::bench(args, environment, output),
        Command::Tune(args) => cmd::tune::tune(args, environment, output),
        Command::Compile(args) => cmd::compile::compile(args, output),
        Command::Export(args) => cmd::export::export(args, environment, output),
        Command::Weights(args) => cmd::weights::weights(args, output),
        Command::Data(args) => cmd::survey::data(args, environment, output),
        Command::Import(args) => cmd::import::import(args, output),
        Command::Check(args) => cmd::check::check(args, output),
        Command::Verify(args) => cmd::verify::verify(args, environment, output),
        Command::Explain(args) => cmd::explain::explain(args, output),
        Command::Diff(args) => cmd::diff::diff(args, output),
        Command::Design(args) => cmd::design::design(args, environment, output),
        Command::Schedule(args) => cmd::schedule::schedule(args, output),
        Command::Lint(args) => cmd::lint::lint(args, output),
        Command::New(args) => cmd::new::new(args, output),
        Command::List(args) => cmd::list::list(args, output),
        Command::Devices(args) => cmd::devices::devices(args, environment, output),
        Command::Schema(args) if args.markdown => {
            output.result(&resnetc_compiler::spec::reference::markdown())
        }
        Command::Schema(_) => output.result(&resnetc_compiler::spec::schema::schema()),
    }
}

/// Reads the command line. What is wrong with it is coloured as it says itself, where it can be understood.
fn parse(args: Vec<OsString>, environment: &Environment) -> Result<Cli, clap::Error> {
    let choice = match args::color(&args).unwrap_or(Color::Auto) {
        Color::Always => ColorChoice::Always,
        Color::Auto if environment.colors() => ColorChoice::Auto,
        Color::Auto | Color::Never => ColorChoice::Never,
    };
    let matches = Cli::command().color(choice).try_get_matches_from(args)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command().color(choice)))
}
