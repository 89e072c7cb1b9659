//! Keys that have no effect beside what else the spec says: errors where nothing can be meant by them, else warnings. What a
//! base wrote is not complained of: the spec that extends it meant something else.

use std::sync::Arc;

use super::language::tree::Unit;
use super::resolved::ResolvedSpec;
use super::sections::layers::TRANSITION;
use super::sections::network::OUTPUTS;
use super::sections::norm::NORM;
use super::sections::preprocess::Fit;
use super::sections::shortcut::SHORTCUT;
use super::sections::stages::STAGES;
use super::sections::units::{STYLE, UNIT, UNITS, Units};
use super::used::Used;
use super::yaml::merge;
use super::yaml::node::{Kind, Node};
use super::yaml::read::Reader;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{SourceId, Span};

/// Notes all keys without effect.
pub(super) fn check(reader: &mut Reader<'_>, tree: &Node, units: &Units<'_>, spec: &ResolvedSpec) {
    let check = Check { tree, spec, used: Used::of(spec) };
    check.unit(reader);
    check.style(reader, units);
    check.transition(reader);
    check.shortcut(reader);
    check.norm(reader);
    check.init(reader);
    check.units(reader);
    check.without_head(reader);
    check.crops(reader);
}

struct Check<'t> {
    tree: &'t Node,
    spec: &'t ResolvedSpec,
    used: Used,
}

