//! Checks of units and pipelines that need no numbers: names, arguments, kinds of values. They collect all faults.

use super::layer;
use super::live;
use super::tree::{Arg, Call, Expr, ExprKind, Name, Unit, bare_name};
use super::{functions, variables};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::{listed, nearest, suggest};
use crate::source::Span;
use crate::spec::foreign;

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
    /// The unit's name; none outside of units.
    unit: Option<&'u str>,
    scope: Vec<Variable<'u>>,
    faults: Vec<Diagnostic>,
}

/// Most feature maps that one `concat` takes.
pub const MAX_CONCAT: usize = 64;

/// Most parameters and bindings of a unit: each is compared with those before it.
pub const MAX_NAMES: usize = 1000;

/// Most names that a fault shows beside the one that is never used.
const MAX_LOST: usize = 4;

/// After so many faults no more layers are checked: more faults than that repeat a few mistakes.
pub const MAX_FAULTS: usize = 1000;

/// Checks a unit.
pub fn unit(unit: &Unit) -> Vec<Diagnostic> {
    let names = unit.params.len() + unit.bindings.len();
    if names > MAX_NAMES {
        let text = format!("{names} parameters and bindings");
        let fault = Diagnostic::error("the unit has too many names", unit.name.span, text);
        return vec![fault.help(format!("{MAX_NAMES} are the limit: write longer pipelines"))];
    }
    let mut checker = Checker { unit: Some(&unit.name.text), scope: Vec::new(), faults: Vec::new() };
    for name in variables::names(variables::PLACE) {
        let number = Some(Type::Number);
        checker.scope.push(Variable { name, kind: number, span: unit.name.span, used: true });
    }
    for param in &unit.params {
        if let Some(default) = &param.default {
            checker.expect(default, Type::Number);
        }
        checker.declare(&param.name, Some(Type::Number));
    }
    let kinds = [Type::Map, Type::Shortcut, Type::Number];
    for (name, kind) in variables::names(variables::UNIT).into_iter().zip(kinds) {
        checker.scope.push(Variable { name, kind: Some(kind), span: unit.name.span, used: true });
    }
    for binding in &unit.bindings {
        let mut kind = checker.value(&binding.value);
        if kind == Some(Type::Shortcut) {
            checker.faults.push(unshaped(binding.value.span));
            kind = None;
        }
        checker.declare(&binding.name, kind);
    }
    checker.result(unit);
    checker.faults
}

