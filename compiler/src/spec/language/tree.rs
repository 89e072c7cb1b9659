//! The syntax tree of the unit language: units, pipelines and formulas.

use crate::source::Span;

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A unit: parameters and bindings, of which `out` is the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// What stages call it.
    pub name: Name,
    /// Numbers it takes.
    pub params: Vec<Param>,
    /// In order of writing.
    pub bindings: Vec<Binding>,
    /// Whether it is compiled in.
    pub builtin: bool,
}

impl Unit {
    /// Number of expressions in it: what building it once costs.
    pub fn size(&self) -> usize {
        let params: usize = self.params.iter().map(|p| 1 + p.default.as_ref().map_or(0, Expr::size)).sum();
        let bindings: usize = self.bindings.iter().map(|b| b.value.size()).sum();
        params + bindings
    }
}

/// `groups=1`
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Value where the caller gives none; may use parameters before it.
    pub default: Option<Expr>,
}

/// `main = ...`
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// A value: a number or a feature map.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

impl Expr {
    fn size(&self) -> usize {
        1 + match &self.kind {
            ExprKind::Number(_) => 0,
            ExprKind::Call(call) => call.size(),
            ExprKind::Negate(inner) => inner.size(),
            ExprKind::Sum(parts) | ExprKind::Product(parts) => {
                parts.iter().map(|(_, part)| part.size()).sum()
            }
            ExprKind::Pipeline(start, calls) => start.size() + calls.iter().map(Call::size).sum::<usize>(),
        }
    }
}

impl Call {
    /// Number of expressions in it.
    pub fn size(&self) -> usize {
        1 + self.args.iter().flatten().map(|arg| arg.value.size()).sum::<usize>()
    }
}

/// Kinds of [`Expr`].
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A literal.
    Number(f64),
    /// `f`, `concat(a, b)`, `sqrt(fan_in)`: a variable or a function.
    Call(Call),
    /// `-a`
    Negate(Box<Expr>),
    /// `a + b - c`: at least two terms; `true` marks a subtracted one.
    Sum(Vec<(bool, Expr)>),
    /// `a * b / c`: at least two factors; `true` marks a divisor.
    Product(Vec<(bool, Expr)>),
    /// `x -> conv3x3(f) -> bn`: at least one layer.
    Pipeline(Box<Expr>, Vec<Call>),
}

/// `conv3x3(f, stride=2)`, or a name alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What is called.
    pub name: Name,
    /// With what; `None` without brackets.
    pub args: Option<Vec<Arg>>,
    /// All of it.
    pub span: Span,
}

/// One argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    /// `stride` in `stride=2`.
    pub name: Option<Name>,
    /// Its value.
    pub value: Expr,
}

/// The name that an expression is, if it is nothing else.
pub fn bare_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Call(call) if call.args.is_none() => Some(&call.name.text),
        _ => None,
    }
}
