//! What `resnetc tune` found, as a table and as JSON.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use resnetc_compiler::plan::Plan;
use serde_json::{Value, json};

use super::table::{Align, Table};
use super::units::{duration, median};
use crate::contest::Contest;

/// Whole runs with the cost model's algorithms and with the measured ones, in turn; none where they are the same.
pub struct Race {
    /// By the cost model.
    pub expected: Vec<Duration>,
    /// As measured.
    pub measured: Vec<Duration>,
}

impl Race {
    /// The medians.
    fn medians(&self) -> Option<[Duration; 2]> {
        Some([median(&self.expected)?, median(&self.measured)?])
    }

    /// How many times as fast the measured algorithms are.
    pub fn gain(&self) -> Option<f64> {
        self.medians().map(|[expected, measured]| expected.as_secs_f64() / measured.as_secs_f64())
    }
}

/// What was found.
pub struct Tuned<'a> {
    /// What ran.
    pub plan: &'a Plan,
    /// On what.
    pub device: String,
    /// Layer by layer.
    pub contests: Vec<Contest>,
    /// All together.
    pub race: Race,
    /// Where it is kept, if it is.
    pub file: Option<&'a Path>,
}

impl Tuned<'_> {
    fn different(&self) -> usize {
        self.contests.iter().filter(|contest| contest.fastest() != contest.expected()).count()
    }

    /// One object.
    pub fn json(&self) -> String {
        let layer = |contest: &Contest| {
            let step = &self.plan.steps[contest.steps[0]];
            let ms = |&name: &&'static str| (name.to_owned(), json!(contest.seconds(name).map(|s| s * 1e3)));
            let times: serde_json::Map<String, Value> = contest.algorithms.iter().map(ms).collect();
            json!({
                "name": step.name, "steps": contest.steps.len(), "kernel": step.kernel.name(),
                "shape": step.kernel.geometry(), "expected": contest.expected(), "fastest": contest.fastest(),
                "ms": times,
            })
        };
        let medians = self.race.medians().map(|medians| medians.map(|time| time.as_secs_f64() * 1e3));
        let object = json!({
            "name": self.plan.name, "batch": self.plan.batch, "dtype": self.plan.precision().to_string(),
            "device": self.device, "layers": self.contests.iter().map(layer).collect::<Vec<_>>(),
            "different": self.different(), "ms_expected": medians.map(|ms| ms[0]),
            "ms_measured": medians.map(|ms| ms[1]), "file": self.file.map(|file| file.to_string_lossy()),
        });
        format!("{object:#}")
    }
}

/// Layers, the race, where it went.
pub fn text(tuned: &Tuned<'_>, width: Option<usize>) -> String {
    let mut text = layers(tuned).within(width);
    let (plan, different) = (tuned.plan, tuned.different());
    let (kinds, device) = (tuned.contests.len(), &tuned.device);
    writeln!(text, "\n{}, batch {}, on {device}", plan.name, plan.batch).expect("writing to a string");
    text += &match (tuned.race.medians(), tuned.race.gain(), tuned.file) {
        (Some([expected, measured]), Some(gain), file) => {
            let end = match file {
                Some(file) => format!("kept       {}: run and bench take it from now on\n", file.display()),
                None => "kept       nothing: together they are not faster\n".to_owned(),
            };
            format!(
                "layers     {different} of {kinds} kinds have a faster algorithm than the cost model's\n\
                 time       {} by the model, {} as measured: {gain:.2} times as fast, medians of {} runs in turn\n{end}",
                duration(expected),
                duration(measured),
                tuned.race.expected.len(),
            )
        }
        _ => format!(
            "layers     the cost model takes the fastest algorithm of all {kinds} kinds: nothing to keep\n"
        ),
    };
    text
}

fn layers(tuned: &Tuned<'_>) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("step", Left),
        ("of", Right),
        ("shape", Left),
        ("by the model", Left),
        ("time", Right),
        ("faster", Left),
        ("time", Right),
    ]);
    for contest in &tuned.contests {
        let step = &tuned.plan.steps[contest.steps[0]];
        let time =
            |name| contest.seconds(name).map_or(String::new(), |s| duration(Duration::from_secs_f64(s)));
        let (expected, fastest) = (contest.expected(), contest.fastest());
        let mut row = vec![
            step.name.clone(),
            contest.steps.len().to_string(),
            step.kernel.geometry(),
            expected.to_owned(),
            time(expected),
        ];
        if fastest != expected {
            row.extend([fastest.to_owned(), time(fastest)]);
        }
        table.row(row);
    }
    table
}
