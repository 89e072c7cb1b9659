//! `resnetc data`: what a data set consists of, and its pictures in one file.

mod open;
mod pack;
mod report;
mod sheet;

use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::data::Source;
use resnetc_runtime::data::survey::{Survey, survey};

use self::open::load;
use self::report::Report;
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
        DataAction::Pack(args) => pack::pack(args, environment, output),
    }
}

fn inspect(args: &DataInspectArgs, environment: &Environment, output: &Output) -> Result {
    let (spec, dataset) = load(&args.from, environment, output)?;
    let threads = args.from.threads.unwrap_or_else(available_threads);
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

fn read(source: &dyn Source, threads: usize, output: &Output) -> Survey {
    let bar = Progress::count(output, &format!("reading {}", source.name()), source.len() as u64);
    survey(source, threads, &mut |done| bar.set(done as u64))
}
