//! The trainings of a table, row by row.

use resnetc_runtime::train::FolderLock;

use super::super::setup::Setup;
use super::super::train::{Ended, STOPPING, begin_sweep, command};
use super::plan::Plan;
use super::report::{Outcome, Report};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::signals::Signals;

/// Trains all rows; the result is written after each, so that nothing is lost.
///
/// # Errors
/// What ends a training otherwise than by its numbers; the signal that asked for an end.
pub fn train(plan: &Plan<'_>, json: bool, setup: &Setup, notes: &Output, output: &Output) -> Result {
    let out = &plan.out;
    std::fs::create_dir_all(out).map_err(|error| Failure::Failed(format!("{}: {error}", out.display())))?;
    let _lock = FolderLock::take(out)?;
    let signals = Signals::catch(STOPPING)?;
    let mut report = Report::new(plan)?;
    let trained = rows(plan, setup, &signals, notes, &mut report);
    let go_on = format!("go on with: {}", command(std::env::args_os()));
    let stopped = match trained {
        Ok(Ended::Done) => None,
        Ok(Ended::Stopped) => signals.status(),
        Err(Failure::Failed(text)) => {
            return Err(Failure::Failed(format!("{text}\nWhat is finished stays. {go_on}")));
        }
        Err(other) => return Err(other),
    };
    report.tell(output, notes, json)?;
    match stopped {
        Some(status) => {
            notes.note(&format!("stopped; what was under way is saved\n{go_on}"))?;
            Err(Failure::Signal(status))
        }
        None => Ok(()),
    }
}

fn rows<'p>(
    plan: &'p Plan<'p>,
    setup: &Setup,
    signals: &Signals,
    notes: &Output,
    report: &mut Report<'p>,
) -> Result<Ended> {
    let mut images = None;
    for (number, row) in plan.rows.iter().enumerate() {
        notes.note(&format!("\nrow {} of {}: {}", number + 1, plan.rows.len(), row.row.name))?;
        let asked = row.asked();
        let mut begun = begin_sweep(&asked, &row.job, plan.sweep(), setup, notes)?;
        begun.sweeper.signals = signals.clone();
        begun.sweeper.images = images.take();
        let ended = begun.sweeper.run();
        images = begun.sweeper.images.take();
        report.note(Outcome::new(row.row, row.published_epochs, &begun.sweeper.file))?;
        if let Ended::Stopped = ended? {
            return Ok(Ended::Stopped);
        }
    }
    Ok(Ended::Done)
}
