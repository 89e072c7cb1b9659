//! The `stages:` section: from groups of like units, as people write them, to every unit with all its numbers.

use std::sync::Arc;

use super::calls::UnitCall;
use super::layer::{self, Layer, MAX_CHANNELS};
use super::number;
use super::place::Place;
use super::raw::{Entry, Kind, Node};
use super::resolve::{Resolver, SPEC, StageSpec, UnitSpec};
use super::rules::Shortcuts;
use super::shape::{Key, Section, Shape};
use super::unit::{self, Call, Expr, ExprKind, Param};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Parameters whose values come from the stage; keys of a stage and the names that units give them.
pub(super) const STAGE_GIVEN: [(&str, &str); 3] =
    [("filters", "f"), ("stride", "stride"), ("dilation", "dilation")];

/// Keys of a group of like units.
pub const STAGE: Section = Section {
    what: "a stage",
    keys: &[
        Key::unless_list("depth", Shape::Count(1, u32::MAX as u64), "filters", "How many units."),
        Key::new(
            "filters",
            Shape::Any(&[FILTERS, Shape::List(&FILTERS, 1, None)]),
            "`f` of all units, or of each.",
        ),
        Key::new("stride", Shape::Count(1, 64), "Of the first unit; the others have 1."),
        Key::new("dilation", Shape::Count(1, 64), "Of all units."),
        Key::new("unit", Shape::Language, "What the units are, where not the spec's `unit`."),
    ],
};

/// Channels, or a formula of the unit's place.
const FILTERS: Shape = Shape::Formula(1, MAX_CHANNELS as u64);

/// Like units after one another: a stage, or a part of one.
struct Group {
    depth: usize,
    filters: Filters,
    /// Of the first unit; the others have 1.
    stride: usize,
    /// Of the first unit, and of the others.
    dilation: [usize; 2],
    call: UnitCall,
    span: Span,
}

/// What `f` is.
enum Filters {
    /// The unit takes none.
    None,
    /// One formula for all units.
    All(Expr),
    /// One for each.
    Each(Vec<Expr>),
}

impl Resolver<'_, '_> {
    pub(super) fn stages(
        &mut self,
        stem: Option<&[Call]>,
        shortcut: Option<&Shortcuts>,
    ) -> Option<Vec<StageSpec>> {
        let v1 = self.style();
        let default = self.tree.get("unit").map(|node| self.unit(node, v1));
        let node = self.required("stages", "[{depth: 3, filters: 16}]")?;
        let items = self.reader.items(&node, "`stages`")?;
        if items.is_empty() {
            let fault = Diagnostic::error("a network has at least one stage", node.span, "no stages");
            self.reader.fault(fault.help("add one: `- {depth: 3, filters: 16}`"));
        }
        let stages: Vec<Option<Vec<Group>>> =
            items.iter().map(|item| self.stage(item, default.as_ref(), v1)).collect();
        let units: usize = stages.iter().flatten().flatten().map(|group| group.depth).sum();
        if units > self.limits.units {
            let fault =
                Diagnostic::error("the network has too many units", node.span, format!("{units} units"));
            self.reader.fault(fault.help(self.limits.way_out("units")));
            return None;
        }
        let mut stages: Vec<Vec<Group>> = stages.into_iter().collect::<Option<_>>()?;
        self.check_work(&stages, shortcut.map_or(0, Shortcuts::size), node.span)?;
        self.output_stride(&mut stages, stem);
        self.place(&stages, items, units)
    }

    /// That building all units stays within bounds, whatever they say.
    fn check_work(&mut self, stages: &[Vec<Group>], rule: usize, span: Span) -> Option<()> {
        let work = |group: &Group| group.depth.saturating_mul(group.call.unit.size() + rule);
        let work = stages.iter().flatten().map(work).fold(0, usize::saturating_add);
        if work <= self.limits.expressions {
            return Some(());
        }
        let text = format!("{work} expressions in all units together");
        let fault = Diagnostic::error("the network is too long", span, text);
        self.reader.fault(fault.help(self.limits.way_out("expressions")));
        None
    }

    /// A stage: one group, or a list of groups.
    fn stage(&mut self, node: &Node, default: Option<&Option<UnitCall>>, v1: bool) -> Option<Vec<Group>> {
        let Kind::List(items) = &node.kind else {
            return self.group(node, default, v1).map(|group| vec![group]);
        };
        if items.is_empty() {
            let fault = Diagnostic::error("a stage has at least one unit", node.span, "no units");
            self.reader.fault(fault.help("add one: `{depth: 1, filters: 16}`"));
            return None;
        }
        let groups: Vec<_> = items.iter().map(|item| self.group(item, default, v1)).collect();
        groups.into_iter().collect()
    }

