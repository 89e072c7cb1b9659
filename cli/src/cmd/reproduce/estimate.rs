//! What is going to be done, and about how long it takes, said before it begins.

use std::time::Duration;

use resnetc::DeviceKind;
use resnetc_compiler::ir::graph::Mode;
use resnetc_runtime::memory::memory;

use super::super::setup::Setup;
use super::super::workload::{Effort, Workload};
use super::plan::{Plan, Planned};
use super::report::{epochs, published, scale};
use crate::failure::Result;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::table::{Align, Table};
use crate::report::units::{bytes, counted, duration, grouped};
use crate::runs;

/// Says what the rows are, and how long their trainings take by a step's measured time.
///
/// # Errors
/// The device's.
pub fn tell(plan: &Plan<'_>, dry: bool, setup: &Setup, output: &Output) -> Result {
    let estimates = measured(plan, setup, output)?;
    let about = &plan.table.table;
    let source = about.source.as_ref().map_or(String::new(), |source| format!("\nsource    {source}"));
    output.note(&format!("table     {}{source}\n{}", about.title, scale(plan)))?;
    let text = table(plan, &estimates).within(output.page.columns);
    // A dry run is asked for this alone.
    if dry {
        output.result(&text)?
    } else {
        output.note(&text)?
    }
    for (row, needed) in
        plan.rows.iter().zip(&estimates).filter_map(|(row, estimate)| Some((row, estimate.as_ref().err()?)))
    {
        let (id, needed) = (&row.row.id.value, bytes(*needed));
        output.warn(&format!(
            "warning: a step of `{id}` takes {needed}, more than is free: --set train.memory_limit=4GiB computes maps again, --rows leaves it out"
        ));
    }
    let count = plan.rows.len() * plan.seeds;
    let take = if count == 1 { "takes" } else { "take" };
    let all = time(estimates.iter().flatten().map(|estimate| estimate.takes).sum());
    output
        .note(&format!("{} {take} about {all}, and evaluations come on top", counted(count, "training")))?;
    output.note(&format!("out       {}", plan.out.display()))
}

/// What a row takes, in seconds; the bytes that a step needs, where there are not so many.
type Estimated = std::result::Result<Estimate, usize>;

struct Estimate {
    /// A training step.
    step: f64,
    /// All that is still to be trained.
    takes: f64,
}

fn measured(plan: &Plan<'_>, setup: &Setup, output: &Output) -> Result<Vec<Estimated>> {
    let bar = Progress::count(output, "measuring a step of each", plan.rows.len() as u64);
    let mut estimates = Vec::with_capacity(plan.rows.len());
    for (done, row) in plan.rows.iter().enumerate() {
        bar.set(done as u64);
        bar.say(row.row.id.value.clone());
        let steps = (row.batches() * left(plan, row)?) as f64;
        estimates.push(step(row, setup)?.map(|step| Estimate { step, takes: step * steps }));
    }
    Ok(estimates)
}

fn table(plan: &Plan<'_>, estimates: &[Estimated]) -> Table {
    let mut table = Table::new(&[
        ("row", Align::Left),
        ("network", Align::Left),
        ("parameters", Align::Right),
        ("published", Align::Right),
        ("error", Align::Right),
        ("epochs", Align::Right),
        ("a step", Align::Right),
        ("takes", Align::Right),
    ]);
    for (row, estimate) in plan.rows.iter().zip(estimates) {
        let figure = |of: fn(&Estimate) -> f64| estimate.as_ref().map_or("-".to_owned(), |e| time(of(e)));
        table.row([
            row.row.id.value.clone(),
            row.row.name.clone(),
            grouped(row.job.size().0),
            row.row.params.as_ref().map_or("-".to_owned(), |params| params.value.to_string()),
            published(row.row.published),
            epochs(row),
            figure(|estimate| estimate.step),
            figure(|estimate| estimate.takes),
        ]);
    }
    table
}

fn time(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds))
}

/// Seconds of a training step; the bytes that it needs, where there are not so many.
fn step(row: &Planned<'_>, setup: &Setup) -> Result<std::result::Result<f64, usize>> {
    let workload = Workload::of(row.job.spec.clone(), Mode::Train, None, setup.device.clone())?;
    let needed = workload.plan.bytes();
    let on_host = match setup.device.kind {
        DeviceKind::Cpu | DeviceKind::Reference => true,
        DeviceKind::Cuda(_) => false,
    };
    if on_host && memory().is_some_and(|memory| needed > memory.free) {
        return Ok(Err(needed));
    }
    Ok(Ok(workload.measure(&Effort::ESTIMATE)?.0))
}

/// Epochs that are still to be trained, of all seeds.
fn left(plan: &Plan<'_>, row: &Planned<'_>) -> Result<usize> {
    let folders = plan.folders(row)?;
    Ok(folders.iter().map(|folder| row.epochs().saturating_sub(runs::epochs(folder).len())).sum())
}
