//! `resnetc run --train --sweep`: many trainings, one after the other, and what they say together.

mod ask;
mod sweeper;

use resnetc_compiler::spec::sweep::Sweep;
use resnetc_runtime::train::FolderLock;

use super::super::setup::Setup;
use super::begin::{STOPPING, advise};
use super::job::{Asked, Job};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::signals::Signals;
use crate::sweep::{Definition, Grid, SweepFile, rounds};

pub use ask::wanted;
pub use sweeper::Ended;

use ask::{begun, check, compiled};
use sweeper::{Pace, Sweeper};

/// Runs all trainings of a sweep; `base` is what they have in common.
pub fn sweep(asked: &Asked<'_>, base: &Job, wanted: Sweep, setup: &Setup, output: &Output) -> Result {
    let mut begun = begin(asked, base, wanted, setup, output)?;
    begun.sweeper.signals = Signals::catch(STOPPING)?;
    let ended = begun.sweeper.run();
    begun.sweeper.end(ended)
}

/// A sweep that may be run; its folder is locked as long as this is there.
pub struct Begun<'a> {
    /// Its trainings. Nothing stops them until they are given signals.
    pub sweeper: Sweeper<'a>,
    _lock: FolderLock,
}

/// Checks a sweep, and takes over what its folder holds.
///
/// # Errors
/// Mistakes of any of its specs; another sweep, or a training, in the folder.
pub fn begin<'a>(
    asked: &Asked<'a>,
    base: &Job,
    wanted: Sweep,
    setup: &'a Setup,
    output: &'a Output,
) -> Result<Begun<'a>> {
    check(asked, &wanted)?;
    let grid = Grid::new(wanted.over).map_err(Failure::Usage)?;
    let rows = compiled(asked, &grid, setup, output)?;
    let epochs = base.spec.resolved().train.epochs;
    let rounds = match wanted.halving {
        Some(eta) => rounds(grid.points().len(), eta, wanted.min_epochs, epochs),
        None => vec![epochs],
    };
    let mut settings = base.spec.settings()?;
    settings.retain(|key, _| !key.starts_with("sweep."));
    let definition = Definition {
        network: base.spec.name().to_owned(),
        dataset: base.dataset().to_owned(),
        over: grid.axes.iter().map(Into::into).collect(),
        rounds,
        halving: wanted.halving,
        settings,
    };
    let out = asked.args.out.clone().unwrap_or_else(|| {
        let alone = base.out();
        alone.with_file_name(format!("{}-sweep", alone.file_name().unwrap_or_default().to_string_lossy()))
    });
    let before = begun(&out, &definition)?;
    std::fs::create_dir_all(&out).map_err(|error| Failure::Failed(format!("{}: {error}", out.display())))?;
    let lock = FolderLock::take(&out).map_err(advise)?;
    let file = SweepFile::new(definition, rows, Vec::new());
    let mut sweeper = Sweeper {
        asked: *asked,
        setup,
        output,
        quiet: output.quieted(),
        signals: Signals::default(),
        out,
        grid,
        file,
        images: None,
        pace: Pace::default(),
    };
    sweeper.take_over(before.as_ref())?;
    Ok(Begun { sweeper, _lock: lock })
}