    fn group(&mut self, node: &Node, default: Option<&Option<UnitCall>>, v1: bool) -> Option<Group> {
        let entries = self.reader.fields(node, &STAGE)?;
        let (mut depth, mut filters, mut stride, mut dilation) = (None, None, Some(1), Some(1));
        let mut call = default.cloned();
        for entry in &entries {
            let what = format!("`{}`", entry.key);
            match entry.key.as_str() {
                "depth" => depth = self.depth(&entry.value),
                "filters" => filters = self.filters(&entry.value),
                "stride" => stride = self.reader.count(&entry.value, &what, STAGE.count("stride")),
                "dilation" => dilation = self.reader.count(&entry.value, &what, STAGE.count("dilation")),
                _ => call = Some(self.unit(&entry.value, v1)),
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
                self.reader.fault(fault.label(entry.span, format!("{} units", depth.unwrap_or(0))));
                return None;
            }
            (_, None) => self.reader.missing(Some(node), node.span, "the stage", "depth", "3"),
            _ => {}
        }
        let Some(call) = call else {
            self.reader.missing(Some(node), node.span, "the stage", "unit", "basic");
            return None;
        };
        let call = call?;
        self.check_given(node, &entries, &call);
        let filters = if call.takes("f") { filters? } else { Filters::None };
        let dilation = [dilation?; 2];
        Some(Group { depth: depth?, filters, stride: stride?, dilation, call, span: node.span })
    }

    /// A number of units, told as too many before it is added to others.
    fn depth(&mut self, node: &Node) -> Option<usize> {
        let depth = self.reader.count(node, "`depth`", STAGE.count("depth"))?;
        if depth <= self.limits.units {
            return Some(depth);
        }
        let fault = Diagnostic::error("the stage has too many units", node.span, format!("{depth} units"));
        self.reader.fault(fault.help(self.limits.way_out("units")));
        None
    }

    /// That the unit takes what the stage gives, and that the stage gives what the unit takes.
    fn check_given(&mut self, node: &Node, entries: &[&Entry], call: &UnitCall) {
        if call.takes("f") && !entries.iter().any(|e| e.key == "filters") {
            self.reader.missing(Some(node), node.span, "the stage", "filters", "64");
        }
        for (key, name) in STAGE_GIVEN {
            let Some(entry) = entries.iter().find(|e| e.key == key && !call.takes(name)) else { continue };
            let fault = format!("the unit `{}` takes no `{name}`", call.unit.name.text);
            let fault = Diagnostic::error(fault, entry.span, "without effect");
            let fault = fault.label(call.unit.name.span, "its parameters");
            let help = format!("take `{key}` out, or give the unit the parameter `{name}`");
            self.reader.fault(fault.help(help));
        }
    }

    /// A number, a formula, or a list of them.
    fn filters(&mut self, node: &Node) -> Option<Filters> {
        let Kind::List(items) = &node.kind else { return self.formula(node).map(Filters::All) };
        if items.is_empty() {
            self.reader.wrong(node, "`filters`", "a number, a formula, or a list of them");
            return None;
        }
        let list: Vec<_> = items.iter().map(|item| self.formula(item)).collect();
        list.into_iter().collect::<Option<_>>().map(Filters::Each)
    }

    fn formula(&mut self, node: &Node) -> Option<Expr> {
        let formula = matches!(&node.kind, Kind::Scalar { text, .. } if text.contains(char::is_alphabetic) && text.parse::<f64>().is_err());
        if !formula {
            let count = self.reader.count(node, "`filters`", 1..=MAX_CHANNELS as u64)?;
            return Some(Expr { kind: ExprKind::Number(count as f64), span: node.span });
        }
        let text = self.reader.language(node, "`filters`")?;
        self.reader.keep(unit::formula(text))
    }

    /// `output_stride: 8`: strides beyond it become dilations, as torchvision and timm do it: the first unit of such a
    /// stage keeps the dilation of the stage before it.
    fn output_stride(&mut self, stages: &mut [Vec<Group>], stem: Option<&[Call]>) {
        let Some(node) = self.tree.get("output_stride") else { return };
        let Some(wanted) = self.reader.count(node, "`output_stride`", SPEC.count("output_stride")) else {
            return;
        };
        if let Some(transition) = self.tree.get("transition") {
            let fault =
                Diagnostic::error("`output_stride` cannot change a transition", node.span, "beside it");
            self.reader.fault(fault.label(transition.span, "has strides of its own"));
        }
        let mut stride = stem.map_or(1, reduction);
        if stride > wanted {
            let text = format!("the stem alone has stride {stride}");
            let fault = Diagnostic::error("`output_stride` cannot be reached", node.span, text);
            self.reader.fault(fault.help(format!("write {stride} or more, or take strides out of the stem")));
            return;
        }
        let mut dilation = 1;
        for stage in stages {
            let mut previous = dilation;
            for group in stage {
                if group.dilation != [1, 1] {
                    let fault = Diagnostic::error("a stage has its own `dilation`", group.span, "this one");
                    self.reader
                        .fault(fault.label(node.span, "gives dilations too").help("keep one of the two"));
                    return;
                }
                if stride * group.stride > wanted {
                    dilation *= group.stride;
                    group.stride = 1;
                } else {
                    stride *= group.stride;
                }
                group.dilation = [previous, dilation];
                previous = dilation;
                self.check_dilation(group, node.span);
            }
        }
        if dilation == 1 {
            let text = format!("the network has stride {stride}");
            let warning = Diagnostic::warning("`output_stride` has no effect", node.span, text);
            self.warnings.push(warning);
        }
    }

