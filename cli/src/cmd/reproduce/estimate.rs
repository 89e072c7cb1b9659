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
use crate::report::units::{bytes, duration, grouped};
use crate::runs;

/// Says what the rows are, and how long their trainings take by a step's measured time.
///
/// # Errors
/// The device's.
pub fn tell(plan: &Plan<'_>, dry: bool, setup: &Setup, output: &Output) -> Result {
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
    let bar = Progress::count(output, "measuring a step of each", plan.rows.len() as u64);
    let (mut all, mut too_large) = (0.0, Vec::new());
    for (done, row) in plan.rows.iter().enumerate() {
        bar.set(done as u64);
        bar.say(row.row.id.value.clone());
        let step = step(row, setup)?;
        let takes = step.ok().map(|step| left(plan, row).map(|left| step * (row.batches() * left) as f64));
        let takes = takes.transpose()?;
        all += takes.unwrap_or_default();
        too_large.extend(step.err().map(|needed| (row.row.id.value.as_str(), needed)));
        table.row([
            row.row.id.value.clone(),
            row.row.name.clone(),
            grouped(row.job.size().0),
            row.row.params.as_ref().map_or("-".to_owned(), |params| params.value.to_string()),
            published(row.row.published),
            epochs(row),
            step.map_or("-".to_owned(), time),
            takes.map_or("-".to_owned(), time),
        ]);
    }
    drop(bar);
    let about = &plan.table.table;
    let source = about.source.as_ref().map_or(String::new(), |source| format!("\nsource    {source}"));
    output.note(&format!("table     {}{source}\n{}", about.title, scale(plan)))?;
    let text = table.within(output.page.columns);
    // A dry run is asked for this alone.
    if dry {
        output.result(&text)?
    } else {
        output.note(&text)?
    }
    let count = plan.rows.len() * plan.seeds;
    let plural = if count == 1 { " takes" } else { "s take" };
    for (id, needed) in too_large {
        output.warn(&format!(
            "warning: a step of `{id}` takes {}, more than is free: --set train.memory_limit=4GiB computes maps again, --rows leaves it out",
            bytes(needed)
        ));
    }
    output.note(&format!(
        "{count} training{plural} about {}, and evaluations come on top\nout       {}",
        time(all),
        plan.out.display()
    ))
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
