//! `unit: bottleneck(groups=32)`: which unit is meant, and with which arguments.

use std::sync::Arc;

use super::raw::{Kind, Node};
use super::read::suggest;
use super::resolve::{Resolver, SPEC};
use super::stages::is_free;
use super::unit::{self, Arg, Call, Expr, Param, Unit};
use crate::diagnostic::Diagnostic;

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

impl Resolver<'_, '_> {
    /// Whether `style: v1` puts the bottleneck's stride onto its first convolution.
    pub(super) fn style(&mut self) -> bool {
        let Some(node) = self.tree.get("style") else { return false };
        match self.reader.text(node, "`style`") {
            Some("v1") => true,
            Some("v1.5") | None => false,
            Some(other) => {
                self.reader.unknown("style", other, node.span, SPEC.words("style"));
                false
            }
        }
    }

    pub(super) fn unit(&mut self, node: &Node, v1: bool) -> Option<UnitCall> {
        let text = self.reader.language(node, "`unit`")?;
        let calls = self.reader.keep(unit::layers(text))?;
        if let Some(second) = calls.get(1) {
            let fault = Diagnostic::error("`unit` is the name of one unit", second.span, "one too many");
            self.reader.fault(fault.help("bind a longer pipeline under `units:` and name it here"));
            return None;
        }
        let call = calls.into_iter().next()?;
        let unit = self.find_unit(&call, v1)?;
        let values = self.bind(&unit, &call)?;
        Some(UnitCall { unit, values })
    }

    fn find_unit(&mut self, call: &Call, v1: bool) -> Option<Arc<Unit>> {
        let name = call.name.text.as_str();
        let shadowed = self.units.get("bottleneck").is_some_and(|u| !u.builtin);
        let wanted = if v1 && name == "bottleneck" && !shadowed { "bottleneck_v1" } else { name };
        let unit = self.units.get(wanted).cloned();
        // A unit whose text has a fault of its own is known all the same.
        let faulty = self.tree.get("units").is_some_and(|u| match &u.kind {
            Kind::Map(entries) => entries.iter().any(|e| e.key.starts_with(name)),
            Kind::Scalar { .. } | Kind::List(_) => false,
        });
        if unit.is_none() && !faulty {
            let known: Vec<&str> = self.units.keys().map(String::as_str).collect();
            let fault = Diagnostic::error(format!("unknown unit `{name}`"), call.name.span, "not known");
            self.reader.fault(fault.help(suggest(name, &known)));
        }
        unit
    }

    /// Formulas of the unit's parameters, for all but those that the stage gives.
    fn bind(&mut self, unit: &Unit, call: &Call) -> Option<Vec<Option<Expr>>> {
        let free: Vec<&Param> = unit.params.iter().filter(|p| is_free(p)).collect();
        let before = self.reader.faults.len();
        let mut given: Vec<(&str, &Expr)> = Vec::new();
        for (at, arg) in call.args.iter().flatten().enumerate() {
            let param = match &arg.name {
                Some(name) => free.iter().find(|p| p.name.text == name.text),
                None => free.get(at),
            };
            match param {
                None => self.no_parameter(unit, arg, &free),
                Some(param) if given.iter().any(|&(name, _)| name == param.name.text) => {
                    let fault = format!("`{}` of `{}` is given twice", param.name.text, unit.name.text);
                    self.reader.fault(Diagnostic::error(fault, arg.value.span, "again here"));
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
                let fault = Diagnostic::error(fault, call.span, "not given here")
                    .label(param.name.span, "no default");
                self.reader.fault(fault.help(format!("write `{}({}=...)`", unit.name.text, param.name.text)));
            }
            values.push(value.cloned());
        }
        (self.reader.faults.len() == before).then_some(values)
    }

    fn no_parameter(&mut self, unit: &Unit, arg: &Arg, free: &[&Param]) {
        let names: Vec<&str> = free.iter().map(|p| p.name.text.as_str()).collect();
        let span = arg.name.as_ref().map_or(arg.value.span, |n| n.span);
        let fault = format!("the unit `{}` has no such parameter", unit.name.text);
        let fault = Diagnostic::error(fault, span, "not known");
        let help = match &arg.name {
            Some(name) => suggest(&name.text, &names),
            None => format!("known: {}", names.join(", ")),
        };
        self.reader.fault(fault.help(help));
    }
}