    fn check_dilation(&mut self, group: &Group, cause: Span) {
        if group.dilation == [1, 1] || group.call.takes("dilation") {
            return;
        }
        let fault = format!("the unit `{}` takes no `dilation`", group.call.unit.name.text);
        let fault = Diagnostic::error(fault, group.span, "needs one here").label(cause, "because of this");
        let fault = fault.label(group.call.unit.name.span, "its parameters");
        self.reader
            .fault(fault.help(
                "give the unit the parameter `dilation`, and its 3x3 convolutions `dilation=dilation`",
            ));
    }

    /// Every unit with its numbers.
    fn place(&mut self, stages: &[Vec<Group>], nodes: &[Node], depth: usize) -> Option<Vec<StageSpec>> {
        let (mut index, mut whole) = (0, true);
        let mut resolved = Vec::new();
        for (s, (stage, node)) in stages.iter().zip(nodes).enumerate() {
            let total = stage.iter().map(|group| group.depth).sum();
            let mut units = Vec::new();
            for group in stage {
                for at in 0..group.depth {
                    let place = Place { unit: units.len(), units: total, stage: s + 1, index, depth };
                    index += 1;
                    let Some(args) = self.numbers(group, at, place) else {
                        // The others of the group have the same fault.
                        whole = false;
                        break;
                    };
                    units.push(UnitSpec {
                        unit: Arc::clone(&group.call.unit),
                        args,
                        place,
                        span: group.span,
                    });
                }
            }
            resolved.push(StageSpec { units, span: node.span });
        }
        whole.then_some(resolved)
    }

    /// Values of all of a unit's parameters, in the order of its signature.
    fn numbers(&mut self, group: &Group, at: usize, place: Place) -> Option<Vec<(String, f64)>> {
        let mut args: Vec<(String, f64)> = Vec::new();
        for (Param { name, .. }, value) in group.call.unit.params.iter().zip(&group.call.values) {
            let known = |name: &str| {
                args.iter().find(|(n, _)| n == name).map(|&(_, v)| v).or_else(|| place.get(name))
            };
            let value = match (name.text.as_str(), value) {
                ("f", _) => self.width(group, at, &place)?,
                ("stride", _) => {
                    if at == 0 {
                        group.stride as f64
                    } else {
                        1.0
                    }
                }
                ("dilation", _) => group.dilation[usize::from(at > 0)] as f64,
                (_, Some(expr)) => self.reader.keep(number::eval(expr, &known))?,
                (_, None) => unreachable!("a call without a needed argument was refused"),
            };
            args.push((name.text.clone(), value));
        }
        Some(args)
    }

    fn width(&mut self, group: &Group, at: usize, place: &Place) -> Option<f64> {
        let expr = match &group.filters {
            Filters::All(expr) => expr,
            Filters::Each(list) => &list[at],
            Filters::None => unreachable!("the unit takes filters, so the group has some"),
        };
        let value = self.reader.keep(number::eval(expr, &|name| place.get(name)))?;
        if value.fract() == 0.0 && (1.0..=MAX_CHANNELS as f64).contains(&value) {
            return Some(value);
        }
        let fault = format!("`filters` must be a whole number between 1 and {MAX_CHANNELS}");
        let text = format!("this is {value} in unit {} of stage {}", place.unit, place.stage);
        self.reader
            .fault(Diagnostic::error(fault, expr.span, text).help("`floor` and `round` make whole numbers"));
        None
    }
}

/// The product of all strides of layers after one another; 1 for a layer with a fault, which is told elsewhere.
fn reduction(calls: &[Call]) -> usize {
    let stride = |call: &Call| {
        let layer = layer::bind(call).ok()?.resolve(&mut |expr| number::eval(expr, &|_| None)).ok()?;
        match layer {
            Layer::Conv { attrs, .. } => Some(attrs.stride[0]),
            Layer::MaxPool(attrs) | Layer::AvgPool(attrs) => Some(attrs.stride[0]),
            Layer::BlurPool { stride } => Some(stride[0]),
            Layer::Norm(_)
            | Layer::Activate(_)
            | Layer::Drop { .. }
            | Layer::GlobalAvgPool
            | Layer::GlobalMaxPool
            | Layer::ChannelConv { .. }
            | Layer::Eca { .. }
            | Layer::Linear { .. }
            | Layer::Scale(_) => None,
        }
    };
    calls.iter().filter_map(stride).fold(1, usize::saturating_mul)
}

/// Where a call's own arguments begin: parameters that the stage does not give.
pub(super) fn is_free(param: &Param) -> bool {
    !STAGE_GIVEN.iter().any(|&(_, name)| name == param.name.text)
}
