//! A training step within a limit of memory: which parts of the network are computed again in the backward pass.
//!
//! What may be done to a part is first its light half, then the whole of it ([`Depth`]). All that is put in order by the time
//! that it takes for each byte that it saves, and as little of it is taken, from the cheapest on, as makes the plan fit.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::Diagnostic;
use crate::ir::graph::{Graph, Mode};
use crate::ir::origin::Part;
use crate::ir::recompute::{Depth, Recompute};
use crate::lower;
use crate::ops::Cost;
use crate::pass::recompute::Again;
use crate::pass::{self, Pass, PassContext};
use crate::report::{Dump, Target};
use crate::source::Span;
use crate::spec::{ResolvedSpec, size};

/// Multiply-accumulates in the time in which a byte goes through memory. Processors do about so many; graphics cards do more, where
/// it is only the order of the whole that may change, not that passes over memory come first.
const MACS_PER_BYTE: f64 = 8.0;

/// Shares of all that may be done that are tried before a limit is refused.
const PARTS: usize = 4;

/// No choice fits: bytes of the smallest plan that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TooLittle(usize);

/// Something that may be done.
struct Move {
    part: Part,
    depth: Depth,
    /// Time for each byte that it saves beyond what is done to the part before it.
    price: f64,
}

/// What the backward pass computes again so that the plan is within the spec's `memory_limit`; nothing where it fits as it is. The
/// graph is that of a training for a batch, before the first of the passes `rest`, which decides what is computed again.
///
/// # Errors
/// Where no choice fits: with the bytes that the least takes, and the largest batch that fits, which `other` compiles for.
pub(crate) fn recomputation(
    spec: &ResolvedSpec,
    target: &Target,
    graph: &Graph,
    (rest, context): (&[Pass], &PassContext),
    other: impl Fn(usize) -> Option<Graph>,
) -> Result<Recompute, Vec<Diagnostic>> {
    let limit = spec.train.memory_limit.filter(|_| target.mode == Mode::Train);
    let Some(limit) = limit.filter(|_| target.step.has_backward()) else {
        return Ok(Recompute::new());
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let bytes = |graph: &Graph, choice: &Recompute| {
        let context = PassContext { recompute: choice.clone(), dump: Dump::Never, ..context.clone() };
        let (graph, _) =
            pass::run_list(graph.clone(), rest, &context).expect("these passes find no mistakes");
        lower::lower(&graph, &target.backend).bytes()
    };
    choose(graph, limit, |choice| bytes(graph, choice)).map_err(|TooLittle(least)| {
        let fits = |batch: usize| {
            other(batch).is_some_and(|graph| choose(&graph, limit, |choice| bytes(&graph, choice)).is_ok())
        };
        vec![refusal(spec, target.batch, least, largest(target.batch, fits))]
    })
}

/// The largest batch below that many images that fits, where one does. What fits is taken to fit with fewer images, too.
fn largest(below: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, below);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        match fits(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    (low > 0).then_some(low)
}

fn refusal(spec: &ResolvedSpec, batch: usize, least: usize, fitting: Option<usize>) -> Diagnostic {
    let span = spec.keys.nearest("train.memory_limit").unwrap_or(Span::NONE);
    let limit = size::text(spec.train.memory_limit.unwrap_or(0));
    let fault = Diagnostic::error(
        format!(
            "a step of {batch} images does not fit into {limit}: with all that can be computed again it takes {}",
            rounded(least)
        ),
        span,
        "the limit",
    );
    fault.help(match fitting {
        Some(largest) => format!("the largest batch that fits has {largest} images"),
        None => "not even one image fits: smaller images or fewer filters take less".to_owned(),
    })
}

/// `3.2 GiB`, rounded up to a tenth.
fn rounded(bytes: usize) -> String {
    let (unit, name) = if bytes >= 1 << 30 { (1 << 30, "GiB") } else { (1 << 20, "MiB") };
    let tenths = (bytes * 10).div_ceil(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// The choice that makes the plan fit; nothing where it fits as it is. `bytes` tells what a plan takes with a choice.
///
/// The graph is in the stage `Differentiated`, where nothing is computed again yet.
fn choose(
    graph: &Graph,
    limit: usize,
    mut bytes: impl FnMut(&Recompute) -> usize,
) -> Result<Recompute, TooLittle> {
    let plain = bytes(&Recompute::new());
    if plain <= limit {
        return Ok(Recompute::new());
    }
    let moves = moves(graph);
    // Not all that saves memory by itself saves it beside the rest: where all of it does not fit, a part of it may.
    let mut least = plain;
    let fits = (1..=PARTS).rev().map(|part| moves.len() * part / PARTS).find(|&count| {
        least = least.min(bytes(&first(&moves, count)));
        least <= limit
    });
    // The first `low` moves do not fit, the first `high` do.
    let (mut low, mut high) = (0, fits.ok_or(TooLittle(least))?);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        match bytes(&first(&moves, middle)) <= limit {
            true => high = middle,
            false => low = middle,
        }
    }
    Ok(first(&moves, high))
}

/// What some of the first moves come to.
fn first(moves: &[Move], count: usize) -> Recompute {
    let mut choice = Recompute::new();
    for Move { part, depth, .. } in &moves[..count] {
        let chosen = choice.entry(*part).or_insert(*depth);
        *chosen = (*chosen).max(*depth);
    }
    choice
}

/// All moves that save something, the cheapest first; of equal ones, as the network has them.
fn moves(graph: &Graph) -> Vec<Move> {
    let parts: BTreeSet<Part> = graph.ids().map(|id| graph.node(id).part).collect();
    let mut moves: Vec<Move> = Vec::new();
    for part in parts.into_iter().filter(|&part| part != Part::Network) {
        let mut done = (0.0, 0.0);
        for depth in [Depth::Light, Depth::Full] {
            let again = Again::of(graph, part, depth);
            let (saved, time) = (again.saved() as f64, time(&again));
            if saved > done.0 {
                moves.push(Move { part, depth, price: (time - done.1) / (saved - done.0) });
                done = (saved, time);
            }
        }
    }
    moves.sort_by(|a, b| a.price.total_cmp(&b.price));
    moves
}

/// How long computing it again takes, in bytes that go through memory.
fn time(again: &Again<'_>) -> f64 {
    let of = |cost: Cost| (cost.read + cost.written) as f64 + cost.macs as f64 / MACS_PER_BYTE;
    again.costs().map(of).sum()
}

/// How many parts are computed again, to each depth.
pub fn counts(choice: &Recompute) -> BTreeMap<Depth, usize> {
    let mut counts = BTreeMap::new();
    for depth in choice.values() {
        *counts.entry(*depth).or_insert(0) += 1;
    }
    counts
}
