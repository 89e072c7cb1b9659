//! Checks of units and pipelines that need no numbers: names, arguments, kinds of values. All faults at once.

use super::layer::{self, bare_name};
use super::number;
use super::read::suggest;
use super::unit::{Call, Expr, ExprKind, Name, Unit};
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// Kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Map,
    /// The unit's input through the shortcut rule; takes its shape from what it is added to.
    Shortcut,
}

struct Variable<'u> {
    name: &'u str,
    kind: Option<Type>,
    span: Span,
    used: bool,
}

struct Checker<'u> {
    scope: Vec<Variable<'u>>,
    faults: Vec<Diagnostic>,
}

/// Names with a meaning of their own, which no binding or parameter may take.
const RESERVED: &[&str] = &["x", "shortcut", "true", "false", "concat"];

/// Checks a unit.
pub fn unit(unit: &Unit) -> Vec<Diagnostic> {
    let mut checker = Checker { scope: Vec::new(), faults: Vec::new() };
    for param in &unit.params {
        if let Some(default) = &param.default {
            checker.expect(default, Type::Number);
        }
        checker.declare(&param.name, Some(Type::Number));
    }
    for (name, kind) in [("x", Type::Map), ("shortcut", Type::Shortcut)] {
        checker.scope.push(Variable { name, kind: Some(kind), span: unit.name.span, used: true });
    }
    for binding in &unit.bindings {
        let kind = checker.value(&binding.value);
        checker.declare(&binding.name, kind);
    }
    checker.result(unit);
    checker.faults
}

/// Checks layers after one another; the numbers of `constants` may be used.
pub fn layers(calls: &[Call], constants: &[&str]) -> Vec<Diagnostic> {
    let mut checker = Checker { scope: Vec::new(), faults: Vec::new() };
    for name in constants {
        checker.scope.push(Variable { name, kind: Some(Type::Number), span: Span::NONE, used: true });
    }
    for call in calls {
        checker.layer(call);
    }
    checker.faults
}

impl<'u> Checker<'u> {
    fn declare(&mut self, name: &'u Name, kind: Option<Type>) {
        let text = name.text.as_str();
        if RESERVED.contains(&text) || layer::is_layer(text) || number::arity(text).is_some() {
            let fault =
                Diagnostic::error(format!("`{text}` has a meaning of its own"), name.span, "cannot be bound");
            self.faults.push(fault.help("take another name"));
        } else if let Some(first) = self.scope.iter().find(|v| v.name == text) {
            let fault = Diagnostic::error(format!("`{text}` is bound twice"), name.span, "again here");
            self.faults.push(fault.label(first.span, "first here").help("take another name"));
        } else {
            self.scope.push(Variable { name: text, kind, span: name.span, used: false });
        }
    }

    /// That there is an `out`, a feature map, and nothing else is left over.
    fn result(&mut self, unit: &Unit) {
        let out = self.scope.iter_mut().find(|v| v.name == "out");
        let fault = match out {
            None => Some(
                Diagnostic::error(
                    format!("the unit `{}` has no `out`", unit.name.text),
                    unit.name.span,
                    "no result",
                )
                .help("bind the result: `out = main + shortcut -> relu`"),
            ),
            Some(out) => {
                out.used = true;
                (out.kind.is_some_and(|k| k != Type::Map))
                    .then(|| Diagnostic::error("`out` must be a feature map", out.span, "is none"))
            }
        };
        self.faults.extend(fault);
        for left in self.scope.iter().filter(|v| !v.used) {
            let fault = Diagnostic::error(format!("`{}` is never used", left.name), left.span, "bound here");
            self.faults.push(fault.help("use it, or take it out"));
        }
    }

    fn expect(&mut self, expr: &Expr, wanted: Type) {
        let Some(kind) = self.value(expr) else { return };
        let fault = match (wanted, kind) {
            (Type::Number, Type::Map | Type::Shortcut) => {
                Diagnostic::error("a number is needed here", expr.span, "this is a feature map")
            }
            (Type::Map, Type::Number) => {
                Diagnostic::error("a feature map is needed here", expr.span, "this is a number")
            }
            (Type::Map, Type::Shortcut) => later("`shortcut` other than as a term of a sum", expr.span),
            _ => return,
        };
        self.faults.push(fault);
    }

    /// The kind of an expression; `None` after a fault, which has been told then.
    fn value(&mut self, expr: &Expr) -> Option<Type> {
        match &expr.kind {
            ExprKind::Number(_) => Some(Type::Number),
            ExprKind::Negate(inner) => {
                self.expect(inner, Type::Number);
                Some(Type::Number)
            }
            ExprKind::Call(call) => self.name(call),
            ExprKind::Sum(terms) => self.sum(terms),
            ExprKind::Product(factors) => self.product(factors),
            ExprKind::Pipeline(start, calls) => {
                self.expect(start, Type::Map);
                for call in calls {
                    self.layer(call);
                }
                Some(Type::Map)
            }
        }
    }

