//! Where text goes. The only module that prints.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use resnetc::error::WIDTH;

use crate::args::{Color, Global};
use crate::environment::Environment;
use crate::failure::{Failure, Result};

/// Where and how a command talks.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    quiet: bool,
    /// Whether diagnostics are coloured.
    pub color: bool,
    /// Whether standard error is a terminal that bars may be drawn on.
    pub bars: bool,
}

impl Output {
    /// From the global options and the environment.
    pub fn new(global: &Global, environment: &Environment) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !environment.no_color(),
        };
        Output { quiet: global.quiet, color, bars: terminal && !global.quiet }
    }

    /// A result: to standard output, with `--quiet` too.
    pub fn result(&self, text: &str) -> Result {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| match text.ends_with('\n') {
            true => out.flush(),
            false => out.write_all(b"\n").and_then(|()| out.flush()),
        });
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Closed),
            Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// A warning: to standard error unless `--quiet`.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}", text.trim_end());
        }
    }

    /// What is wrong with one of several inputs, while the command goes on: to standard error, with `--quiet` too.
    pub fn error(&self, text: &str) {
        eprintln!("error: {text}");
    }

    /// Says on standard error why a command stopped; the process' exit code.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        match failure {
            Failure::Spec(faults) => {
                let texts: Vec<_> = faults.iter().map(|faults| faults.render(self.color, WIDTH)).collect();
                eprintln!("{}", texts.join("\n").trim_end());
                ExitCode::from(2)
            }
            Failure::Unreadable => ExitCode::from(2),
            Failure::Usage(text) => {
                eprintln!("error: {text}\n\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Failure::Failed(text) => {
                eprintln!("error: {text}");
                ExitCode::FAILURE
            }
            Failure::Found => ExitCode::FAILURE,
            Failure::Signal(status) => ExitCode::from(*status),
            Failure::Closed => ExitCode::SUCCESS,
        }
    }

    /// A remark on the way: to standard output unless `--quiet`.
    pub fn note(&self, text: &str) -> Result {
        if self.quiet { Ok(()) } else { self.result(text) }
    }
}
