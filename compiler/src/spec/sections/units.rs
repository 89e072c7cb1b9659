//! Units by name, `units`, and calls of them, `unit: bottleneck(groups=32)`: which unit is meant, and with which arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::{listed, suggest};
use crate::source::{SourceId, SourceMap, Span, Text};
use crate::spec::foreign;
use crate::spec::language::tree::{Arg, Call, Expr, Param, Unit};
use crate::spec::language::{check, parse};
use crate::spec::limits::Limits;
use crate::spec::yaml::compose;
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// Units of one's own.
pub const UNITS: Key = Key::new(
    "units",
    Shape::Units,
    "Units of the spec's own, by their signatures: `mine(f, stride, ratio=16)`.",
);

/// What stages are made of where they do not say.
pub const UNIT: Key = Key::new(
    "unit",
    Shape::Language,
    "The unit of all stages that name none: a built-in one or one of `units`, with arguments where it takes some.",
)
.default_is("needed where a stage names no unit");

/// Which bottleneck is meant.
pub const STYLE: Key = Key::new(
    "style",
    Shape::Word(&["v1", "v1.5"]),
    "Which convolution of a `bottleneck` has the stride: the first 1x1 (`v1`, the paper's) or the 3x3 (`v1.5`).",
)
.default("v1.5");

/// The built-in unit that `bottleneck` means in style `v1`.
const V1: &str = "bottleneck_v1";

/// Parameters whose values come from the stage; keys of a stage and the names that units give them.
pub const STAGE_GIVEN: [(&str, &str); 3] = [("filters", "f"), ("stride", "stride"), ("dilation", "dilation")];

/// A unit with the formulas of its parameters.
#[derive(Clone)]
pub(super) struct UnitCall {
    /// What is called.
    pub(super) unit: Arc<Unit>,
    /// One for each parameter: given, or its default; none for what the stage gives.
    pub(super) values: Vec<Option<Expr>>,
}

impl UnitCall {
    /// Whether the unit has a parameter of that name.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.unit.params.iter().any(|p| p.name.text == name)
    }
}

/// The units that a spec may call: the built-in ones, shadowed by its own.
pub(crate) struct Units<'t> {
    known: BTreeMap<String, Arc<Unit>>,
    /// What the spec wrote under `units`.
    own: Option<&'t Node>,
    /// Whether the paper's bottleneck is meant by `bottleneck`.
    v1: bool,
}

impl<'t> Units<'t> {
    /// The built-in units, whose text is `builtin`, and those of the spec.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        spec: &'t Node,
        builtin: SourceId,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut known = BTreeMap::new();
        let text = compose::parse(reader.sources, builtin, 0, &Limits::default())?;
        read(reader, &text.node, true, &mut known);
        let own = spec.get(UNITS.name);
        if let Some(own) = own {
            read(reader, own, false, &mut known);
        }
        Ok(Units { known, own, v1: style(reader, spec) })
    }

    /// Whether the spec has the style `v1`.
    pub(crate) fn is_v1(&self) -> bool {
        self.v1
    }

    /// Whether a unit is the built-in `bottleneck`, whichever `style` it has.
    pub(crate) fn has_styles(&self, unit: &Unit) -> bool {
        let meant = if self.v1 { V1 } else { "bottleneck" };
        unit.builtin && unit.name.text == meant
    }

    /// The unit that a text calls.
    pub(super) fn call(&self, reader: &mut Reader<'_>, node: &Node) -> Option<UnitCall> {
        let text = reader.language(node, "`unit`")?;
        let calls = reader.keep(parse::layers(text))?;
        if let Some(second) = calls.get(1) {
            let fault = Diagnostic::error("`unit` is the name of one unit", second.span, "one too many");
            reader.fault(fault.help("bind a longer pipeline under `units:` and name it here"));
            return None;
        }
        let call = calls.into_iter().next()?;
        let unit = self.find(reader, &call)?;
        let values = bind(reader, &unit, &call)?;
        Some(UnitCall { unit, values })
    }

    fn find(&self, reader: &mut Reader<'_>, call: &Call) -> Option<Arc<Unit>> {
        let name = call.name.text.as_str();
        let shadowed = self.known.get("bottleneck").is_some_and(|u| !u.builtin);
        let wanted = if self.v1 && name == "bottleneck" && !shadowed { V1 } else { name };
        let unit = self.known.get(wanted).cloned();
        // A unit with a fault in its own text is known all the same.
        let faulty = self.own.is_some_and(|u| match &u.kind {
            Kind::Map(entries) => entries.iter().any(|e| called(&e.key) == name),
            Kind::Scalar { .. } | Kind::List(_) => false,
        });
        if unit.is_none() && !faulty {
            let known: Vec<&str> = self.known.keys().map(String::as_str).collect();
            let fault = Diagnostic::error(format!("unknown unit `{name}`"), call.name.span, "not known");
            let help = foreign::value("unit", name).unwrap_or_else(|| suggest(name, &known));
            reader.fault(fault.help(help));
        }
        unit
    }
}

