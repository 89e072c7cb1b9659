//! Arithmetic of the unit language on numbers.

use super::functions::{self, Function};
use super::tree::{Call, Expr, ExprKind};
use crate::diagnostic::Diagnostic;

/// The value of an expression; `vars` knows the variables. What is no number (a feature map, a layer) is a fault.
pub fn eval(expr: &Expr, vars: &dyn Fn(&str) -> Option<f64>) -> Result<f64, Box<Diagnostic>> {
    let value = match &expr.kind {
        ExprKind::Number(value) => *value,
        ExprKind::Negate(inner) => -eval(inner, vars)?,
        ExprKind::Sum(terms) => {
            let mut sum = 0.0;
            for (minus, term) in terms {
                let value = eval(term, vars)?;
                sum += if *minus { -value } else { value };
            }
            sum
        }
        ExprKind::Product(factors) => {
            let mut product = 1.0;
            for (divided, factor) in factors {
                let value = eval(factor, vars)?;
                if *divided && value == 0.0 {
                    return Err(Box::new(Diagnostic::error("division by zero", factor.span, "this is 0")));
                }
                product = if *divided { product / value } else { product * value };
            }
            product
        }
        ExprKind::Call(call) => named(call, vars)?,
        ExprKind::Pipeline(..) => {
            return Err(Box::new(Diagnostic::error(
                "a number is needed here",
                expr.span,
                "this is a feature map",
            )));
        }
    };
    if value.is_finite() {
        return Ok(value);
    }
    Err(Box::new(Diagnostic::error("this number has no value", expr.span, format!("comes to {value}"))))
}

fn named(call: &Call, vars: &dyn Fn(&str) -> Option<f64>) -> Result<f64, Box<Diagnostic>> {
    let name = call.name.text.as_str();
    let Some(args) = &call.args else {
        let constant = match name {
            "true" => Some(1.0),
            "false" => Some(0.0),
            _ => None,
        };
        return vars(name).or(constant).ok_or_else(|| {
            Box::new(Diagnostic::error(format!("`{name}` is not a number here"), call.span, "not known"))
        });
    };
    let Some(&Function { arity, value: function, .. }) = functions::find(name) else {
        return Err(Box::new(Diagnostic::error(
            format!("unknown function `{name}`"),
            call.name.span,
            "not known",
        )));
    };
    if args.len() != arity {
        let fault = format!("`{name}` takes {arity} argument{}", if arity == 1 { "" } else { "s" });
        return Err(Box::new(Diagnostic::error(fault, call.span, format!("given {}", args.len()))));
    }
    let values = args.iter().map(|a| eval(&a.value, vars)).collect::<Result<Vec<_>, _>>()?;
    Ok(function(&values))
}
