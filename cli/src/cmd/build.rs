//! `resnetc build`: compile, and print what came out in the forms asked for.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use resnetc::Spec;
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::{Graph, Mode};
use resnetc_compiler::ir::step_kind::StepKind;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::plan::print::print;
use resnetc_compiler::report::{Compiled, Dump, PassReport, Target};
use resnetc_compiler::{build, ir, pass};

use super::scaling::scaling;
use super::{setup, spec};
use crate::args::{BuildArgs, DeviceArg, Emit};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::picture::{Fold, Subject};
use crate::report::resident::Beside;
use crate::report::scaling::Scaling;
use crate::report::summary::Summary;
use crate::{files, picture, report};

/// Runs the command.
pub fn build(args: &BuildArgs, environment: &Environment, output: &Output) -> Result {
    let (shown, filed) = destinations(args)?;
    let mode = if args.train { Mode::Train } else { Mode::Infer };
    let dump = match dump(args, mode)? {
        // The page shows the graph after every pass.
        Dump::Never if args.emit.contains(&Emit::Html) => Dump::All,
        dump => dump,
    };
    let started = Instant::now();
    let mut options = spec::options(&args.overrides);
    options.set.splice(0..0, args.memory_limit.as_ref().map(|size| format!("train.memory_limit={size}")));
    let spec = spec::load(&args.spec, &options, output)?;
    let batch = args.batch.unwrap_or(if args.train { spec.resolved().train.batch_size } else { 1 });
    let compiled =
        spec.compile(&Target { backend: args.backend, dump, ranks: args.ranks, ..Target::new(mode, batch) })?;
    let time = started.elapsed();
    // What goes to a file is as wide as it is.
    let width = output.page.columns.filter(|_| !filed.is_some_and(|(form, _)| form == Emit::Summary));
    let scaling = args.link.map(|link| scaling(args, link, &spec, &compiled.plan, environment, output));
    let scaling = scaling.transpose()?;
    let mean = mean(&spec, args, batch)?;
    // It is part of the summary in both of its forms.
    let told =
        [Emit::Summary, Emit::Json].iter().any(|form| args.emit.is_empty() || args.emit.contains(form));
    let beside = if told { beside(args, &compiled.plan, environment, output)? } else { None };
    let (fold, backend) = (args.fold, args.backend);
    let product = Product { spec, compiled, mean, fold, backend, time, width, beside, scaling };

    if args.explain_passes {
        output.result(&report::passes::explain(&product.compiled.passes))?;
    }
    if args.dump_after.is_some() {
        output.result(&report::passes::dumps(&product.compiled.passes))?;
    }
    for form in shown {
        output.result(&product.form(form))?;
    }
    if let Some(scaling) = product.scaling.as_ref().filter(|_| !told) {
        output.result(&scaling.text(width))?;
    }
    match filed {
        Some((form, path)) => files::write(path, product.form(form).as_bytes()),
        None => Ok(()),
    }
}

/// The plan by which ranks that update by their own gradients become one again.
fn mean(spec: &Spec, args: &BuildArgs, batch: usize) -> Result<Option<Plan>> {
    if args.ranks == 1 || spec.resolved().train.parallel.sync_every == 1 {
        return Ok(None);
    }
    let (backend, ranks, step) = (args.backend, args.ranks, StepKind::Synchronize);
    Ok(Some(spec.compile(&Target { backend, ranks, step, ..Target::new(Mode::Train, batch) })?.plan))
}

/// What a training on this machine's CPU takes besides the plan. Ranks copy gradients too, which is not known here.
fn beside(
    args: &BuildArgs,
    plan: &Plan,
    environment: &Environment,
    output: &Output,
) -> Result<Option<Beside>> {
    if !args.train || args.backend != Backend::CPU || args.ranks > 1 {
        return Ok(None);
    }
    let device = setup::device(DeviceArg::Cpu, args.threads, environment, output)?.open(plan.mode.into())?;
    Beside::plan(plan, &*device).map(Some)
}

/// A form and the file that it goes to.
type Filed<'a> = Option<(Emit, &'a Path)>;