/// The name at the head of a signature, whatever is wrong with the rest.
fn called(signature: &str) -> &str {
    let text = signature.trim_start();
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// Formulas of the unit's parameters, for all but those that the stage gives.
fn bind(reader: &mut Reader<'_>, unit: &Unit, call: &Call) -> Option<Vec<Option<Expr>>> {
    let free: Vec<&Param> = unit.params.iter().filter(|p| is_free(p)).collect();
    let before = reader.faults.len();
    let mut given: Vec<(&str, &Expr)> = Vec::new();
    for (at, arg) in call.args.iter().flatten().enumerate() {
        let param = match &arg.name {
            Some(name) => free.iter().find(|p| p.name.text == name.text),
            None => free.get(at),
        };
        match param {
            None => no_parameter(reader, unit, arg, &free),
            Some(param) if given.iter().any(|&(name, _)| name == param.name.text) => {
                let fault = format!("`{}` of `{}` is given twice", param.name.text, unit.name.text);
                reader.fault(Diagnostic::error(fault, arg.value.span, "again here"));
            }
            Some(param) => given.push((&param.name.text, &arg.value)),
        }
    }
    let mut values = Vec::new();
    for param in &unit.params {
        let value = given.iter().find(|&&(name, _)| name == param.name.text).map(|&(_, value)| value);
        let value = value.or(param.default.as_ref());
        if value.is_none() && is_free(param) {
            let fault = format!("the unit `{}` needs `{}`", unit.name.text, param.name.text);
            let fault =
                Diagnostic::error(fault, call.span, "not given here").label(param.name.span, "no default");
            reader.fault(fault.help(format!("write `{}({}=...)`", unit.name.text, param.name.text)));
        }
        values.push(value.cloned());
    }
    (reader.faults.len() == before).then_some(values)
}

/// An argument that the unit does not take: the stage gives it, or it is not there.
fn no_parameter(reader: &mut Reader<'_>, unit: &Unit, arg: &Arg, free: &[&Param]) {
    let names: Vec<&str> = free.iter().map(|p| p.name.text.as_str()).collect();
    let span = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
    let name = arg.name.as_ref().map_or("", |name| name.text.as_str());
    let unit = &unit.name.text;
    if let Some((key, _)) = STAGE_GIVEN.iter().find(|&&(key, given)| name == key || name == given) {
        let fault = format!("the stage gives its units `{name}`");
        let fault = Diagnostic::error(fault, span, "not an argument");
        let value = reader.sources.text(arg.value.span);
        reader.fault(fault.help(format!("write it as a key of the stage: `{key}: {value}`")));
        return;
    }
    let fault = match (name, names.is_empty()) {
        (_, true) => format!("the unit `{unit}` takes no arguments"),
        ("", false) => format!("too many arguments for the unit `{unit}`"),
        _ => format!("the unit `{unit}` has no parameter `{name}`"),
    };
    let fault = Diagnostic::error(fault, span, "not known");
    let help = match (name, names.is_empty()) {
        (_, true) => format!("write `{unit}`; `filters`, `stride` and `dilation` are keys of the stage"),
        ("", false) => listed(&names),
        _ => foreign::argument(name, &names).unwrap_or_else(|| suggest(name, &names)),
    };
    reader.fault(fault.help(help));
}

/// Whether a call gives the parameter: the stage does not.
fn is_free(param: &Param) -> bool {
    !STAGE_GIVEN.iter().any(|&(_, name)| name == param.name.text)
}

/// Whether `style: v1` puts the bottleneck's stride onto its first convolution.
fn style(reader: &mut Reader<'_>, spec: &Node) -> bool {
    let Some(node) = spec.get(STYLE.name) else { return is_v1(STYLE.default.text()).unwrap_or(false) };
    let Some(word) = reader.text(node, "`style`") else { return false };
    is_v1(word).unwrap_or_else(|| {
        reader.unknown("style", word, node.span, STYLE.words());
        false
    })
}

fn is_v1(style: &str) -> Option<bool> {
    match style {
        "v1" => Some(true),
        "v1.5" => Some(false),
        _ => None,
    }
}

fn read(reader: &mut Reader<'_>, node: &Node, builtin: bool, units: &mut BTreeMap<String, Arc<Unit>>) {
    for entry in reader.entries(node, "`units`").unwrap_or_default() {
        let head = reader.keep(parse::signature(unquoted(reader.sources, entry.span)));
        let body = reader.language(&entry.value, "a unit's body");
        let body = body.and_then(|text| reader.keep(parse::body(text)));
        if let (Some((name, params)), Some(bindings)) = (head, body) {
            let unit = Unit { name, params, bindings, builtin };
            // Nobody reads more of them; but calls still find the unit.
            if reader.faults.len() < check::MAX_FAULTS {
                reader.faults.extend(check::unit(&unit));
            }
            units.insert(unit.name.text.clone(), Arc::new(unit));
        }
    }
}

/// A key's text without the quotes that it may stand in.
fn unquoted(sources: &SourceMap, span: Span) -> Text<'_> {
    let text = sources.text(span);
    let inner = ['"', '\''].iter().find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote));
    match inner {
        Some(text) => Text { text, span: Span { start: span.start + 1, end: span.end - 1, ..span } },
        None => Text { text, span },
    }
}
