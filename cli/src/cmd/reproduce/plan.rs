//! What is to be trained: the rows that were asked for, compiled, at the scale that was asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use resnetc::PublishedTable;
use resnetc_compiler::diagnostic::suggest::suggest;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::sweep::{Axis, Sweep};
use resnetc_compiler::tables::Row;

use super::super::data;
use super::super::setup::Setup;
use super::super::train::{Asked, Job};
use super::scale::Scale;
use crate::args::{Overrides, ReproduceArgs, RunArgs};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::sweep::Grid;

/// What seeds are set by.
const SEED: &str = "train.seed";

/// The trainings of a table.
pub struct Plan<'t> {
    /// The table.
    pub table: &'t PublishedTable,
    /// What is trained on.
    pub dataset: String,
    /// Trainings of each row.
    pub seeds: usize,
    /// The command line's changes of all networks.
    pub changes: Vec<String>,
    /// Where the result goes.
    pub out: PathBuf,
    /// How large specs may be.
    pub limits: Limits,
    /// The rows.
    pub rows: Vec<Planned<'t>>,
}

/// A row that is to be trained.
pub struct Planned<'t> {
    /// What was published.
    pub row: &'t Row,
    /// Epochs that were published.
    pub published_epochs: usize,
    /// The network, at the scale that was asked for.
    pub job: Job,
    /// Training images.
    pub images: usize,
    /// The data set.
    dataset: String,
    /// How it is trained, as a command line of its own would say it.
    args: RunArgs,
}

impl<'t> Plan<'t> {
    /// Compiles all rows.
    ///
    /// # Errors
    /// The mistakes of all of them, each once; rows that are not there.
    pub fn new(
        args: &ReproduceArgs,
        table: &'t PublishedTable,
        setup: &Setup,
        output: &Output,
    ) -> Result<Self> {
        let dataset = args.dataset.clone().unwrap_or_else(|| table.table.dataset.clone());
        let out = args.out.clone().unwrap_or_else(|| Path::new("out").join(&table.name));
        let changes = args.overrides.sets();
        if let Some(set) = changes.iter().find(|set| set.starts_with(&format!("{SEED}="))) {
            return Err(Failure::Usage(format!("`--set {set}` is what --seeds N does: it takes 0 to N-1")));
        }
        let (mut rows, mut wrong, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
        for row in chosen(&args.rows, &table.table.rows)? {
            match Planned::new(args, table, row, &dataset, &out.join(&row.id.value), setup, output) {
                Ok(planned) => rows.push(planned),
                Err(Failure::Spec(faults)) => wrong.extend(faults.into_iter().filter_map(|mut faults| {
                    faults.retain(|alone| known.insert(alone.to_string()));
                    (!faults.diagnostics().is_empty()).then_some(faults)
                })),
                Err(other) => return Err(other),
            }
        }
        match wrong.is_empty() {
            true => Ok(Plan {
                table,
                dataset,
                seeds: args.seeds,
                changes,
                out,
                limits: args.overrides.bounds.limits(),
                rows,
            }),
            false => Err(Failure::Spec(wrong)),
        }
    }

    /// Whether figures may be compared with the published ones: all is as it was published.
    pub fn is_as_published(&self) -> bool {
        self.changes.is_empty()
            && self.dataset == self.table.table.dataset
            && self.rows.iter().all(|row| row.epochs() == row.published_epochs)
    }

    /// The table's rows that were not asked for.
    pub fn others(&self) -> impl Iterator<Item = &'t Row> {
        let asked = |row: &Row| self.rows.iter().any(|planned| planned.row.id == row.id);
        self.table.table.rows.iter().filter(move |row| !asked(row))
    }

    /// The seeds of a row, as a sweep.
    pub fn sweep(&self) -> Sweep {
        let seeds = (0..self.seeds).map(|seed| seed.to_string()).collect();
        Sweep { over: vec![Axis { key: SEED.to_owned(), values: seeds }], halving: None, min_epochs: None }
    }

    /// The folders of a row's trainings.
    pub fn folders(&self, row: &Planned<'_>) -> Result<Vec<PathBuf>> {
        let grid = Grid::new(self.sweep().over).map_err(Failure::Usage)?;
        let folder = self.out.join(&row.row.id.value);
        Ok(grid.variants.iter().map(|variant| folder.join(&variant.name)).collect())
    }
}

impl<'t> Planned<'t> {
    fn new(
        args: &ReproduceArgs,
        table: &PublishedTable,
        row: &'t Row,
        dataset: &str,
        out: &Path,
        setup: &Setup,
        output: &Output,
    ) -> Result<Self> {
        let published = table.spec(row, &args.overrides.bounds.limits())?;
        let train = &published.resolved().train;
        let mut own = RunArgs {
            spec: Some(table.network(row).to_string_lossy().into_owned()),
            train: Some(Some(dataset.to_owned())),
            out: Some(out.to_owned()),
            overrides: Overrides { set: table.sets(row), ..args.overrides.clone() },
            ..common(args)
        };
        let quiet = output.quieted();
        let images = Job::new(&asked(&own, dataset), &[], setup, &quiet)?.images_to_train_on();
        let images = images.unwrap_or_default();
        let then = match data::find(&table.table.dataset)? {
            data::Wanted::Named(facts) => facts.images,
            data::Wanted::Path(_) => images,
        };
        let scale = Scale::new(train, args.epochs, then, images);
        own.overrides.set.extend(scale.sets(train));
        own.overrides.set.extend(args.overrides.set.iter().cloned());
        let job = Job::new(&asked(&own, dataset), &[], setup, output)?;
        let published_epochs = train.epochs;
        Ok(Planned { row, published_epochs, job, images, dataset: dataset.to_owned(), args: own })
    }

    /// What trains it.
    pub fn asked(&self) -> Asked<'_> {
        asked(&self.args, &self.dataset)
    }

    /// Epochs of each training.
    pub fn epochs(&self) -> usize {
        self.job.spec.resolved().train.epochs
    }

    /// Batches of an epoch.
    pub fn batches(&self) -> usize {
        self.images.div_ceil(self.job.spec.resolved().train.batch_size.max(1))
    }
}

fn asked<'a>(args: &'a RunArgs, dataset: &'a str) -> Asked<'a> {
    Asked { name: args.spec.as_deref(), dataset: Some(dataset), args }
}

/// What all rows have in common, as a command line of `run` says it.
pub fn common(args: &ReproduceArgs) -> RunArgs {
    RunArgs {
        threads: args.threads,
        workers: args.workers,
        device: args.device,
        data_dir: args.data_dir.clone(),
        ..RunArgs::default()
    }
}

/// The rows of these ids, in the table's order; all of none.
fn chosen<'t>(ids: &[String], rows: &'t [Row]) -> Result<Vec<&'t Row>> {
    let known: Vec<&str> = rows.iter().map(|row| row.id.value.as_str()).collect();
    if let Some(id) = ids.iter().find(|id| !known.contains(&id.as_str())) {
        return Err(Failure::Usage(format!("the table has no row `{id}`: {}", suggest(id, &known))));
    }
    Ok(rows.iter().filter(|row| ids.is_empty() || ids.contains(&row.id.value)).collect())
}
