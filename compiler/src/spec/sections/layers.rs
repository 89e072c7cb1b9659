//! Layers after one another, outside of units: `stem`, `transition`, `head`.

use crate::source::{SourceId, Span, Text};
use crate::spec::language::tree::Call;
use crate::spec::language::{check, parse};
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// Layers before the stages.
pub const STEM: Key =
    Key::required("stem", Shape::Language, "Layers before the stages: `conv3x3(16) -> bn -> relu`.");

/// Layers between stages.
pub const TRANSITION: Key = Key::new("transition", Shape::Language, "Layers between one stage and the next.");

/// Layers after the stages.
pub const HEAD: Key = Key::new("head", Shape::Language, "Layers after the stages, or `none`.");

/// Numbers that stem, transitions and head may use: classes of the network, channels of what the section reads.
pub const LAYER_VARIABLES: [&str; 2] = ["classes", "channels"];

/// What follows the stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Layers whose result is the logits; none for a feature extractor, whose results are those of stages.
    pub layers: Option<Vec<Call>>,
    /// Its text.
    pub span: Span,
}

pub(crate) fn stem(reader: &mut Reader<'_>, spec: &Node) -> Option<Vec<Call>> {
    let node = reader.required(spec, "stem", "conv3x3(16) -> bn -> relu")?;
    let text = reader.language(node, "`stem`")?;
    layers(reader, text)
}

pub(crate) fn transition(reader: &mut Reader<'_>, spec: &Node) -> Option<Vec<Call>> {
    let Some(node) = spec.get("transition") else { return Some(Vec::new()) };
    let text = reader.language(node, "`transition`")?;
    layers(reader, text)
}

/// `none` is no head; the outer `None` a fault.
pub(crate) fn head(reader: &mut Reader<'_>, spec: &Node, builtin: SourceId) -> Option<Head> {
    let text = match spec.get("head") {
        Some(Node { kind: Kind::Scalar { text, .. }, span }) if text == "none" => {
            return Some(Head { layers: None, span: *span });
        }
        Some(node) => reader.language(node, "`head`")?,
        None => {
            let text = reader.sources.get(builtin).map_or("", |s| &s.text);
            let span = Span { source: builtin, start: 0, end: text.len() as u32 };
            Text { text, span }
        }
    };
    Some(Head { layers: Some(layers(reader, text)?), span: text.span })
}

fn layers(reader: &mut Reader<'_>, text: Text<'_>) -> Option<Vec<Call>> {
    let calls = reader.keep(parse::layers(text))?;
    let faults = check::layers(&calls, &LAYER_VARIABLES);
    reader.faults.extend(faults);
    Some(calls)
}
