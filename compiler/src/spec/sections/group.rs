//! One group of like units under `stages`.

use super::units::{STAGE_GIVEN, UnitCall, Units};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::spec::language::layer::MAX_CHANNELS;
use crate::spec::language::parse;
use crate::spec::language::tree::{Expr, ExprKind};
use crate::spec::limits::Limits;
use crate::spec::yaml::node::{Entry, Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of a group of like units.
pub const STAGE: Section = Section {
    what: "a stage",
    keys: &[
        DEPTH,
        FILTERS,
        Key::new("stride", Shape::Count(1, 64), "Stride of the first unit; the others have stride 1.")
            .default("1"),
        Key::new("dilation", Shape::Count(1, 64), "Dilation of all units.").default("1"),
        UNIT,
    ],
};

const DEPTH: Key = Key::required("depth", Shape::Count(1, u32::MAX as u64), "3", "Number of units.")
    .unless_list("filters")
    .default_is("the length of the list `filters`");

const FILTERS: Key = Key::new(
    "filters",
    Shape::Any(&[WIDTH, Shape::List(&WIDTH, 1, None)]),
    "The number `f` of all units, or a list with one for each. Units decide what it means: mostly channels.",
)
.default_is("needed where the unit takes `f`")
.example("64");

const UNIT: Key = Key::new("unit", Shape::Language, "The unit that the stage repeats.")
    .default_is("the spec's `unit`")
    .example("basic");

/// Channels, or a formula of the unit's place.
const WIDTH: Shape = Shape::Formula(1, MAX_CHANNELS as u64);

/// Like units after one another: a stage, or a part of one.
pub(super) struct Group {
    /// Number of units.
    pub(super) depth: usize,
    /// What `f` is.
    pub(super) filters: Filters,
    /// Stride of the first unit; the others have 1.
    pub(super) stride: usize,
    /// Dilation of the first unit, and of the others.
    pub(super) dilation: [usize; 2],
    /// The unit.
    pub(super) call: UnitCall,
    /// Its text.
    pub(super) span: Span,
}

/// What `f` is.
pub(super) enum Filters {
    /// The unit takes none.
    None,
    /// One formula for all units.
    All(Expr),
    /// One for each.
    Each(Vec<Expr>),
}

/// Reads a group. `default` is what the spec says of the unit: nothing, a faulty call, or a call.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    default: Option<&Option<UnitCall>>,
    units: &Units<'_>,
    limits: &Limits,
) -> Option<Group> {
    let entries = reader.fields(node, &STAGE)?;
    let (mut depth, mut filters, mut stride, mut dilation) =
        (None, None, Some(STAGE.default("stride")), Some(STAGE.default("dilation")));
    let mut call = default.cloned();
    for entry in &entries {
        let what = format!("`{}`", entry.key);
        match entry.key.as_str() {
            "depth" => depth = depth_of(reader, &entry.value, limits),
            "filters" => filters = filters_of(reader, &entry.value),
            "stride" => stride = reader.count(&entry.value, &what, STAGE.count("stride")),
            "dilation" => dilation = reader.count(&entry.value, &what, STAGE.count("dilation")),
            _ => call = Some(units.call(reader, &entry.value)),
        }
    }
    let get = |key: &str| entries.iter().find(|e| e.key == key).copied();
    match (&filters, get("depth")) {
        (Some(Filters::Each(list)), None) => depth = Some(list.len()),
        (Some(Filters::Each(list)), Some(entry)) if depth.is_some_and(|d| d != list.len()) => {
            let text = format!("{} filters", list.len());
            let span = get("filters").map_or(node.span, |e| e.value.span);
            let fault =
                Diagnostic::error("`filters` has one value for each unit, or one for all", span, text);
            reader.fault(fault.label(
                entry.span,
                match depth {
                    Some(1) => "1 unit".to_owned(),
                    depth => format!("{} units", depth.unwrap_or(0)),
                },
            ));
            return None;
        }
        (_, None) => reader.missing(Some(node), node.span, "the stage", &DEPTH),
        _ => {}
    }
    let Some(call) = call else {
        reader.missing(Some(node), node.span, "the stage", &UNIT);
        return None;
    };
    let call = call?;
    check_given(reader, node, &entries, &call);
    let filters = if call.takes("f") { filters? } else { Filters::None };
    let dilation = [dilation?; 2];
    Some(Group { depth: depth?, filters, stride: stride?, dilation, call, span: node.span })
}

/// A number of units. It is checked against the limit before it is added to others.
fn depth_of(reader: &mut Reader<'_>, node: &Node, limits: &Limits) -> Option<usize> {
    let depth = reader.count(node, "`depth`", STAGE.count("depth"))?;
    if depth <= limits.units {
        return Some(depth);
    }
    let fault = Diagnostic::error("the stage has too many units", node.span, format!("{depth} units"));
    reader.fault(fault.help(limits.way_out("units")));
    None
}

/// That the unit takes what the stage gives, and that the stage gives what the unit takes.
fn check_given(reader: &mut Reader<'_>, node: &Node, entries: &[&Entry], call: &UnitCall) {
    if call.takes("f") && !entries.iter().any(|e| e.key == "filters") {
        reader.missing(Some(node), node.span, "the stage", &FILTERS);
    }
    for (key, name) in STAGE_GIVEN {
        let Some(entry) = entries.iter().find(|e| e.key == key && !call.takes(name)) else { continue };
        let fault = format!("the unit `{}` takes no `{name}`", call.unit.name.text);
        let fault = Diagnostic::error(fault, entry.span, "without effect");
        let fault = fault.label(call.unit.name.span, "its parameters");
        let help = format!("take `{key}` out, or give the unit the parameter `{name}`");
        reader.fault(fault.help(help));
    }
}

/// A number, a formula, or a list of them.
fn filters_of(reader: &mut Reader<'_>, node: &Node) -> Option<Filters> {
    let Kind::List(items) = &node.kind else { return formula(reader, node).map(Filters::All) };
    if items.is_empty() {
        reader.wrong(node, "`filters`", "a number, a formula, or a list of them");
        return None;
    }
    let list: Vec<_> = items.iter().map(|item| formula(reader, item)).collect();
    list.into_iter().collect::<Option<_>>().map(Filters::Each)
}

fn formula(reader: &mut Reader<'_>, node: &Node) -> Option<Expr> {
    let formula = matches!(&node.kind, Kind::Scalar { text, .. } if text.contains(char::is_alphabetic) && text.parse::<f64>().is_err());
    if !formula {
        let count = reader.count(node, "`filters`", 1..=MAX_CHANNELS as u64)?;
        return Some(Expr { kind: ExprKind::Number(count as f64), span: node.span });
    }
    let text = reader.language(node, "`filters`")?;
    reader.keep(parse::formula(text))
}
