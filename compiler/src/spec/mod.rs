//! The spec language: text to resolved spec.
//!
//! ```text
//! text -> raw tree (raw) -> with bases and overrides (merge) -> ResolvedSpec (resolve, train_section, check)
//! ```
//!
//! Values in the unit language are parsed by [`mod@unit`], their layers told by [`layer`], their numbers by [`number`].

pub mod builtin;
mod calls;
mod check;
pub mod emit;
mod expect;
pub mod init;
pub mod keys;
pub mod layer;
pub mod limits;
pub mod merge;
mod norm;
pub mod number;
pub mod place;
pub mod raw;
pub mod read;
pub mod resolve;
pub mod rules;
pub mod schema;
pub mod shape;
mod stages;
#[cfg(test)]
mod tests;
pub mod train;
mod train_section;
pub mod unit;

use crate::diagnostic::Diagnostic;
use crate::source::SourceMap;
use limits::Limits;

pub use resolve::ResolvedSpec;

/// What to load.
pub struct Request<'r> {
    /// The path, as people named it; bases of `extends` are looked for beside it.
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

/// Reads a spec with its bases and overrides. All texts are added to `sources`; on failure, all faults are returned.
pub fn load(request: &Request<'_>, sources: &mut SourceMap) -> Result<ResolvedSpec, Vec<Diagnostic>> {
    let tree = merge::tree(request, sources)?;
    let builtin = resolve::Builtin {
        units: sources.add(builtin::UNITS_NAME, builtin::UNITS),
        head: sources.add(builtin::HEAD_NAME, builtin::HEAD),
        rule: sources.add(builtin::RULE_NAME, builtin::RULE),
    };
    resolve::resolve(&tree, builtin, request.limits, sources)
}

/// Loads a compiled-in spec, for which no file is needed.
pub fn load_builtin(
    name: &str,
    overrides: &[String],
    limits: Limits,
    sources: &mut SourceMap,
) -> Option<Result<ResolvedSpec, Vec<Diagnostic>>> {
    let builtin::Shipped { file, text, .. } = builtin::spec(name)?;
    let none = |path: &str| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.to_string()));
    let name = format!("{}{file}", builtin::FOLDER);
    Some(load(&Request { name: &name, text, overrides, read: &none, limits }, sources))
}
