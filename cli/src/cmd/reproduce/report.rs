//! What came of a table: errors beside the published ones, for people, as Markdown and as JSON.

use std::time::Duration;

use resnetc_compiler::tables::{Published, Row};
use resnetc_runtime::weights::file::write_atomic;
use serde_json::{Value, json};

use super::plan::{Plan, Planned};
use crate::failure::Result;
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::{duration, grouped};
use crate::sweep::{Point, Spread, State, SweepFile};

/// The result for people.
const MARKDOWN: &str = "table.md";
/// The result for programs.
const JSON: &str = "table.json";

/// What came of a row.
pub struct Outcome<'p> {
    /// Which.
    row: &'p Row,
    /// Trained parameters.
    params: u64,
    /// Epochs of each training, and those that were published.
    epochs: (usize, usize),
    /// What its seeds say together; none where none was evaluated.
    point: Option<Point>,
    /// Seconds of its trainings.
    seconds: f64,
}

impl<'p> Outcome<'p> {
    /// Of a row's sweep.
    pub fn new(row: &'p Row, published_epochs: usize, file: &SweepFile) -> Self {
        Outcome {
            row,
            params: file.runs.first().map_or(0, |run| run.params),
            epochs: (file.definition.rounds.last().copied().unwrap_or_default(), published_epochs),
            point: file.points.first().cloned(),
            seconds: file.runs.iter().map(|run| run.seconds).sum(),
        }
    }

    /// Of a row that has not begun.
    fn waiting(planned: &'p Planned<'_>) -> Self {
        let epochs = (planned.epochs(), planned.published_epochs);
        Outcome { row: planned.row, params: planned.job.size().0, epochs, point: None, seconds: 0.0 }
    }
}

impl Outcome<'_> {
    /// The error of the last evaluation, in percent: its mean over the seeds.
    fn error(&self) -> Option<Spread> {
        let Spread { mean, deviation, n } = self.point.as_ref()?.last_accuracy?;
        Some(Spread { mean: (1.0 - mean) * 100.0, deviation: deviation.map(|d| d * 100.0), n })
    }

    /// How long its trainings took; nothing where none was.
    fn took(&self) -> String {
        match self.seconds {
            seconds if seconds > 0.0 => duration(Duration::from_secs_f64(seconds)),
            _ => "-".to_owned(),
        }
    }

    fn state(&self) -> State {
        self.point.as_ref().map_or(State::Waiting, |point| point.state)
    }
}

/// What came of all rows so far.
pub struct Report<'p> {
    plan: &'p Plan<'p>,
    outcomes: Vec<Outcome<'p>>,
}

impl<'p> Report<'p> {
    /// Of the rows that are to be trained, as far as the folder has them, and of those that it holds from before and that are not asked
    /// for now.
    ///
    /// # Errors
    /// A file of theirs that cannot be read.
    pub fn new(plan: &'p Plan<'p>) -> Result<Self> {
        let mut outcomes = Vec::new();
        let held = |row: &Row| SweepFile::load(&plan.out.join(&row.id.value));
        for planned in &plan.rows {
            outcomes.push(match held(planned.row)? {
                Some(file) => Outcome::new(planned.row, planned.published_epochs, &file),
                None => Outcome::waiting(planned),
            });
        }
        for row in plan.others() {
            let Some(file) = held(row)? else { continue };
            if plan.rows.iter().all(|planned| planned.job.dataset() == file.definition.dataset) {
                let published = plan.table.spec(row, &plan.limits)?;
                outcomes.push(Outcome::new(row, published.resolved().train.epochs, &file));
            }
        }
        Ok(Report { plan, outcomes })
    }

    /// Takes in what a row has come to, and writes the files anew.
    ///
    /// # Errors
    /// The disk's.
    pub fn note(&mut self, outcome: Outcome<'p>) -> Result {
        self.outcomes.retain(|other| other.row.id != outcome.row.id);
        self.outcomes.push(outcome);
        let place = |id: &str| self.plan.table.table.rows.iter().position(|row| row.id.value == id);
        self.outcomes.sort_by_key(|outcome| place(&outcome.row.id.value));
        write_atomic(&self.plan.out.join(MARKDOWN), self.markdown().as_bytes())?;
        let text = serde_json::to_string_pretty(&self.json()).expect("numbers and strings serialise");
        Ok(write_atomic(&self.plan.out.join(JSON), (text + "\n").as_bytes())?)
    }

