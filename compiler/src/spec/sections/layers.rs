//! Layers after one another, outside of units: `stem`, `transition`, `head`.

use crate::source::{SourceId, Span, Text};
use crate::spec::builtin;
use crate::spec::language::tree::Call;
use crate::spec::language::{check, parse, variables};
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// Layers before the stages.
pub const STEM: Key =
    Key::required("stem", Shape::Language, "conv3x3(16) -> bn -> relu", "Layers before the first stage.");

/// Layers between stages.
pub const TRANSITION: Key =
    Key::new("transition", Shape::Language, "Layers between one stage and the next.").default_is("no layers");

/// Layers after the stages.
pub const HEAD: Key = Key::new(
    "head",
    Shape::Language,
    "Layers after the last stage, which give the logits, one for each class. `none` makes a feature extractor, whose results are feature maps.",
)
.default(builtin::HEAD);

/// What follows the stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Layers whose result is the logits; none for a feature extractor, whose results are those of stages.
    pub layers: Option<Vec<Call>>,
    /// Its text.
    pub span: Span,
}

/// Reads `stem`.
pub(crate) fn stem(reader: &mut Reader<'_>, spec: &Node) -> Option<Vec<Call>> {
    let node = reader.required(spec, &STEM)?;
    let text = reader.language(node, "`stem`")?;
    layers(reader, text)
}

/// Reads `transition`.
pub(crate) fn transition(reader: &mut Reader<'_>, spec: &Node) -> Option<Vec<Call>> {
    let Some(node) = spec.get("transition") else { return Some(Vec::new()) };
    let text = reader.language(node, "`transition`")?;
    layers(reader, text)
}

/// Reads `head`; `default` is the source of the built-in one. The inner `None` is `head: none`, the outer one a fault.
pub(crate) fn head(reader: &mut Reader<'_>, spec: &Node, default: SourceId) -> Option<Head> {
    let text = match spec.get("head") {
        Some(Node { kind: Kind::Scalar { text, .. }, span }) if text == "none" => {
            return Some(Head { layers: None, span: *span });
        }
        Some(node) => reader.language(node, "`head`")?,
        None => {
            let text = reader.sources.get(default).map_or("", |s| &s.text);
            let span = Span { source: default, start: 0, end: text.len() as u32 };
            Text { text, span }
        }
    };
    Some(Head { layers: Some(layers(reader, text)?), span: text.span })
}

fn layers(reader: &mut Reader<'_>, text: Text<'_>) -> Option<Vec<Call>> {
    let calls = reader.keep(parse::layers(text))?;
    let faults = check::layers(&calls, &variables::names(variables::LAYERS));
    reader.faults.extend(faults);
    Some(calls)
}