    fn name(&mut self, call: &Call) -> Option<Type> {
        let name = call.name.text.as_str();
        if let Some(args) = &call.args {
            match number::arity(name) {
                Some(arity) => {
                    for arg in args {
                        self.expect(&arg.value, Type::Number);
                    }
                    if args.len() != arity {
                        let fault =
                            format!("`{name}` takes {arity} argument{}", if arity == 1 { "" } else { "s" });
                        let given = format!("given {}", args.len());
                        self.faults.push(Diagnostic::error(fault, call.span, given));
                    }
                    return Some(Type::Number);
                }
                None => self.no_function(call),
            }
            return None;
        }
        if let Some(variable) = self.scope.iter_mut().find(|v| v.name == name) {
            variable.used = true;
            return variable.kind;
        }
        if name == "true" || name == "false" {
            return Some(Type::Number);
        }
        let fault = if layer::is_layer(name) {
            Diagnostic::error(format!("the layer `{name}` stands alone"), call.span, "a value is needed here")
                .help(format!("apply it to a value: `x -> {name}`"))
        } else {
            let known: Vec<&str> = self.scope.iter().map(|v| v.name).collect();
            Diagnostic::error(format!("unknown variable `{name}`"), call.span, "not bound before this")
                .help(suggest(name, &known))
        };
        self.faults.push(fault);
        None
    }

    fn no_function(&mut self, call: &Call) {
        let name = call.name.text.as_str();
        let fault = if name == "concat" || name == "shortcut" {
            for arg in call.args.iter().flatten() {
                self.value(&arg.value);
            }
            later(&format!("`{name}(...)`"), call.span)
        } else if layer::is_layer(name) {
            Diagnostic::error(format!("the layer `{name}` stands alone"), call.span, "a value is needed here")
                .help(format!("apply it to a value: `x -> {name}(...)`"))
        } else {
            Diagnostic::error(format!("unknown function `{name}`"), call.name.span, "not known")
                .help(suggest(name, &["concat", "sqrt", "round", "floor", "ceil", "min", "max"]))
        };
        self.faults.push(fault);
    }

    fn sum(&mut self, terms: &[(bool, Expr)]) -> Option<Type> {
        let kinds: Vec<_> = terms.iter().map(|(_, term)| self.value(term)).collect();
        if kinds.iter().all(|k| matches!(k, None | Some(Type::Number))) {
            return Some(Type::Number).filter(|_| kinds.iter().all(Option::is_some));
        }
        let mut shortcuts = 0;
        for ((minus, term), kind) in terms.iter().zip(kinds) {
            shortcuts += usize::from(kind == Some(Type::Shortcut));
            if kind == Some(Type::Number) {
                self.faults.push(Diagnostic::error(
                    "a number cannot be added to a feature map",
                    term.span,
                    "a number",
                ));
            } else if *minus {
                self.faults.push(later("a difference of feature maps", term.span));
            } else if shortcuts > 1 {
                let fault = Diagnostic::error("`shortcut` is added twice", term.span, "again here");
                self.faults.push(fault.help("it takes its shape from another term of the sum"));
                shortcuts = 0;
            }
        }
        Some(Type::Map)
    }

    fn product(&mut self, factors: &[(bool, Expr)]) -> Option<Type> {
        let kinds: Vec<_> = factors.iter().map(|(_, factor)| self.value(factor)).collect();
        let maps = kinds.iter().position(|k| matches!(k, Some(Type::Map | Type::Shortcut)));
        if let Some(at) = maps {
            self.faults.push(later("a product of feature maps", factors[at].1.span));
            return None;
        }
        Some(Type::Number).filter(|_| kinds.iter().all(Option::is_some))
    }

    fn layer(&mut self, call: &Call) {
        match layer::bind(call) {
            Ok(bound) => {
                for value in bound.values() {
                    self.expect(value, Type::Number);
                }
            }
            Err(faults) => {
                self.faults.extend(faults);
                // What is used in a wrong call is used all the same.
                for arg in call.args.iter().flatten() {
                    self.touch(&arg.value);
                }
            }
        }
    }

    fn touch(&mut self, expr: &Expr) {
        if let Some(variable) = self.scope.iter_mut().find(|v| Some(v.name) == bare_name(expr)) {
            variable.used = true;
        }
    }
}

fn later(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error(format!("{what} is not supported yet"), span, "here")
}
