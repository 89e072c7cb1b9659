//! `resnetc runs compare`: what differs between trainings, and how they went, over one another.

use resnetc_runtime::metrics::EpochRecord;

use super::figures::figures;
use super::page;
use super::settings::{Setting, differing};
use crate::args::CompareArgs;
use crate::chart::{COLOURS, Curve, overlay};
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::runs::{Run, find};

/// Most trainings that can be told apart: pages have so many colours.
const MOST: usize = COLOURS;
/// Columns of a curve where nobody says how wide the place is.
const COLUMNS: usize = 80;

/// Runs the command.
pub fn compare(args: &CompareArgs, output: &Output) -> Result {
    let runs = read(args)?;
    let settings = differing(&runs).map_err(Failure::Failed)?;
    output.result(&text(&runs, &settings, output.page.columns))?;
    if let Some(path) = &args.html {
        files::write(path, page::html(&runs, &settings).as_bytes())?;
        output.note(&format!("wrote {}", path.display()))?;
    }
    Ok(())
}

/// The trainings that the arguments name; of a folder that is none itself, those in it.
fn read(args: &CompareArgs) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for folder in &args.runs {
        let failed = |why: String| Failure::Failed(format!("{}: {why}", folder.display()));
        match Run::read(folder) {
            Ok(run) => runs.push(run),
            Err(why) => {
                let inner = find(folder).map_err(|error| failed(error.to_string()))?;
                let before = runs.len();
                runs.extend(inner.into_iter().filter_map(std::result::Result::ok));
                if runs.len() == before {
                    return Err(failed(format!("no training: {why}")));
                }
            }
        }
    }
    match runs.len() {
        2..=MOST => Ok(runs),
        0 | 1 => Err(Failure::Usage("two trainings are needed to compare".to_owned())),
        many => Err(Failure::Usage(format!("these are {many} trainings: name up to {MOST} of them"))),
    }
}

/// The letter of a training.
fn letter(place: usize) -> char {
    char::from(b'a' + place as u8)
}

fn text(runs: &[Run], settings: &[Setting], columns: Option<usize>) -> String {
    let mut text = String::new();
    for (place, run) in runs.iter().enumerate() {
        text += &format!("{}  {}\n", letter(place), run.folder.display());
    }
    text += &format!("\n{}\n{}", settings_table(settings, runs.len(), columns), figures_table(runs, columns));
    let width = columns.unwrap_or(COLUMNS);
    for (label, value) in CURVES {
        let curves: Vec<Curve> =
            (0..).zip(runs).map(|(place, run)| curve(letter(place), run, value)).collect();
        text.extend(overlay(label, "epoch", &curves, width).map(|picture| format!("\n{picture}")));
    }
    text
}

/// A figure of an epoch.
type Figure = fn(&EpochRecord) -> Option<f64>;

/// What is drawn over epochs, with its label.
const CURVES: [(&str, Figure); 3] = [
    ("accuracy of the test images, %", |record| {
        record.average_accuracy.or(record.test_accuracy).map(|fraction| fraction * 100.0)
    }),
    ("loss of the test images", |record| record.average_loss.or(record.test_loss)),
    ("loss of the training images", |record| Some(record.train_loss)),
];

fn curve(mark: char, run: &Run, value: Figure) -> Curve {
    let points = run.epochs.iter().filter_map(|record| Some((record.epoch as f64, value(record)?)));
    Curve { mark, points: points.collect() }
}

fn settings_table(settings: &[Setting], runs: usize, columns: Option<usize>) -> String {
    if settings.is_empty() {
        return "no setting differs\n".to_owned();
    }
    let letters: Vec<String> = (0..runs).map(|place| letter(place).to_string()).collect();
    let mut heads = vec![("setting", Align::Left)];
    heads.extend(letters.iter().map(|letter| (letter.as_str(), Align::Left)));
    let mut table = Table::new(&heads);
    for Setting { key, values } in settings {
        table.row(std::iter::once(key.clone()).chain(values.iter().cloned()));
    }
    table.within(columns)
}

fn figures_table(runs: &[Run], columns: Option<usize>) -> String {
    let letters: Vec<String> = (0..runs.len()).map(|place| letter(place).to_string()).collect();
    let mut heads = vec![("of the test images", Align::Left)];
    heads.extend(letters.iter().map(|letter| (letter.as_str(), Align::Right)));
    let mut table = Table::new(&heads);
    for (name, values) in figures(runs) {
        table.row(std::iter::once(name).chain(values));
    }
    table.within(columns)
}