/// Checks layers after one another; the numbers of `constants` may be used.
pub fn layers(calls: &[Call], constants: &[&str]) -> Vec<Diagnostic> {
    let mut checker = Checker { unit: None, scope: Vec::new(), faults: Vec::new() };
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
        if is_reserved(text) {
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
                (out.kind.is_some_and(|k| k != Type::Map)).then(|| {
                    Diagnostic::error("`out` must be a feature map", out.span, "this is a number")
                        .help("bind what the unit gives on: `out = main + shortcut -> relu`")
                })
            }
        };
        self.faults.extend(fault);
        self.left_over(unit);
    }

    /// A fault for each name that nothing uses. The last one shows what else is lost with them.
    fn left_over(&mut self, unit: &Unit) {
        let left: Vec<&Variable<'_>> = self.scope.iter().filter(|v| !v.used).collect();
        let tell = |left: &&Variable<'_>| {
            let fault = Diagnostic::error(format!("`{}` is never used", left.name), left.span, "bound here");
            fault.help("use it, or take it out")
        };
        let mut faults: Vec<Diagnostic> = left.iter().map(tell).collect();
        if let Some(last) = faults.pop() {
            let lost = live::lost(unit).into_iter().filter(|name| left.iter().all(|v| v.name != name.text));
            let show = |fault: Diagnostic, name: &Name| fault.label(name.span, "reaches no result either");
            faults.push(lost.take(MAX_LOST).fold(last, show));
        }
        self.faults.extend(faults);
    }

    /// The kind of an expression that has to be a number or a feature map, as which the shortcut counts; `None` after a
    /// fault.
    fn expect(&mut self, expr: &Expr, wanted: Type) -> Option<Type> {
        let kind = self.value(expr)?;
        let fault = match (wanted, kind) {
            (Type::Number, Type::Map | Type::Shortcut) => {
                let fault = Diagnostic::error("a number is needed here", expr.span, "this is a feature map");
                fault.help("numbers are the unit's parameters, and what is computed from them")
            }
            (Type::Map | Type::Shortcut, Type::Number) => {
                let fault = Diagnostic::error("a feature map is needed here", expr.span, "this is a number");
                fault.help("feature maps are `x`, `shortcut`, and what layers make of them")
            }
            _ => return Some(kind),
        };
        self.faults.push(fault);
        None
    }

    /// The kind of an expression; `None` after a fault, which is noted.
    fn value(&mut self, expr: &Expr) -> Option<Type> {
        match &expr.kind {
            ExprKind::Number(_) => Some(Type::Number),
            ExprKind::Negate(inner) => self.value(inner),
            ExprKind::Call(call) => self.name(call),
            ExprKind::Sum(terms) => self.sum(terms),
            ExprKind::Product(factors) => self.product(factors),
            ExprKind::Pipeline(start, calls) => {
                let start = self.expect(start, Type::Map);
                for call in calls {
                    self.layer(call);
                }
                start
            }
        }
    }

    fn name(&mut self, call: &Call) -> Option<Type> {
        let name = call.name.text.as_str();
        if let Some(args) = &call.args {
            match functions::arity(name) {
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
                None if name == "shortcut" => return self.shortcut(call, args),
                None if name == functions::CONCAT.name => return self.concat(call, args),
                None => self.no_function(call, args),
            }
            return None;
        }
        if let Some(variable) = self.scope.iter_mut().find(|v| v.name == name) {
            variable.used = true;
            return variable.kind;
        }
        if variables::CONSTANTS.iter().any(|constant| constant.name == name) {
            return Some(Type::Number);
        }
        let fault = if layer::is_layer(name) {
            Diagnostic::error(format!("the layer `{name}` stands alone"), call.span, "a value is needed here")
                .help(format!("apply it to a value: `x -> {name}`"))
        } else {
            Diagnostic::error(format!("unknown variable `{name}`"), call.span, "not bound before this")
                .help(self.meant(name))
        };
        self.faults.push(fault);
        None
    }

    /// `shortcut(a)`, or `shortcut(same=a, changed=b)` with one of the two or both.
    fn shortcut(&mut self, call: &Call, args: &[Arg]) -> Option<Type> {
        let kinds: Vec<_> = args.iter().map(|arg| self.read_by_shortcut(&arg.value)).collect();
        let names: Option<Vec<&str>> =
            args.iter().map(|arg| arg.name.as_ref().map(|n| n.text.as_str())).collect();
        let fits = match names.as_deref() {
            None => args.len() == 1,
            Some([name]) => [functions::SAME, functions::CHANGED].contains(name),
            Some([a, b]) => [[a, b], [b, a]].contains(&[&functions::SAME, &functions::CHANGED]),
            Some(_) => false,
        };
        if !fits {
            let fault = Diagnostic::error("`shortcut` takes one feature map", call.span, "given otherwise");
            let help = match args.iter().any(|arg| arg.name.is_some()) {
                true => "write `shortcut(changed=pre)`, or `shortcut(same=a, changed=b)`",
                false => "write `shortcut(pre)`, or `shortcut` for the unit's input",
            };
            self.faults.push(fault.help(help));
            return None;
        }
        kinds.iter().all(Option::is_some).then_some(Type::Shortcut)
    }

    /// A feature map that has a shape of its own; `None` after a fault.
    fn read_by_shortcut(&mut self, value: &Expr) -> Option<()> {
        match self.expect(value, Type::Map)? {
            Type::Shortcut => {
                let fault =
                    Diagnostic::error("`shortcut` cannot read itself", value.span, "has no shape yet");
                self.faults.push(fault.help("write `shortcut(pre)` with a value that is bound before"));
                None
            }
            Type::Map | Type::Number => Some(()),
        }
    }

    fn concat(&mut self, call: &Call, args: &[Arg]) -> Option<Type> {
        for arg in args {
            if self.expect(&arg.value, Type::Map) == Some(Type::Shortcut) {
                self.faults.push(unshaped(arg.value.span));
            }
            if let Some(name) = &arg.name {
                let fault = Diagnostic::error("`concat` takes values without names", name.span, "a name");
                self.faults.push(fault.help("take the name out"));
            }
        }
        if !(2..=MAX_CONCAT).contains(&args.len()) {
            let fault = format!("`concat` takes 2 to {MAX_CONCAT} feature maps");
            let fault = Diagnostic::error(fault, call.span, format!("given {}", args.len()));
            self.faults.push(fault.help("write `concat(a, b)`"));
        }
        Some(Type::Map)
    }

    /// What an unknown variable was probably meant to be, which then is used.
    fn meant(&mut self, name: &str) -> String {
        let known: Vec<&str> = self.scope.iter().map(|v| v.name).collect();
        let near = nearest(name, &known).map(|near| (format!("did you mean `{near}`?"), near));
        let constant = |name: &str| variables::CONSTANTS.iter().any(|constant| constant.name == name);
        let there =
            |&(_, meant): &(String, &str)| meant.is_empty() || constant(meant) || known.contains(&meant);
        if let Some(unit) = self.unit.filter(|_| ["f", "stride", "dilation"].contains(&name)) {
            return format!(
                "the stage gives it to units that have the parameter: write `{unit}({name}, ...)`"
            );
        }
        let Some((help, meant)) = near.or_else(|| foreign::variable(name).filter(there)) else {
            let numbers_only = known.is_empty();
            return if numbers_only { "only numbers can stand here".to_owned() } else { listed(&known) };
        };
        if let Some(variable) = self.scope.iter_mut().find(|v| v.name == meant) {
            variable.used = true;
        }
        help
    }

    fn no_function(&mut self, call: &Call, args: &[Arg]) {
        // What is used in a wrong call is used all the same.
        args.iter().for_each(|arg| self.touch(&arg.value));
        let name = call.name.text.as_str();
        let fault = if layer::is_layer(name) {
            Diagnostic::error(format!("the layer `{name}` stands alone"), call.span, "a value is needed here")
                .help(applied(name, args))
        } else {
            let help = foreign::function(name).unwrap_or_else(|| suggest(name, &functions::names()));
            Diagnostic::error(format!("unknown function `{name}`"), call.name.span, "not known").help(help)
        };
        self.faults.push(fault);
    }

    fn sum(&mut self, terms: &[(bool, Expr)]) -> Option<Type> {
        let kinds: Vec<_> = terms.iter().map(|(_, term)| self.value(term)).collect();
        if kinds.iter().all(|k| matches!(k, None | Some(Type::Number))) {
            return Some(Type::Number).filter(|_| kinds.iter().all(Option::is_some));
        }
        let shortcut = |k: &&Option<Type>| **k == Some(Type::Shortcut);
        let maps = kinds.iter().any(|k| matches!(k, None | Some(Type::Map)));
        let mut shortcuts = terms.iter().zip(&kinds).filter(|(_, kind)| shortcut(kind));
        if let (true, Some(((_, second), _))) = (maps, shortcuts.clone().nth(1)) {
            let fault = Diagnostic::error("`shortcut` is added twice", second.span, "again here");
            self.faults.push(fault.help("it takes its shape from another term of the sum"));
        } else if let (false, Some(((_, first), _))) = (maps, shortcuts.next()) {
            self.faults.push(unshaped(first.span));
        }
        Some(Type::Map)
    }

    /// Of maps and numbers; nothing can be divided by a map. A product with the shortcut has no shape either, until
    /// it is a term of a sum.
    fn product(&mut self, factors: &[(bool, Expr)]) -> Option<Type> {
        let kinds: Vec<_> = factors.iter().map(|(_, factor)| self.value(factor)).collect();
        for ((divisor, factor), kind) in factors.iter().zip(&kinds) {
            if *divisor && matches!(kind, Some(Type::Map | Type::Shortcut)) {
                let fault =
                    Diagnostic::error("a number is needed here", factor.span, "this is a feature map");
                self.faults.push(fault.help("feature maps can be divided by numbers only"));
            }
        }
        let of = |wanted: Type| kinds.contains(&Some(wanted));
        if kinds.iter().any(Option::is_none) {
            return None;
        }
        Some(if of(Type::Shortcut) {
            Type::Shortcut
        } else if of(Type::Map) {
            Type::Map
        } else {
            Type::Number
        })
    }

    fn layer(&mut self, call: &Call) {
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
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

    /// Counts all names in an expression as used, whatever is wrong with it.
    fn touch(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(_) => {}
            ExprKind::Negate(inner) => self.touch(inner),
            ExprKind::Sum(parts) | ExprKind::Product(parts) => {
                parts.iter().for_each(|(_, part)| self.touch(part));
            }
            ExprKind::Call(call) => self.touch_call(call),
            ExprKind::Pipeline(start, calls) => {
                self.touch(start);
                calls.iter().for_each(|call| self.touch_call(call));
            }
        }
    }

    fn touch_call(&mut self, call: &Call) {
        if let Some(variable) = self.scope.iter_mut().find(|v| v.name == call.name.text) {
            variable.used = true;
        }
        call.args.iter().flatten().for_each(|arg| self.touch(&arg.value));
    }
}

/// How a layer is applied that is written as a function: `relu(x)`.
fn applied(name: &str, args: &[Arg]) -> String {
    match args {
        [Arg { name: None, value }] if layer::is_complete(name) => {
            format!("apply it to a value by an arrow: `{} -> {name}`", bare_name(value).unwrap_or("..."))
        }
        _ => format!("apply it to a value: `x -> {name}(...)`"),
    }
}

/// Whether a name has a meaning of its own, so that no binding or parameter may take it.
fn is_reserved(name: &str) -> bool {
    let variables = variables::PLACE.iter().chain(variables::UNIT).chain(variables::CONSTANTS);
    variables.map(|variable| variable.name).any(|known| known == name)
        || layer::is_layer(name)
        || functions::names().contains(&name)
}

/// The shortcut, or a product with it, where nothing gives it a shape.
fn unshaped(span: Span) -> Diagnostic {
    let fault =
        Diagnostic::error("`shortcut` has no shape here", span, "not a term of a sum with a feature map");
    fault.help("it takes its shape from another term: `main + shortcut`")
}
