//! What is said where something cannot be fetched.

use std::path::Path;

use resnetc_runtime::error::Error as RuntimeError;

use crate::error::Error;

/// Why something was not fetched, without its address, which is told anyway.
pub(super) fn reason(error: RuntimeError) -> String {
    match error {
        RuntimeError::Fetch { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// What was wanted, why it is not here, and how to go on by hand.
pub(super) fn failed(url: &str, reason: &str, file: &str, folder: &Path) -> Error {
    Error::Download(format!(
        "cannot fetch {url}: {reason}\nWhere there is no network: put that file as {file} into {} by hand, and run this again",
        folder.display()
    ))
}