    /// Prints the result: as JSON where notes are not wanted.
    ///
    /// # Errors
    /// Standard output's.
    pub fn tell(&self, output: &Output, notes: &Output, json: bool) -> Result {
        if json {
            return output
                .result(&serde_json::to_string_pretty(&self.json()).expect("numbers and strings serialise"));
        }
        output.result(&format!("\n{}", self.table().within(output.page.columns)))?;
        output.result(&[scale(self.plan), self.order()].concat())?;
        notes.note(&format!("written   {MARKDOWN}, {JSON} in {}", self.plan.out.display()))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("row", Align::Left),
            ("network", Align::Left),
            ("parameters", Align::Right),
            ("published", Align::Right),
            ("epochs", Align::Right),
            ("seeds", Align::Right),
            ("published error", Align::Right),
            ("error", Align::Right),
            ("took", Align::Right),
            ("state", Align::Left),
        ]);
        for outcome in &self.outcomes {
            let row = outcome.row;
            table.row([
                row.id.value.clone(),
                row.name.clone(),
                grouped(outcome.params),
                row.params.as_ref().map_or("-".to_owned(), |params| params.value.to_string()),
                share(outcome.epochs),
                outcome.error().map_or(0, |error| error.n).to_string(),
                published(row.published),
                outcome.error().map_or("-".to_owned(), |error| spread(error.mean, error.deviation)),
                outcome.took(),
                outcome.state().word().to_owned(),
            ]);
        }
        table
    }

    /// How many pairs of rows stand in the published order.
    fn order(&self) -> String {
        match self.pairs() {
            (_, 0) => String::new(),
            (right, pairs) => format!("order     {right} of {pairs} pairs of rows stand as published\n"),
        }
    }

    /// Pairs of rows that differ, published and here; how many of them alike, and how many there are.
    fn pairs(&self) -> (usize, usize) {
        let known = |outcome: &Outcome<'_>| Some((outcome.row.published?.order(), outcome.error()?.mean));
        let figures: Vec<(f64, f64)> = self.outcomes.iter().filter_map(known).collect();
        concordant(&figures)
    }

    fn markdown(&self) -> String {
        let about = &self.plan.table.table;
        let mut text = format!("# {}\n\n", about.title);
        let lines = [
            about.source.as_ref().map(|source| format!("Source: {source}.")),
            about.figures.as_ref().map(|figures| format!("Published: {figures}.")),
            about.note.clone(),
        ];
        text.extend(lines.into_iter().flatten().map(|line| line + "\n\n"));
        text += &format!("```\n{}{}```\n\n", scale(self.plan), self.order());
        text += &self.table().markdown();
        for (row, note) in self.outcomes.iter().filter_map(|o| Some((o.row, o.row.note.as_ref()?))) {
            text += &format!("\n{}: {note}\n", row.name);
        }
        for (row, why) in self.outcomes.iter().filter_map(|o| Some((o.row, o.row.params_differ.as_ref()?))) {
            text += &format!("\n{}, parameters: {why}.\n", row.name);
        }
        for left_out in &about.left_out {
            text += &format!("\nNot here: {}, for {}.\n", left_out.name, left_out.why);
        }
        text
    }

    fn json(&self) -> Value {
        let (plan, about) = (self.plan, &self.plan.table.table);
        let (right, pairs) = self.pairs();
        json!({
            "format": 1,
            "table": plan.table.name,
            "title": about.title,
            "source": about.source,
            "dataset": plan.dataset,
            "as_published": plan.is_as_published(),
            "changes": plan.changes,
            "seeds": plan.seeds,
            "rows": self.outcomes.iter().map(row).collect::<Vec<_>>(),
            "order": {"pairs": pairs, "as_published": right},
        })
    }
}

