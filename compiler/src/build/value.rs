//! Expressions of the unit language: numbers, feature maps, and the shortcut, which waits for a shape.

use super::builder::{Builder, Item, Like, Map, Result, Scope};
use crate::diagnostic::Diagnostic;
use crate::ir::graph::Value;
use crate::ir::op::{Add, Concat, Epilogue, Mul, Op, ScaleShift};
use crate::source::Span;
use crate::spec::language::layer::{self, Bound, Layer};
use crate::spec::language::number;
use crate::spec::language::tree::{Arg, Call, Expr, ExprKind};

impl Builder<'_> {
    pub(super) fn value(&mut self, expr: &Expr, scope: &Scope) -> Result<Item> {
        match &expr.kind {
            ExprKind::Call(call) if call.name.text == "shortcut" && self.like.is_some() => {
                self.shortcut_call(call, scope).map(Item::Map)
            }
            ExprKind::Call(call) if call.args.is_none() && scope.contains_key(&call.name.text) => {
                Ok(scope[&call.name.text])
            }
            ExprKind::Call(Call { name, args: Some(args), span }) if name.text == "concat" => {
                self.concat(args, *span, scope).map(Item::Map)
            }
            ExprKind::Pipeline(start, calls) => {
                let start = self.map(start, scope)?;
                self.pipeline(calls, start, scope).map(Item::Map)
            }
            ExprKind::Sum(terms) => self.sum(expr, terms, scope),
            ExprKind::Product(factors) => self.product(expr, factors, scope),
            ExprKind::Negate(inner) => Ok(match self.value(inner, scope)? {
                Item::Map(map) => Item::Map(self.scale_shift(map, -1.0, 0.0, expr.span)?),
                Item::Number(_) | Item::Shortcut => Item::Number(self.number(expr, scope)?),
            }),
            ExprKind::Number(_) | ExprKind::Call(_) => self.number(expr, scope).map(Item::Number),
        }
    }

    pub(super) fn map(&mut self, expr: &Expr, scope: &Scope) -> Result<Map> {
        match self.value(expr, scope)? {
            Item::Map(map) => Ok(map),
            Item::Number(_) | Item::Shortcut => unreachable!("the checker found a feature map here"),
        }
    }

    fn number(&self, expr: &Expr, scope: &Scope) -> Result<f64> {
        number::eval(expr, &|name| match scope.get(name) {
            Some(&Item::Number(value)) => Some(value),
            _ => None,
        })
    }

    pub(super) fn pipeline(&mut self, calls: &[Call], start: Map, scope: &Scope) -> Result<Map> {
        self.pipeline_with(calls, start, scope, |_| true)
    }

    /// The layers that are wanted, after one another.
    pub(super) fn pipeline_with(
        &mut self,
        calls: &[Call],
        start: Map,
        scope: &Scope,
        wanted: fn(&Layer) -> bool,
    ) -> Result<Map> {
        calls.iter().try_fold(start, |map, call| {
            let bound: Bound<'_> = layer::bind(call).expect("the checker bound this call");
            let layer = match bound.resolve(&mut |expr| self.number(expr, scope))? {
                Layer::Norm(_) if bound.is_plain_norm() => Layer::Norm(self.spec.norm),
                layer => layer,
            };
            if wanted(&layer) { self.layer(layer, call.span, map) } else { Ok(map) }
        })
    }

    /// Terms are built in order of writing and added from the left, numbers with the first map; those with the shortcut
    /// wait for a term with a shape.
    fn sum(&mut self, expr: &Expr, terms: &[(bool, Expr)], scope: &Scope) -> Result<Item> {
        let mut items = Vec::new();
        for (minus, term) in terms {
            let waits = mentions_shortcut(term);
            let item = if waits { Err(()) } else { Ok(self.value(term, scope)?) };
            items.push((*minus, term, item));
        }
        if items.iter().all(|(_, _, item)| matches!(item, Ok(Item::Number(_)))) {
            return self.number(expr, scope).map(Item::Number);
        }
        let like = items.iter().find_map(|(_, term, item)| match item {
            Ok(Item::Map(map)) => Some(Like { map: *map, span: term.span, made: None }),
            Ok(Item::Number(_) | Item::Shortcut) | Err(()) => None,
        });
        let (mut offset, mut maps) = (0.0, Vec::new());
        for (minus, term, item) in items {
            let map = match item {
                Ok(Item::Number(value)) => {
                    offset += if minus { -value } else { value };
                    continue;
                }
                Ok(Item::Map(map)) => map,
                Ok(Item::Shortcut) => unreachable!("a mention of the shortcut waits"),
                Err(()) => {
                    let like = like.expect("the checker found a feature map in this sum");
                    let outer = self.like.replace(like);
                    let map = self.map(term, scope)?;
                    self.like = outer;
                    map
                }
            };
            let sign = if minus { -1.0 } else { 1.0 };
            let map = self.scale_shift(map, sign, std::mem::take(&mut offset), expr.span)?;
            maps.push((map, term.span));
        }
        let mut maps = maps.into_iter();
        let (mut total, first) = maps.next().expect("the checker found a feature map in this sum");
        for (map, span) in maps {
            total = self.add(total, first, map, span, expr.span)?;
        }
        self.scale_shift(total, 1.0, offset, expr.span).map(Item::Map)
    }

    /// Maps are multiplied from the left, the product of the numbers last.
    fn product(&mut self, expr: &Expr, factors: &[(bool, Expr)], scope: &Scope) -> Result<Item> {
        let (mut scale, mut total) = (1.0, None);
        for (divisor, factor) in factors {
            match self.value(factor, scope)? {
                Item::Number(0.0) if *divisor => {
                    return Err(Box::new(Diagnostic::error("division by zero", factor.span, "this is 0")));
                }
                Item::Number(value) if *divisor => scale /= value,
                Item::Number(value) => scale *= value,
                Item::Map(map) => {
                    total = Some(match total {
                        None => (map, factor.span),
                        Some((left, span)) => (self.multiply(left, span, map, factor.span, expr.span)?, span),
                    });
                }
                Item::Shortcut => unreachable!("a mention of the shortcut waits for its sum"),
            }
        }
        match total {
            None => self.number(expr, scope).map(Item::Number),
            Some((map, _)) => self.scale_shift(map, scale, 0.0, expr.span).map(Item::Map),
        }
    }

    /// `scale * x + shift`; `x` itself where that changes nothing.
    pub(super) fn scale_shift(&mut self, x: Map, scale: f64, shift: f64, span: Span) -> Result<Map> {
        if (scale, shift) == (1.0, 0.0) {
            return Ok(x);
        }
        let op = Op::ScaleShift(ScaleShift { scale: scale as f32, shift: shift as f32 });
        Ok(Map { value: self.node("scale", op, span, &[x.value])?.into(), channels: x.channels })
    }

    fn multiply(&mut self, a: Map, a_span: Span, b: Map, b_span: Span, whole: Span) -> Result<Map> {
        if a.channels != b.channels {
            let text = format!("{} channels", a.channels);
            let fault = Diagnostic::error("these cannot be multiplied", a_span, text);
            let fault = fault.label(b_span, format!("{} channels", b.channels));
            return Err(Box::new(fault.help("a gate has as many channels as what it multiplies")));
        }
        let op = Op::Mul(Mul { epilogue: Epilogue::default() });
        Ok(Map { value: self.node("mul", op, whole, &[a.value, b.value])?.into(), channels: a.channels })
    }

    /// Channels after one another; that the images agree is shape inference's to say.
    fn concat(&mut self, args: &[Arg], span: Span, scope: &Scope) -> Result<Map> {
        let maps = args.iter().map(|arg| self.map(&arg.value, scope)).collect::<Result<Vec<Map>>>()?;
        let channels = maps.iter().try_fold(0usize, |sum, map| {
            sum.checked_add(map.channels).filter(|&sum| sum <= layer::MAX_CHANNELS)
        });
        let Some(channels) = channels else {
            let fault = Diagnostic::error("too many channels", span, "put together here");
            return Err(Box::new(fault.help(format!("{} are the limit", layer::MAX_CHANNELS))));
        };
        let operands: Vec<Value> = maps.iter().map(|map| map.value).collect();
        let node = self.node("concat", Op::Concat(Concat { operands: operands.len() }), span, &operands)?;
        Ok(Map { value: node.into(), channels })
    }

    fn add(&mut self, a: Map, a_span: Span, b: Map, b_span: Span, whole: Span) -> Result<Map> {
        if a.channels != b.channels {
            let fault =
                Diagnostic::error("these cannot be added", a_span, format!("{} channels", a.channels));
            let fault = fault.label(b_span, format!("{} channels", b.channels));
            return Err(Box::new(fault.help("`conv1x1(f)` gives a branch `f` channels")));
        }
        let node = self.node("add", Op::Add(Add { act: None }), whole, &[a.value, b.value])?;
        Ok(Map { value: node.into(), channels: a.channels })
    }
}

/// Whether an expression waits for the shape of the shortcut in it. A sum does not: one of its own terms gives the shape.
fn mentions_shortcut(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Sum(_) => false,
        ExprKind::Call(call) => call.name.text == "shortcut",
        ExprKind::Negate(inner) | ExprKind::Pipeline(inner, _) => mentions_shortcut(inner),
        ExprKind::Product(factors) => factors.iter().any(|(_, factor)| mentions_shortcut(factor)),
    }
}