impl Check<'_> {
    /// The value of a key that the spec itself has, or an override.
    fn own(&self, reader: &Reader<'_>, path: &[&str]) -> Option<Span> {
        let node = path.iter().try_fold(self.tree, |node, key| node.get(key))?;
        self.is_own(reader, node.span.source).then_some(node.span)
    }

    fn is_own(&self, reader: &Reader<'_>, source: SourceId) -> bool {
        source == self.tree.span.source || merge::is_override(reader.sources, source)
    }

    /// Crops of pictures that `preprocess` leaves nothing to cut off.
    fn crops(&self, reader: &mut Reader<'_>) {
        let ResolvedSpec { train, preprocess, keys, .. } = self.spec;
        if !train.tta.crops() || preprocess.fit != Fit::Squash {
            return;
        }
        let span = keys.nearest("train.tta").unwrap_or(Span::NONE);
        let fault = Diagnostic::error("`tta` has nothing to crop", span, "crops of the resized picture");
        let fault = match keys.get("preprocess.crop") {
            Some(span) => fault.label(span, "pictures are squashed to the size of `input`"),
            None => {
                fault.label(self.spec.input.span, "with a side below 64, pictures are squashed to this size")
            }
        };
        let help = "write `preprocess: {crop: center, resize: ...}` with more pixels than `input` has, or `tta: flip`";
        reader.fault(fault.help(help));
    }

    fn called(&self) -> impl Iterator<Item = &Arc<Unit>> {
        self.spec.stages.iter().flat_map(|stage| &stage.units).map(|unit| &unit.unit)
    }

    /// A fault, unless an override changed what stands under the other keys, so that the spec itself may mean something.
    fn refuse(&self, reader: &mut Reader<'_>, idle: Diagnostic, span: Span, others: &[&str]) {
        let over = |node: &Node| any(node, &mut |part| merge::is_override(reader.sources, part.span.source));
        let changed = others.iter().filter_map(|key| self.tree.get(key)).any(over);
        if changed && !merge::is_override(reader.sources, span.source) {
            reader.warnings.push(Diagnostic { severity: Severity::Warning, ..idle });
        } else {
            reader.fault(idle);
        }
    }

    fn unit(&self, reader: &mut Reader<'_>) {
        let names_one = |group: &Node| group.get(UNIT.name).is_some();
        let each = |stage: &Node| match &stage.kind {
            Kind::List(groups) => groups.iter().all(names_one),
            Kind::Map(_) | Kind::Scalar { .. } => names_one(stage),
        };
        let Some(Node { kind: Kind::List(stages), .. }) = self.tree.get(STAGES.name) else { return };
        if let Some(span) = self.own(reader, &[UNIT.name]).filter(|_| stages.iter().all(each)) {
            let warning = Diagnostic::warning("`unit` has no effect", span, "each stage names its own");
            reader.warnings.push(warning.help("take it out"));
        }
    }

    fn style(&self, reader: &mut Reader<'_>, units: &Units<'_>) {
        // The default may be said anywhere.
        let Some(span) = self.own(reader, &[STYLE.name]).filter(|_| units.is_v1()) else { return };
        let message = "`style` has no effect";
        if !self.called().any(|unit| units.has_styles(unit)) {
            let idle = Diagnostic::error(message, span, "no unit here is the built-in `bottleneck`")
                .help("take `style` out: a unit of one's own says itself which layer has the stride");
            self.refuse(reader, idle, span, &[UNIT.name, UNITS.name, STAGES.name]);
            return;
        }
        let all = self.spec.stages.iter().flat_map(|stage| &stage.units);
        let mut strides =
            all.filter(|unit| units.has_styles(&unit.unit)).filter_map(|unit| unit.arg("stride"));
        if strides.all(|stride| stride == 1.0) {
            let warning = Diagnostic::warning(message, span, "no `bottleneck` here has a stride");
            reader.warnings.push(warning.help("take it out, or give a stage a `stride`"));
        }
    }

    fn transition(&self, reader: &mut Reader<'_>) {
        if self.spec.stages.len() > 1 {
            return;
        }
        if let Some(span) = self.own(reader, &[TRANSITION.name]) {
            let idle = Diagnostic::error("`transition` has no effect", span, "there is one stage")
                .help("a transition stands between two stages: take it out, or add a stage");
            self.refuse(reader, idle, span, &[STAGES.name]);
        }
    }

    fn shortcut(&self, reader: &mut Reader<'_>) {
        let Some(span) = self.own(reader, &[SHORTCUT.name]).filter(|_| !self.used.shortcut) else { return };
        let warning = Diagnostic::warning("`shortcut` has no effect", span, "no unit here has a `shortcut`");
        reader
            .warnings
            .push(warning.help("take the key out, or add `shortcut` in a unit: `main + shortcut`"));
    }

    fn norm(&self, reader: &mut Reader<'_>) {
        let Some(span) = self.own(reader, &[NORM.name]).filter(|_| !self.used.plain_norm) else { return };
        let warning = Diagnostic::warning("`norm` has no effect", span, "there is no `bn` without arguments");
        reader.warnings.push(warning.help("take the key out, or write `bn` where it is meant"));
    }

    fn init(&self, reader: &mut Reader<'_>) {
        for (key, used, what) in [
            ("conv", self.used.conv, "the network has no convolution"),
            ("linear", self.used.linear, "the network has neither a linear layer nor a bias"),
        ] {
            let Some(span) = self.own(reader, &["init", key]).filter(|_| !used) else { continue };
            let warning = Diagnostic::warning(format!("`init.{key}` has no effect"), span, what);
            reader.warnings.push(warning.help("take it out"));
        }
    }

    fn units(&self, reader: &mut Reader<'_>) {
        let Some(Node { kind: Kind::Map(entries), .. }) = self.tree.get(UNITS.name) else { return };
        let called = |span: Span| self.called().any(|unit| inside(unit.name.span, span));
        let unused = entries.iter().map(|entry| entry.span).filter(|&span| !called(span));
        let unused: Vec<Span> = unused.filter(|span| self.is_own(reader, span.source)).collect();
        for span in unused {
            let warning = Diagnostic::warning("a unit is never used", span, "no stage calls it");
            reader.warnings.push(warning.help("call it by `unit`, or take it out"));
        }
    }

    /// Of a network without a head, the last output is its end.
    fn without_head(&self, reader: &mut Reader<'_>) {
        if self.spec.head.layers.is_some() {
            return;
        }
        let lost: Vec<usize> =
            (1..=self.spec.stages.len()).filter(|&s| !self.spec.reaches_result(s)).collect();
        if let (Some(first), Some(node)) = (lost.first(), self.tree.get(OUTPUTS.name)) {
            let last = self.spec.stages.len();
            let stages =
                if *first == last { format!("stage{last}") } else { format!("stage{first} to stage{last}") };
            let warning =
                Diagnostic::warning(format!("no result depends on {stages}"), node.span, "the last result");
            reader
                .warnings
                .push(warning.label(self.spec.head.span, "no head").help("add an output, or leave them out"));
        }
        if let Some(span) =
            self.own(reader, &["train"]).filter(|span| span.source == self.spec.head.span.source)
        {
            let warning =
                Diagnostic::warning("`train` has no effect", span, "without a head nothing is trained");
            reader.warnings.push(warning.label(self.spec.head.span, "no head"));
        }
    }
}

/// Whether a value, or one in it, is wanted.
fn any(node: &Node, wanted: &mut dyn FnMut(&Node) -> bool) -> bool {
    wanted(node)
        || match &node.kind {
            Kind::Scalar { .. } => false,
            Kind::List(items) => items.iter().any(|item| any(item, wanted)),
            Kind::Map(entries) => entries.iter().any(|entry| any(&entry.value, wanted)),
        }
}

fn inside(inner: Span, outer: Span) -> bool {
    inner.source == outer.source && outer.start <= inner.start && inner.end <= outer.end
}
