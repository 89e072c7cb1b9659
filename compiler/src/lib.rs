//! `resnetc-compiler`: from a declarative spec of a residual network to an executable plan.
//!
//! ```text
//! YAML text -> RawSpec -> ResolvedSpec -> Graph: Built -> Typed -> Expanded -> Fused -> Differentiated -> Plan
//! ```
//!
//! The crate is pure: no device, no clock, no randomness, no printing.

#![forbid(unsafe_code)]

pub mod backend;
pub mod build;
pub mod datasets;
pub mod diagnostic;
pub mod diff;
pub mod explain;
pub mod ir;
pub mod keep;
pub mod lint;
pub mod lower;
pub mod memory;
pub mod ops;
pub mod pass;
pub mod plan;
pub mod report;
pub mod scaling;
pub mod sizes;
pub mod source;
pub mod spec;
mod summary;
pub mod tables;

use backend::Backend;
use diagnostic::Diagnostic;
use ir::graph::{Graph, Mode};
use ir::ranks::Ranks;
use ir::recompute::Recompute;
use keep::{Names, NotKept};
use pass::{PassContext, PassId};
use report::{Compiled, Dump, Network, Target};
use source::Span;
use spec::ResolvedSpec;
use spec::train::{Parallel, TrainConfig};

/// Compiles a network: the whole way from the resolved spec to the plan.
///
/// # Errors
/// All mistakes of the spec that only its shapes and figures show: maps that cannot be added, an `expect` that fails.
pub fn compile(spec: &ResolvedSpec, target: &Target) -> Result<Compiled, Vec<Diagnostic>> {
    compile_keeping(spec, target, &[]).map(|(compiled, _)| compiled)
}

/// Compiles a network so that the results of some nodes, by their names, are results of the plan too; those that a fused
/// kernel does not leave are told.
///
/// # Errors
/// See [`compile`].
pub fn compile_keeping(
    spec: &ResolvedSpec,
    target: &Target,
    keep: &[String],
) -> Result<(Compiled, Vec<NotKept>), Vec<Diagnostic>> {
    let context = context(spec, target);
    check_precision(spec, &target.backend)?;

    // What the network is.
    let Network { graph: mut expanded, mut summary, mut passes } = expand(spec, target)?;
    let mut faults = build::check_expect(spec, &summary);
    faults.extend(spec::train::groups::check(&spec.train, &spec.keys, &pass::parameters(&expanded)));
    faults.extend(sizes::check(spec, &expanded, |small| Ok(expand(small, target)?.graph)));
    if !faults.is_empty() {
        return Err(faults);
    }

    // What to run.
    if target.mode == Mode::Train {
        summary.kernels_before = summary::operators(&unfused(&expanded, &context)?);
    }
    let names = (!keep.is_empty()).then(|| Names::of(&expanded));
    mark(&mut expanded, spec, target);
    let back = pass::back(target.mode);
    let (to_graph, to_plan) = back.split_at(pass::before_recomputation(&back));
    let (whole, more) = pass::run_list(expanded, to_graph, &context)?;
    passes.extend(more);
    let other = |batch| {
        let mut graph = expand(spec, &Target { batch, ..target.clone() }).ok()?.graph;
        mark(&mut graph, spec, target);
        Some(pass::run_list(graph, to_graph, &PassContext { dump: Dump::Never, ..context.clone() }).ok()?.0)
    };
    let recompute = memory::recomputation(spec, target, &whole, (to_plan, &context), other)?;
    let (mut graph, more) =
        pass::run_list(whole, to_plan, &PassContext { recompute: recompute.clone(), ..context })?;
    passes.extend(more);
    let missing = names.map_or_else(Vec::new, |names| names.keep(&mut graph, keep));
    let plan = lower::lower(&graph, &target.backend);
    summary.kernels = plan.steps.len();
    summary.arena_bytes = plan.sizes.arena;
    Ok((Compiled { graph, plan, summary, passes, recompute }, missing))
}

/// Notes what a training step is for, and who shares it.
fn mark(graph: &mut Graph, spec: &ResolvedSpec, target: &Target) {
    graph.step = target.step;
    if target.ranks > 1 && target.mode == Mode::Train {
        let Parallel { sync_bn, wire, shard_optimizer, sync_every, .. } = spec.train.parallel;
        graph.ranks = Some(Ranks { count: target.ranks, sync_bn, wire, shard_optimizer, sync_every });
    }
}

/// The network in operators that every framework has, one for each layer: random layers are gone, nothing is fused and nothing
/// laid out. With `fold`, what a convolution can take in of the normalisation behind it is in its weights, and other normalisations
/// are [`ir::op::Affine`] maps.
///
/// # Errors
/// All mistakes of the spec that only its shapes and figures show.
pub fn portable(spec: &ResolvedSpec, batch: usize, fold: bool) -> Result<Graph, Vec<Diagnostic>> {
    let target = Target::new(Mode::Infer, batch);
    let Network { graph, summary, .. } = expand(spec, &target)?;
    let faults = build::check_expect(spec, &summary);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(pass::run_list(graph, &pass::portable(fold), &context(spec, &target))?.0)
}

/// What the network is, before anything is done to run it: the first half of [`compile`]. What the spec expects of its
/// figures is not looked at: [`build::check_expect`] does.
///
/// # Errors
/// All mistakes of the spec that only its shapes show.
pub fn expand(spec: &ResolvedSpec, target: &Target) -> Result<Network, Vec<Diagnostic>> {
    let built = build::build(spec, target.mode, target.batch)?;
    let (graph, passes) = pass::run_list(built, &pass::front(), &context(spec, target))?;
    let summary = summary::summarize(spec, &graph, &passes, target.batch);
    Ok(Network { graph, summary, passes })
}

/// Refuses what the backend cannot multiply in.
fn check_precision(spec: &ResolvedSpec, backend: &Backend) -> Result<(), Vec<Diagnostic>> {
    let TrainConfig { precision, .. } = spec.train;
    if backend.multiplies_in(precision) {
        return Ok(());
    }
    let word = spec.train.precision_word();
    let place = spec.keys.nearest("train.precision").unwrap_or(spec.name.span);
    let able = Backend::ALL.into_iter().filter(|other| other.multiplies_in(precision));
    let devices: Vec<String> = able.map(|other| format!("`--device {}`", other.name)).collect();
    let fault = Diagnostic::error(
        format!("the device `{}` does not multiply in {word}", backend.name),
        place,
        "asked for here",
    );
    Err(vec![
        fault.help(format!("write `precision: bf16`, or take a device that can: {}", devices.join(" or "))),
    ])
}

fn context(spec: &ResolvedSpec, target: &Target) -> PassContext {
    let TrainConfig { optimizer, lr, decay_norm, ref groups, .. } = spec.train;
    let groups = groups.clone();
    let optimizer_at = spec.keys.nearest("train.optimizer").unwrap_or(Span::NONE);
    let (backend, dump) = (target.backend, target.dump.clone());
    PassContext {
        optimizer,
        optimizer_at,
        lr,
        decay_norm,
        groups,
        recompute: Recompute::new(),
        backend,
        dump,
    }
}

/// The training graph as it would be without fusion, to count what fusion saves.
fn unfused(expanded: &Graph, context: &PassContext) -> Result<Graph, Vec<Diagnostic>> {
    let mut passes = pass::back(Mode::Train);
    passes.retain(|pass| [PassId::Differentiate, PassId::DeadCode].contains(&pass.id));
    let silent = PassContext { dump: Dump::Never, ..context.clone() };
    Ok(pass::run_list(expanded.clone(), &passes, &silent)?.0)
}
