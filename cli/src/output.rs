//! Where text goes. The only module that prints.
//!
//! Nothing here panics or ends a command for want of a reader: what a command found is its status, read or not.

use std::cell::Cell;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use resnetc::error::WIDTH;

use crate::args::{Color, Global};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::terminal;

/// Where and how a command talks.
#[derive(Debug, Clone)]
pub struct Output {
    quiet: bool,
    /// Whether diagnostics on standard error are coloured.
    pub color: bool,
    /// Whether standard error is a terminal that bars may be drawn on.
    pub bars: bool,
    /// Whether these may have more than ASCII in them.
    pub unicode: bool,
    /// Columns that diagnostics are wrapped at.
    pub width: usize,
    /// How results look.
    pub page: Page,
    /// Whether whoever read standard output has closed it.
    closed: Cell<bool>,
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Whether diagnostics on it are coloured.
    pub color: bool,
    /// Columns of the terminal that it is.
    pub columns: Option<usize>,
    terminal: bool,
}

impl Output {
    /// From the global options and the environment.
    pub fn new(global: &Global, environment: &Environment) -> Self {
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        let color = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && environment.colors(),
        };
        let columns = terminal::columns(std::io::stdout());
        Output {
            quiet: global.quiet,
            color: color(err),
            bars: err && !global.quiet && environment.draws(),
            unicode: environment.unicode(),
            width: terminal::columns(std::io::stderr()).unwrap_or(WIDTH),
            page: Page { color: color(out), columns, terminal: out },
            closed: Cell::new(false),
        }
    }

    /// The same, which prints results and errors only.
    pub fn quieted(&self) -> Self {
        Output { quiet: true, bars: false, ..self.clone() }
    }

    /// A result: to standard output, with `--quiet` too. Where nobody reads it any more it goes nowhere, which is no failure.
    pub fn result(&self, text: &str) -> Result {
        if self.closed.get() {
            return Ok(());
        }
        let shown = match self.page.terminal {
            true => terminal::safe(text, self.page.color),
            false => text.into(),
        };
        let mut out = std::io::stdout().lock();
        let written = out.write_all(shown.as_bytes()).and_then(|()| match shown.ends_with('\n') {
            true => out.flush(),
            false => out.write_all(b"\n").and_then(|()| out.flush()),
        });
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed.set(true);
                Ok(())
            }
            Err(error) => Err(Failure::Failed(format!("standard output: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Whether nobody reads standard output any more.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// A warning: to standard error unless `--quiet`.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.say(text.trim_end());
        }
    }

    /// What is wrong with one of several inputs, while the command goes on: to standard error, with `--quiet` too.
    pub fn error(&self, text: &str) {
        self.say(&format!("{} {text}", self.error_mark()));
    }

    /// Says on standard error why a command stopped; the process' exit code.
    pub fn failure(&self, failure: &Failure) -> ExitCode {
        match failure {
            Failure::Spec(faults) => {
                let texts: Vec<_> =
                    faults.iter().map(|faults| faults.render(self.color, self.width)).collect();
                self.say(texts.join("\n").trim_end());
                ExitCode::from(2)
            }
            Failure::Unreadable => ExitCode::from(2),
            Failure::Usage(text) => {
                self.say(&format!("{} {text}\n\nFor more information, try '--help'.", self.error_mark()));
                ExitCode::from(2)
            }
            Failure::Failed(text) => {
                self.say(&format!("{} {text}", self.error_mark()));
                ExitCode::FAILURE
            }
            Failure::Found => ExitCode::FAILURE,
            Failure::Signal(status) => ExitCode::from(*status),
        }
    }

    /// A remark on the way: to standard output unless `--quiet`.
    pub fn note(&self, text: &str) -> Result {
        if self.quiet { Ok(()) } else { self.result(text) }
    }

    /// As the argument parser writes it.
    fn error_mark(&self) -> &'static str {
        if self.color { "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m" } else { "error:" }
    }

    /// A line on standard error. Where it is closed or full there is nobody to tell so.
    fn say(&self, text: &str) {
        let line = terminal::safe(text, self.color).into_owned() + "\n";
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}
