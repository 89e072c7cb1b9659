//! The `norm:` key: what `bn` without arguments stands for, everywhere in the network.

use crate::diagnostic::Diagnostic;
use crate::ir::op::Norm;
use crate::source::{Span, Text};
use crate::spec::language::layer::{self, Layer};
use crate::spec::language::{check, number, parse};
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// What `bn` stands for.
pub const NORM: Key = Key::new(
    "norm",
    Shape::Language,
    "The normalisation that `bn` without arguments stands for, everywhere in the network: `group_norm(groups=32)`.",
)
.default("bn");

/// Reads the key: one normalisation, its arguments numbers.
pub(crate) fn read(reader: &mut Reader<'_>, spec: &Node) -> Option<Norm> {
    let (text, span) = match spec.get(NORM.name) {
        Some(node) => (reader.language(node, "`norm`")?, node.span),
        None => (Text { text: NORM.default.text(), span: Span::NONE }, Span::NONE),
    };
    if matches!(text.text.trim(), "none" | "identity") {
        let fault = Diagnostic::error("`norm` must be a normalisation", span, "none");
        reader.fault(fault.help("a network without normalisations has no `bn` in its `stem` and units"));
        return None;
    }
    let calls = reader.keep(parse::layers(text))?;
    let faults = check::layers(&calls, &[]);
    if !faults.is_empty() {
        reader.faults.extend(faults);
        return None;
    }
    if let [call] = calls.as_slice() {
        let bound = layer::bind(call).expect("the checker bound this call");
        let layer = bound.resolve(&mut |expr| number::eval(expr, &|_| None));
        if let Layer::Norm(norm) = reader.keep(layer)? {
            return Some(norm);
        }
    }
    let fault = Diagnostic::error("`norm` must be a normalisation", span, "not one normalisation");
    reader.fault(fault.help("write `bn(eps=1e-5, momentum=0.1)` or `group_norm(groups=32)`"));
    None
}
