//! What is swept over, checked before anything is trained: options, all variants' specs, and the folder.

use std::collections::BTreeSet;
use std::path::Path;

use resnetc::Spec;
use resnetc::train::Start;
use resnetc_compiler::spec::sweep::Sweep;
use resnetc_runtime::error::Error as RuntimeError;
use resnetc_runtime::train::check_folder;

use super::super::super::setup::Setup;
use super::super::begin::advise;
use super::super::job::{Asked, Job};
use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::sweep::{Definition, FILE, Grid, Row, SweepFile, joined, short};

/// The override that makes one training of a spec with a sweep.
const NO_SWEEP: &str = "sweep=~";
/// What one training of a sweep cannot have otherwise than the others.
const SHARED: &str = "train.dataset";

/// The sweep that spec and command line ask for together, if any.
///
/// # Errors
/// A key that the command line sets as well, or that they name twice; options without a sweep.
pub fn wanted(spec: &Spec, args: &RunArgs) -> Result<Option<Sweep>> {
    let (written, flags) = (spec.resolved().sweep.clone().unwrap_or_default(), &args.sweeps);
    let over = joined(&written.over, &flags.sweep).map_err(Failure::Usage)?;
    let (halving, min_epochs) = (flags.halving.or(written.halving), flags.min_epochs.or(written.min_epochs));
    if over.is_empty() {
        return match halving.is_some() || min_epochs.is_some() {
            true => Err(Failure::Usage(
                "--halving and --min-epochs are of sweeps: --sweep lr=0.05,0.1,0.2".into(),
            )),
            false => Ok(None),
        };
    }
    if min_epochs.is_some() && halving.is_none() {
        return Err(Failure::Usage("--min-epochs is of successive halving: add --halving 3".into()));
    }
    Ok(Some(Sweep { over, halving, min_epochs }))
}

/// Refuses what would not be swept over.
pub fn check(asked: &Asked<'_>, wanted: &Sweep) -> Result {
    if asked.args.overwrite {
        return Err(Failure::Usage("a sweep replaces nothing: --out DIR names another folder".into()));
    }
    let set = asked.keys();
    for key in wanted.over.iter().map(|axis| axis.key.as_str()) {
        if key == SHARED {
            return Err(Failure::Usage(format!("`{key}` is the same in all trainings of a sweep")));
        }
        if wanted.halving.is_some() && key == "train.epochs" {
            return Err(Failure::Usage("halving decides on epochs: it goes with no sweep over them".into()));
        }
        if set.iter().any(|other| other == key) {
            let name = short(key);
            return Err(Failure::Usage(format!(
                "`{name}` is swept over, and set by an option too: leave one out"
            )));
        }
    }
    Ok(())
}

/// Compiles all variants.
///
/// # Errors
/// The mistakes of all of them, each once.
pub fn compiled(asked: &Asked<'_>, grid: &Grid, setup: &Setup, output: &Output) -> Result<Vec<Row>> {
    let quiet = output.quieted();
    let (mut rows, mut wrong, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for variant in &grid.variants {
        match Job::new(asked, &overrides(grid.sets(variant)), setup, &quiet) {
            Ok(job) => {
                let (params, macs) = job.size();
                rows.push(Row::new(variant, params, macs));
            }
            Err(Failure::Spec(faults)) => wrong.extend(faults.into_iter().filter_map(|mut faults| {
                faults.retain(|alone| known.insert(alone.to_string()));
                (!faults.diagnostics().is_empty()).then_some(faults)
            })),
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(Failure::Spec(wrong)) }
}

/// The overrides of a variant.
pub fn overrides(sets: Vec<String>) -> Vec<String> {
    std::iter::once(NO_SWEEP.to_owned()).chain(sets).collect()
}

/// The sweep that the folder holds, where it is this one, or one that this one only adds values to.
///
/// # Errors
/// Where it is another one, with what differs; where the folder holds a training.
pub fn begun(out: &Path, definition: &Definition) -> Result<Option<SweepFile>> {
    let Some(before) = SweepFile::load(out)? else {
        let other = |error| match error {
            RuntimeError::HoldsTraining { .. } => {
                Failure::Usage(format!("{error}: --out DIR names another folder for the sweep"))
            }
            other => advise(other),
        };
        return check_folder(out, &Start::New).map(|()| None).map_err(other);
    };
    let differs = before.definition.differences(definition);
    if differs.is_empty() || before.definition.grows_into(definition) {
        return Ok(Some(before));
    }
    Err(Failure::Usage(format!(
        "{} holds another sweep: --out DIR names another folder\n  {}",
        out.join(FILE).display(),
        differs.join("\n  ")
    )))
}
