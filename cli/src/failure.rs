//! How a command ends when it does not succeed: what is said, and the exit code.

use std::process::ExitCode;

/// Result of a command.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// The spec is wrong; rendered diagnostics. Exit code 2.
    Spec(String),
    /// The command was used wrongly. Exit code 2.
    Usage(String),
    /// The work itself failed. Exit code 1.
    Failed(String),
    /// What was looked for is there, and told: networks differ, warnings. Exit code 1.
    Found,
    /// Whoever read standard output has closed it: nothing left to say. Exit code 0.
    Closed,
}

impl Failure {
    /// The work failed with that error.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Failure::Failed(error.to_string())
    }

    /// Says on standard error what went wrong; the process' exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::Spec(text) => {
                eprintln!("{}", text.trim_end());
                ExitCode::from(2)
            }
            Failure::Usage(text) => {
                eprintln!("error: {text}\n\nFor more information, try '--help'.");
                ExitCode::from(2)
            }
            Failure::Failed(text) => {
                eprintln!("error: {text}");
                ExitCode::FAILURE
            }
            Failure::Found => ExitCode::FAILURE,
            Failure::Closed => ExitCode::SUCCESS,
        }
    }
}

/// What is said.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Spec(text) | Failure::Usage(text) | Failure::Failed(text) => {
                f.write_str(text.trim_end())
            }
            Failure::Found | Failure::Closed => Ok(()),
        }
    }
}

impl From<resnetc_runtime::error::Error> for Failure {
    fn from(error: resnetc_runtime::error::Error) -> Self {
        Failure::failed(error)
    }
}
