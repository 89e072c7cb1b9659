//! What no override may change.

use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::source::{SourceMap, Span};

/// The key that names a spec's base. Bases are read before overrides are laid upon them.
const BASE: &str = "extends";

/// Refuses overrides that would have no effect.
pub(crate) fn check(set: &[String], sources: &mut SourceMap) -> Result<(), Vec<Diagnostic>> {
    let refused: Vec<Diagnostic> =
        set.iter().filter_map(|text| changes_base(text).map(|end| refusal(text, end, sources))).collect();
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

/// Bytes of the key, where it is the base's.
fn changes_base(text: &str) -> Option<usize> {
    let (path, _) = text.split_once('=')?;
    let key = path.split('.').next().unwrap_or(path);
    (key.trim() == BASE).then_some(key.len())
}

fn refusal(text: &str, end: usize, sources: &mut SourceMap) -> Diagnostic {
    let source = sources.add(format!("--set {text}"), text);
    let span = Span { source, start: 0, end: end as u32 };
    Diagnostic::error("`extends` cannot be set", span, "the base is read before it")
        .help("name that spec itself, or write a file that begins with `extends:`")
}
