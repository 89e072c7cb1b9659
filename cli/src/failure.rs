//! How a command ends when it does not succeed.

use resnetc::{Error, Faults};

/// Result of a command.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// Specs are wrong, each with its mistakes. Exit code 2.
    Spec(Vec<Faults>),
    /// Specs could not be read, which was told at each. Exit code 2.
    Unreadable,
    /// The command was used wrongly. Exit code 2.
    Usage(String),
    /// The work itself failed. Exit code 1.
    Failed(String),
    /// What was looked for is there, and told: networks differ, warnings, inputs that cannot be read while others can. Exit code 1.
    Found,
    /// A signal asked for an end, and what was done is saved or told. The exit code says which: 128 and its number.
    Signal(u8),
}

impl Failure {
    /// The work failed with that error.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Failure::Failed(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Spec(faults) => Failure::Spec(vec![faults]),
            Error::UnknownSpec { .. } => {
                Failure::Usage(format!("{error}; `resnetc list` shows all networks"))
            }
            Error::UnknownTable { .. } => {
                Failure::Usage(format!("{error}; `resnetc reproduce` lists all tables"))
            }
            Error::NotKept(_) => Failure::Usage(error.to_string()),
            Error::Tensors { .. }
            | Error::Onnx(_)
            | Error::Hub(_)
            | Error::TooLittleMemory { .. }
            | Error::Teacher { .. } => Failure::failed(error),
            Error::UnreadableSpec { .. } | Error::NotPublished(_) => Failure::Usage(error.to_string()),
            Error::Download(text) => Failure::Failed(text),
            Error::Weights(error @ resnetc_weights::Error::UnknownDialect { .. }) => {
                Failure::Usage(error.to_string())
            }
            Error::Weights(error) => Failure::failed(error),
            Error::Runtime(error) => Failure::failed(error),
        }
    }
}

impl From<resnetc_runtime::error::Error> for Failure {
    fn from(error: resnetc_runtime::error::Error) -> Self {
        Failure::failed(error)
    }
}
