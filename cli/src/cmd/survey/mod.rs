//! `resnetc data inspect`: what a data set consists of.

mod report;
mod sheet;

use resnetc::{Spec, SpecOptions};
use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::data::survey::{Survey, survey};
use resnetc_runtime::data::{Dataset, Places, Source};

use self::report::Report;
use super::data::{self, Wanted};
use super::spec;
use crate::args::{DataAction, DataCommand, DataInspectArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::progress::Progress;

/// Runs the command.
pub fn data(args: &DataCommand, environment: &Environment, output: &Output) -> Result {
    match &args.action {
        DataAction::Inspect(args) => inspect(args, environment, output),
    }
}

fn inspect(args: &DataInspectArgs, environment: &Environment, output: &Output) -> Result {
    let (spec, dataset) = load(args, environment, output)?;
    let threads = args.threads.unwrap_or_else(available_threads);
    let surveys = [&dataset.train, &dataset.test].map(|source| read(&**source, threads, output));
    let report = Report::new(&dataset, &surveys);
    output.result(&match args.json {
        true => serde_json::to_string(&report).expect("a report has only string keys"),
        false => report.text(output.page.columns),
    })?;
    if let Some(path) = &args.html {
        files::write(path, sheet::html(&spec, &dataset, &report)?.as_bytes())?;
        output.note(&format!("wrote {}", path.display()))?;
    }
    if report.is_sound() { Ok(()) } else { Err(Failure::Found) }
}

/// The pictures, and the spec that says how they are split and prepared.
fn load(args: &DataInspectArgs, environment: &Environment, output: &Output) -> Result<(Spec, Dataset)> {
    let wanted = data::find(&args.source)?;
    let (network, mut set) = match &args.spec {
        Some(name) => (name.as_str(), Vec::new()),
        None => wanted.network()?,
    };
    set.push(wanted.set());
    set.extend(args.overrides.sets());
    let options = SpecOptions { set, limits: args.overrides.bounds.limits() };
    let spec = spec::load(network, &options, output)?;
    let dataset = match &wanted {
        Wanted::Named(facts) => {
            let data_dir = args.data_dir.clone().or_else(|| environment.data());
            let places = Places { data_dir, cache: environment.cache(), download: true };
            data::load(facts.name, &places, output)?
        }
        Wanted::Path(path) => data::pictures(path, &spec.resolved().train, output)?,
    };
    Ok((spec, dataset))
}

fn read(source: &dyn Source, threads: usize, output: &Output) -> Survey {
    let bar = Progress::count(output, &format!("reading {}", source.name()), source.len() as u64);
    survey(source, threads, &mut |done| bar.set(done as u64))
}
