//! Which names of a unit its result depends on. What is read by values alone that nothing reads is as lost as they are.

use std::collections::HashSet;

use super::layer;
use super::tree::{Call, Expr, ExprKind, Name, Unit};

/// Parameters and bindings that `out` does not depend on; none where there is no `out`.
pub fn lost(unit: &Unit) -> Vec<&Name> {
    let params = unit.params.iter().map(|param| (&param.name, param.default.as_ref()));
    let bindings = unit.bindings.iter().map(|binding| (&binding.name, Some(&binding.value)));
    let all: Vec<(&Name, Option<&Expr>)> = params.chain(bindings).collect();
    if !all.iter().any(|(name, _)| name.text == "out") {
        return Vec::new();
    }
    let mut live = HashSet::from(["out"]);
    // Names are bound before they are read.
    for &(name, value) in all.iter().rev() {
        if live.contains(name.text.as_str()) {
            let mut read = Vec::new();
            value.into_iter().for_each(|value| names(value, &mut read));
            live.extend(read);
        }
    }
    all.into_iter().map(|(name, _)| name).filter(|name| !live.contains(name.text.as_str())).collect()
}

/// Names that an expression reads.
fn names<'e>(expr: &'e Expr, found: &mut Vec<&'e str>) {
    match &expr.kind {
        ExprKind::Number(_) => {}
        ExprKind::Negate(inner) => names(inner, found),
        ExprKind::Sum(parts) | ExprKind::Product(parts) => {
            parts.iter().for_each(|(_, part)| names(part, found));
        }
        ExprKind::Call(call) => {
            found.push(&call.name.text);
            call.args.iter().flatten().for_each(|arg| names(&arg.value, found));
        }
        ExprKind::Pipeline(start, calls) => {
            names(start, found);
            calls.iter().for_each(|call| arguments(call, found));
        }
    }
}

/// Names that a layer's arguments read. The name of a flag is none, where the call is right.
fn arguments<'e>(call: &'e Call, found: &mut Vec<&'e str>) {
    match layer::bind(call) {
        Ok(bound) => bound.values().for_each(|value| names(value, found)),
        Err(_) => call.args.iter().flatten().for_each(|arg| names(&arg.value, found)),
    }
}
