//! `resnetc runs`: a list of trainings.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::args::{RunsCommand, SortArg};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::training::percent;
use crate::report::units::duration;
use crate::runs::{Broken, Figures, Run, State, find};

/// Where trainings are where nobody says it.
const DEFAULT: &str = "out";

/// Runs the command.
pub fn list(args: &RunsCommand, output: &Output) -> Result {
    let folders = match args.folders.is_empty() {
        true => vec![PathBuf::from(DEFAULT)],
        false => args.folders.clone(),
    };
    let (mut runs, mut broken) = (Vec::new(), Vec::new());
    for folder in &folders {
        // Nobody has named it: there is nothing trained here yet.
        if args.folders.is_empty() && !folder.exists() {
            continue;
        }
        let found =
            find(folder).map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
        for one in found {
            match one {
                Ok(run) => runs.push((run.state(), run)),
                Err(one) => broken.push(one),
            }
        }
    }
    runs.sort_by(|a, b| order(args.sort, a, b));
    if args.json {
        let all: Vec<Value> = runs.iter().map(object).chain(broken.iter().map(unread)).collect();
        return output.result(&serde_json::to_string_pretty(&all).expect("only string keys"));
    }
    output.result(&text(&runs, &broken, &folders, output.page.columns))
}

/// The list for people.
fn text(runs: &[(State, Run)], broken: &[Broken], folders: &[PathBuf], columns: Option<usize>) -> String {
    if runs.is_empty() && broken.is_empty() {
        let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        return format!("no trainings in {}: `resnetc run SPEC --train` makes one", places.join(", "));
    }
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("network", Align::Left),
        ("data", Align::Left),
        ("epochs", Align::Right),
        ("state", Align::Left),
        ("best", Align::Right),
        ("loss", Align::Right),
        ("began", Align::Left),
        ("took", Align::Right),
    ]);
    runs.iter().for_each(|run| table.row(row(run)));
    let mut text = if runs.is_empty() { String::new() } else { table.within(columns) };
    for Broken { folder, reason } in broken {
        text += &format!("{}: cannot be read: {reason}\n", folder.display());
    }
    text
}

fn row((state, run): &(State, Run)) -> [String; 9] {
    let (facts, figures) = (&run.file.facts, Figures::of(&run.epochs));
    [
        run.folder.display().to_string(),
        facts.network.clone(),
        facts.dataset.clone(),
        format!("{}/{}", run.done(), facts.epochs),
        state.word().to_owned(),
        figures.best_accuracy.map_or("-".to_owned(), percent),
        figures.last_loss.map_or("-".to_owned(), |loss| format!("{loss:.4}")),
        run.file.started.replace('T', " ").trim_end_matches('Z').to_owned(),
        duration(Duration::from_secs_f64(run.seconds().max(0.0))),
    ]
}

fn object((state, run): &(State, Run)) -> Value {
    let (facts, figures) = (&run.file.facts, Figures::of(&run.epochs));
    json!({
        "run": path(&run.folder),
        "network": facts.network,
        "dataset": facts.dataset,
        "epochs": run.done(),
        "planned": facts.epochs,
        "state": state.word(),
        "best_accuracy": figures.best_accuracy,
        "last_accuracy": figures.last_accuracy,
        "last_loss": figures.last_loss,
        "started": run.file.started,
        "seconds": run.seconds(),
    })
}

fn unread(broken: &Broken) -> Value {
    json!({"run": path(&broken.folder), "error": broken.reason})
}

fn path(folder: &Path) -> String {
    folder.to_string_lossy().into_owned()
}

fn order(by: SortArg, (_, a): &(State, Run), (_, b): &(State, Run)) -> Ordering {
    let figures = |run: &Run| Figures::of(&run.epochs);
    let first = match by {
        SortArg::Path => Ordering::Equal,
        SortArg::When => b.file.started.cmp(&a.file.started),
        SortArg::Best => least(figures(a).best_accuracy.map(|x| -x), figures(b).best_accuracy.map(|x| -x)),
        SortArg::Loss => least(figures(a).last_loss, figures(b).last_loss),
        SortArg::Duration => b.seconds().total_cmp(&a.seconds()),
    };
    first.then_with(|| a.folder.cmp(&b.folder))
}

/// The lower one first, and none last.
fn least(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
