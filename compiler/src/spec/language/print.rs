//! The syntax tree as text, which parses back to it.

use std::fmt::{self, Display};

use super::tree::{Arg, Call, Expr, ExprKind};

/// Layers after one another.
pub struct Layers<'c>(pub &'c [Call]);

impl Display for Layers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, call) in self.0.iter().enumerate() {
            write!(f, "{}{call}", if i == 0 { "" } else { " -> " })?;
        }
        Ok(())
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.text)?;
        let Some(args) = &self.args else { return Ok(()) };
        for (i, Arg { name, value }) in args.iter().enumerate() {
            f.write_str(if i == 0 { "(" } else { ", " })?;
            if let Some(name) = name {
                write!(f, "{}=", name.text)?;
            }
            write!(f, "{value}")?;
        }
        f.write_str(if args.is_empty() { "()" } else { ")" })
    }
}

impl Display for Expr {
    /// With brackets around every part that is itself composed; the tree parses back to itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = |f: &mut fmt::Formatter<'_>, parts: &[(bool, Expr)], signs: [&str; 2]| {
            for (i, (inverse, part)) in parts.iter().enumerate() {
                if i > 0 {
                    write!(f, " {} ", signs[usize::from(*inverse)])?;
                }
                part.fmt_part(f)?;
            }
            Ok(())
        };
        match &self.kind {
            ExprKind::Number(value) => write!(f, "{value}"),
            ExprKind::Call(call) => call.fmt(f),
            ExprKind::Negate(inner) => {
                f.write_str("-")?;
                inner.fmt_part(f)
            }
            ExprKind::Sum(terms) => chain(f, terms, ["+", "-"]),
            ExprKind::Product(factors) => chain(f, factors, ["*", "/"]),
            ExprKind::Pipeline(start, calls) => {
                start.fmt_part(f)?;
                write!(f, " -> {}", Layers(calls))
            }
        }
    }
}

impl Expr {
    fn fmt_part(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ExprKind::Number(_) | ExprKind::Call(_) => self.fmt(f),
            ExprKind::Negate(_) | ExprKind::Sum(_) | ExprKind::Product(_) | ExprKind::Pipeline(..) => {
                write!(f, "({self})")
            }
        }
    }
}