fn row(outcome: &Outcome<'_>) -> Value {
    let row = outcome.row;
    let published = match row.published {
        Some(Published::Error { error, std }) => json!({"error": error, "std": std}),
        Some(Published::Above(bound)) => json!({"above": bound}),
        None => Value::Null,
    };
    json!({
        "id": row.id.value,
        "name": row.name,
        "network": row.network.value,
        "set": row.set,
        "params": outcome.params,
        "published_params": row.params.as_ref().map(|params| params.value.to_string()),
        "epochs": outcome.epochs.0,
        "published_epochs": outcome.epochs.1,
        "published": published,
        "error": outcome.error(),
        "state": outcome.state(),
        "seconds": outcome.seconds,
    })
}

/// What the trainings have of the published scale, and what follows for their figures.
pub fn scale(plan: &Plan<'_>) -> String {
    let seeds = match plan.seeds {
        1 => "one seed".to_owned(),
        seeds => format!("{seeds} seeds"),
    };
    let mut lines = format!("data      {}, {seeds}\n", plan.dataset);
    if let Some(figures) = &plan.table.table.figures {
        lines += &format!("published {figures}\n");
    }
    if plan.is_as_published() {
        return lines;
    }
    let mut less = Vec::new();
    if plan.dataset != plan.table.table.dataset {
        less.push(format!("{} in place of {}", plan.dataset, plan.table.table.dataset));
    }
    let shares: Vec<String> =
        plan.rows.iter().filter(|row| row.epochs() != row.published_epochs).map(epochs).collect();
    match &shares[..] {
        [] => {}
        [first, rest @ ..] if rest.iter().all(|share| share == first) => less.push(format!("epochs {first}")),
        [_, ..] => less.push("fewer or more epochs".to_owned()),
    }
    less.extend(plan.changes.iter().cloned());
    lines
        + &format!(
            "scale     {}: not the published one. Compare the order of the rows with the published one, not their errors\n",
            less.join(", ")
        )
}

/// Epochs of a row, of those that were published.
pub fn epochs(row: &Planned<'_>) -> String {
    share((row.epochs(), row.published_epochs))
}

/// `2 of 164`
fn share((epochs, published): (usize, usize)) -> String {
    if epochs == published { epochs.to_string() } else { format!("{epochs} of {published}") }
}

/// The published error in words.
pub fn published(published: Option<Published>) -> String {
    match published {
        Some(Published::Error { error, std }) => spread(error, std),
        Some(Published::Above(bound)) => format!("> {bound} %"),
        None => "-".to_owned(),
    }
}

/// `6.61 ± 0.16 %`
fn spread(mean: f64, deviation: Option<f64>) -> String {
    match deviation {
        Some(deviation) => format!("{mean:.2} ± {deviation:.2} %"),
        None => format!("{mean:.2} %"),
    }
}

/// Of pairs whose first and second figures both differ: how many differ alike, and how many there are (Kendall 1938).
fn concordant(figures: &[(f64, f64)]) -> (usize, usize) {
    let pairs =
        figures.iter().enumerate().flat_map(|(place, a)| figures[..place].iter().map(move |b| (a, b)));
    let products: Vec<f64> = pairs.map(|(a, b)| (a.0 - b.0) * (a.1 - b.1)).filter(|&p| p != 0.0).collect();
    (products.iter().filter(|&&product| product > 0.0).count(), products.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_are_equal_say_nothing_of_the_order() {
        assert_eq!(concordant(&[(8.0, 30.0), (7.0, 25.0), (6.0, 27.0)]), (2, 3));
        assert_eq!(concordant(&[(20.0, 90.0), (20.0, 80.0), (6.0, 80.0)]), (1, 1));
        assert_eq!(concordant(&[(1.0, 2.0)]), (0, 0));
    }

    #[test]
    fn figures_are_told_with_their_spread() {
        assert_eq!(published(Some(Published::Error { error: 6.61, std: Some(0.16) })), "6.61 ± 0.16 %");
        assert_eq!(published(Some(Published::Above(20.0))), "> 20 %");
        assert_eq!(published(None), "-");
    }
}
