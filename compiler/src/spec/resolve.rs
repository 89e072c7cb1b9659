//! Raw tree to [`ResolvedSpec`]: the last place where defaults exist. Everything is checked against everything, and
//! all faults are returned together.

use super::builtin::Texts;
use super::effect;
use super::limits::Limits;
use super::resolved::ResolvedSpec;
use super::sections::top::SPEC;
use super::sections::units::Units;
use super::sections::{expect, init, layers, network, norm, preprocess, shortcut, stages, sweep, train};
use super::yaml::compose::Document;
use super::yaml::keys::KeySpans;
use super::yaml::node::Node;
use super::yaml::read::Reader;
use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, Span, Spanned};

/// Reads a raw tree. The faults that reading its text found are told with the others.
pub(super) fn resolve(
    document: Document,
    builtin: Texts,
    limits: Limits,
    sources: &SourceMap,
) -> Result<ResolvedSpec, Vec<Diagnostic>> {
    let Document { node: tree, faults, spoilt } = &document;
    let mut reader = Reader::new(sources);
    reader.fields(tree, &SPEC);
    let units = Units::read(&mut reader, tree, builtin.units)?;
    let spec = read(&mut reader, tree, &units, builtin, limits);
    reader.faults.retain(|fault| fault.labels.first().is_none_or(|label| !lies_in(label.span, spoilt)));
    reader.faults.extend(faults.iter().cloned());
    match spec {
        Some(spec) if reader.faults.is_empty() => Ok(ResolvedSpec { warnings: reader.warnings, ..spec }),
        _ => Err(by_position(reader.faults)),
    }
}

fn lies_in(span: Span, spoilt: &[Span]) -> bool {
    spoilt.iter().any(|s| s.source == span.source && s.start <= span.start && span.end <= s.end)
}

/// Sorts faults by place, so that they read like the file; the same fault at one place is reported once.
fn by_position(mut faults: Vec<Diagnostic>) -> Vec<Diagnostic> {
    faults.sort_by_key(|d| d.labels.first().map(|l| (l.span.source, l.span.start)));
    faults.dedup();
    faults
}

/// Every section is read, whatever is wrong with the others.
fn read(
    reader: &mut Reader<'_>,
    tree: &Node,
    units: &Units<'_>,
    builtin: Texts,
    limits: Limits,
) -> Option<ResolvedSpec> {
    let name = network::name(reader, tree);
    let input = network::input(reader, tree);
    let classes = network::classes(reader, tree);
    let stem = layers::stem(reader, tree);
    let head = layers::head(reader, tree, builtin.head);
    let norm = norm::read(reader, tree);
    let shortcut = shortcut::read(reader, tree, &builtin.rules);
    let transition = layers::transition(reader, tree);
    let stages = stages::read(reader, tree, units, &limits, stem.as_deref(), shortcut.as_ref());
    let outputs = network::outputs(reader, tree, stages.as_ref().map(Vec::len));
    let init = tree.get("init").map(|node| init::read(reader, node)).unwrap_or_default();
    let known = classes.as_ref().map(|c| c.value);
    let expect = tree.get("expect").map(|node| expect::read(reader, node, known));
    let keys = KeySpans::of(tree);
    let train = train::read(reader, tree.get("train"), input.as_ref(), classes.as_ref());
    let preprocess = preprocess::read(reader, tree.get("preprocess"), input.as_ref(), &train, &keys);
    let sweep = tree.get("sweep").map(|node| sweep::read(reader, node));
    let (faults, warnings) = train::effect::check(&train, &keys, input.as_ref().map(|input| input.value));
    reader.warnings.extend(warnings);
    reader.faults.extend(faults);
    let (stages, head, mut outputs) = (stages?, head?, outputs?);
    if head.layers.is_none() && outputs.is_empty() {
        outputs.push(Spanned::new(stages.len(), head.span));
    }
    // Between one stage and no other stands nothing.
    let transition = if stages.len() > 1 { transition? } else { Vec::new() };
    let spec = ResolvedSpec {
        name: name?,
        input: input?,
        classes: classes?,
        stem: stem?,
        stages,
        norm: norm?,
        shortcut: shortcut?,
        transition,
        head,
        outputs,
        init,
        expect: expect.unwrap_or_default(),
        preprocess,
        train,
        sweep,
        limits,
        warnings: Vec::new(),
        keys,
    };
    effect::check(reader, tree, units, &spec);
    Some(spec)
}
