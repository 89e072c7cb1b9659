//! What to load.

use crate::spec::limits::Limits;

/// What to load.
pub struct Request<'r> {
    /// The path as it was given. Bases of `extends` are looked for beside it.
    pub name: &'r str,
    /// The spec.
    pub text: &'r str,
    /// `--set` arguments, `key.key=value`, applied in order.
    pub overrides: &'r [String],
    /// Reads a base file; the compiler itself touches no file.
    pub read: &'r dyn Fn(&str) -> std::io::Result<String>,
    /// How large it may be.
    pub limits: Limits,
}