/// Forms for standard output, and the one for the file.
fn destinations(args: &BuildArgs) -> Result<(Vec<Emit>, Filed<'_>)> {
    let mut forms = args.emit.clone();
    if forms.is_empty() && !args.explain_passes && args.dump_after.is_none() {
        forms.push(Emit::Summary);
    }
    let Some(path) = &args.output else { return Ok((forms, None)) };
    match forms.as_slice() {
        [form] => Ok((Vec::new(), Some((*form, path)))),
        [Emit::Summary, form] | [form, Emit::Summary] => Ok((vec![Emit::Summary], Some((*form, path)))),
        _ => Err(Failure::Usage("--output takes one form: give one --emit, or one besides summary".into())),
    }
}

fn dump(args: &BuildArgs, mode: Mode) -> Result<Dump> {
    let mut ids: Vec<_> = pass::front().iter().chain(&pass::back(mode)).map(|pass| pass.id).collect();
    // One pass may run more than once.
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    match args.dump_after.as_deref() {
        None => Ok(Dump::Never),
        Some("all") => Ok(Dump::All),
        Some(name) => match ids.iter().find(|id| id.name() == name) {
            Some(&id) => Ok(Dump::After(id)),
            None => {
                let names: Vec<&str> = ids.iter().map(|id| id.name()).collect();
                Err(Failure::Usage(format!("no pass is called `{name}`; there are {}", names.join(", "))))
            }
        },
    }
}

/// What was compiled, and how long it took from the spec's text on.
struct Product {
    spec: Spec,
    compiled: Compiled,
    /// Beside the plan of an update that each rank makes on its own.
    mean: Option<Plan>,
    fold: Option<Fold>,
    backend: Backend,
    time: Duration,
    /// Columns of the terminal, where it goes to one.
    width: Option<usize>,
    /// Memory of a training besides the plan's, where this machine can tell.
    beside: Option<Beside>,
    /// How long a step takes on several ranks, where that was asked for.
    scaling: Option<Scaling>,
}

impl Product {
    fn form(&self, form: Emit) -> String {
        let Compiled { graph, plan, .. } = &self.compiled;
        match form {
            Emit::Summary => {
                let scaling = self.scaling.as_ref().map(|scaling| format!("\n{}", scaling.text(self.width)));
                self.summary().text(self.width) + &scaling.unwrap_or_default()
            }
            Emit::Json => self.summary().json(self.scaling.as_ref()),
            Emit::Spec => self.spec.resolved().to_yaml(),
            Emit::Ir => graph.to_string(),
            Emit::Dot => ir::dot::dot(graph),
            Emit::Svg => picture::svg(&self.subject(), self.fold),
            Emit::Html => self.page(),
            Emit::Plan => {
                let mean = self.mean.as_ref().map_or(String::new(), |mean| format!("\n{}", print(mean)));
                print(plan) + &mean
            }
        }
    }

    fn summary(&self) -> Summary<'_> {
        let (compiled, mean, compile, beside) =
            (&self.compiled, self.mean.as_ref(), self.time, self.beside.as_ref());
        Summary { compiled, mean, compile, beside }
    }

    fn subject(&self) -> Subject<'_> {
        let Compiled { graph, summary, .. } = &self.compiled;
        Subject { graph, summary, spec: self.spec.resolved(), sources: self.spec.sources() }
    }

    /// The graph after every pass is told by another compilation, where the first was asked for that after one alone.
    fn page(&self) -> String {
        let expect = "what was compiled compiles again";
        let Graph { mode, .. } = self.compiled.graph;
        let batch = self.compiled.plan.batch;
        let built = build::build(self.spec.resolved(), mode, batch).expect(expect).to_string();
        let page = |passes: &[PassReport]| picture::html(&self.subject(), self.fold, &built, passes);
        if self.compiled.passes.iter().all(|pass| pass.dump.is_some()) {
            return page(&self.compiled.passes);
        }
        let target = Target { backend: self.backend, dump: Dump::All, ..Target::new(mode, batch) };
        page(&self.spec.compile(&target).expect(expect).passes)
    }
}
