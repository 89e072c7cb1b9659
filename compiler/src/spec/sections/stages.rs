//! The `stages:` section: groups of like units, as they are written, become units with all their numbers.

use std::sync::Arc;

use super::group::{self, Filters, Group};
use super::output_stride;
use super::shortcut::Shortcuts;
use super::units::{UNIT, UnitCall, Units};
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::spec::language::layer::MAX_CHANNELS;
use crate::spec::language::number;
use crate::spec::language::place::Place;
use crate::spec::language::tree::{Call, Param, Unit};
use crate::spec::limits::Limits;
use crate::spec::yaml::node::{Kind, Node};
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// The stages.
pub const STAGES: Key = Key::required(
    "stages",
    Shape::List(&Shape::Any(&[GROUP, Shape::List(&GROUP, 1, None)]), 1, None),
    "[{depth: 3, filters: 16}]",
    "The stages: each a group of like units, or a list of such groups.",
);

const GROUP: Shape = Shape::Section(&group::STAGE);

/// Units after one another.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSpec {
    /// At least one.
    pub units: Vec<UnitSpec>,
    /// The stage's text.
    pub span: Span,
}

/// One unit with all its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitSpec {
    /// What it is.
    pub unit: Arc<Unit>,
    /// Values of all its parameters, in the order of its signature.
    pub args: Vec<(String, f64)>,
    /// Where it stands.
    pub place: Place,
    /// The text that asked for it: a stage, or a part of one.
    pub span: Span,
}

impl UnitSpec {
    /// The value of a parameter.
    pub fn arg(&self, name: &str) -> Option<f64> {
        self.args.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }
}

/// Reads the section.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    spec: &Node,
    units: &Units<'_>,
    limits: &Limits,
    stem: Option<&[Call]>,
    shortcut: Option<&Shortcuts>,
) -> Option<Vec<StageSpec>> {
    let default = spec.get(UNIT.name).map(|node| units.call(reader, node));
    let node = reader.required(spec, &STAGES)?;
    let items = reader.items(node, "`stages`")?;
    if items.is_empty() {
        let fault = Diagnostic::error("a network has at least one stage", node.span, "no stages");
        reader.fault(fault.help("add one: `- {depth: 3, filters: 16}`"));
    }
    let stages: Vec<Option<Vec<Group>>> =
        items.iter().map(|item| stage(reader, item, default.as_ref(), units, limits)).collect();
    let count: usize = stages.iter().flatten().flatten().map(|group| group.depth).sum();
    if count > limits.units {
        let fault = Diagnostic::error("the network has too many units", node.span, format!("{count} units"));
        reader.fault(fault.help(limits.way_out("units")));
        return None;
    }
    let mut stages: Vec<Vec<Group>> = stages.into_iter().collect::<Option<_>>()?;
    check_work(reader, &stages, shortcut.map_or(0, Shortcuts::size), node.span, limits)?;
    output_stride::apply(reader, spec, &mut stages, stem);
    place(reader, &stages, items, count)
}

/// That building all units stays within bounds, whatever they say.
fn check_work(
    reader: &mut Reader<'_>,
    stages: &[Vec<Group>],
    rule: usize,
    span: Span,
    limits: &Limits,
) -> Option<()> {
    let work = |group: &Group| group.depth.saturating_mul(group.call.unit.size() + rule);
    let work = stages.iter().flatten().map(work).fold(0, usize::saturating_add);
    if work <= limits.expressions {
        return Some(());
    }
    let text = format!("{work} expressions in all units together");
    let fault = Diagnostic::error("the network is too long", span, text);
    reader.fault(fault.help(limits.way_out("expressions")));
    None
}

/// A stage: one group, or a list of groups.
fn stage(
    reader: &mut Reader<'_>,
    node: &Node,
    default: Option<&Option<UnitCall>>,
    units: &Units<'_>,
    limits: &Limits,
) -> Option<Vec<Group>> {
    let Kind::List(items) = &node.kind else {
        return group::read(reader, node, default, units, limits).map(|group| vec![group]);
    };
    if items.is_empty() {
        let fault = Diagnostic::error("a stage has at least one unit", node.span, "no units");
        reader.fault(fault.help("add one: `{depth: 1, filters: 16}`"));
        return None;
    }
    let groups: Vec<_> = items.iter().map(|item| group::read(reader, item, default, units, limits)).collect();
    groups.into_iter().collect()
}

/// Every unit with its numbers.
fn place(
    reader: &mut Reader<'_>,
    stages: &[Vec<Group>],
    nodes: &[Node],
    depth: usize,
) -> Option<Vec<StageSpec>> {
    let (mut index, mut whole) = (0, true);
    let mut resolved = Vec::new();
    for (s, (stage, node)) in stages.iter().zip(nodes).enumerate() {
        let total = stage.iter().map(|group| group.depth).sum();
        let mut units = Vec::new();
        for group in stage {
            for at in 0..group.depth {
                let place = Place { unit: units.len(), units: total, stage: s + 1, index, depth };
                index += 1;
                let Some(args) = numbers(reader, group, at, place) else {
                    // The others of the group have the same fault.
                    whole = false;
                    break;
                };
                units.push(UnitSpec { unit: Arc::clone(&group.call.unit), args, place, span: group.span });
            }
        }
        resolved.push(StageSpec { units, span: node.span });
    }
    whole.then_some(resolved)
}

/// Values of all of a unit's parameters, in the order of its signature.
fn numbers(reader: &mut Reader<'_>, group: &Group, at: usize, place: Place) -> Option<Vec<(String, f64)>> {
    let mut args: Vec<(String, f64)> = Vec::new();
    for (Param { name, .. }, value) in group.call.unit.params.iter().zip(&group.call.values) {
        let known =
            |name: &str| args.iter().find(|(n, _)| n == name).map(|&(_, v)| v).or_else(|| place.get(name));
        let value = match (name.text.as_str(), value) {
            ("f", _) => width(reader, group, at, &place)?,
            ("stride", _) => {
                if at == 0 {
                    group.stride as f64
                } else {
                    1.0
                }
            }
            ("dilation", _) => group.dilation[usize::from(at > 0)] as f64,
            (_, Some(expr)) => reader.keep(number::eval(expr, &known))?,
            (_, None) => unreachable!("a call without a needed argument was refused"),
        };
        args.push((name.text.clone(), value));
    }
    Some(args)
}

fn width(reader: &mut Reader<'_>, group: &Group, at: usize, place: &Place) -> Option<f64> {
    let expr = match &group.filters {
        Filters::All(expr) => expr,
        Filters::Each(list) => &list[at],
        Filters::None => unreachable!("the unit takes filters, so the group has some"),
    };
    let value = reader.keep(number::eval(expr, &|name| place.get(name)))?;
    if value.fract() == 0.0 && (1.0..=MAX_CHANNELS as f64).contains(&value) {
        return Some(value);
    }
    let fault = format!("`filters` must be a whole number between 1 and {MAX_CHANNELS}");
    let text = format!("this is {value} in unit {} of stage {}", place.unit, place.stage);
    reader.fault(Diagnostic::error(fault, expr.span, text).help("`floor` and `round` make whole numbers"));
    None
}
