//! `sweep.json`: what is swept over, and how far it is; `sweep.csv`: a line for each training.

use std::collections::BTreeMap;
use std::path::Path;

use resnetc_compiler::spec::sweep::Axis;
use resnetc_runtime::files::read_bytes;
use resnetc_runtime::weights::file::write_atomic;
use serde::{Deserialize, Serialize};

use super::row::Row;
use super::summary::Point;
use crate::failure::{Failure, Result};

/// The name of the file.
pub const FILE: &str = "sweep.json";
/// The name of the table.
pub const TABLE: &str = "sweep.csv";
/// More than such a file has, with ten thousand trainings.
const LARGEST: u64 = 1 << 26;

/// The content of `sweep.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepFile {
    /// Version of this format.
    pub format: u32,
    /// What is swept over.
    #[serde(flatten)]
    pub definition: Definition,
    /// The trainings, in their order.
    pub runs: Vec<Row>,
    /// What those that differ in the seed alone say together.
    pub points: Vec<Point>,
}

/// What is swept over: where it is the same, the same command goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Name of the network.
    pub network: String,
    /// Name of the data set.
    pub dataset: String,
    /// Keys with their values.
    pub over: Vec<Over>,
    /// Epochs at the end of each round; one where nothing is left out.
    pub rounds: Vec<usize>,
    /// One in so many goes on after a round.
    pub halving: Option<usize>,
    /// The settings that all trainings share.
    pub settings: BTreeMap<String, String>,
}

/// A key with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// The whole key.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

impl From<&Axis> for Over {
    fn from(axis: &Axis) -> Self {
        Over { key: axis.key.clone(), values: axis.values.clone() }
    }
}

impl SweepFile {
    /// What this program writes.
    const FORMAT: u32 = 1;

    /// Of a sweep that begins.
    pub fn new(definition: Definition, runs: Vec<Row>, points: Vec<Point>) -> Self {
        SweepFile { format: Self::FORMAT, definition, runs, points }
    }

    /// The sweep that a folder holds; `None` where there is none.
    ///
    /// # Errors
    /// Where there is one that cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let failed = |why: String| {
            Failure::Failed(format!("{}: {why}; --out DIR names another folder", path.display()))
        };
        let bytes = read_bytes(&path, LARGEST).map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(format!("cannot be read: {error}")))
    }

    /// Writes the file and the table, each whole or not at all.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, folder: &Path) -> Result {
        let mut bytes = serde_json::to_vec_pretty(self).expect("numbers and strings serialise");
        bytes.push(b'\n');
        write_atomic(&folder.join(FILE), &bytes)?;
        Ok(write_atomic(&folder.join(TABLE), &self.table())?)
    }

    /// The trainings as CSV: their names, a column for each key, and their figures.
    fn table(&self) -> Vec<u8> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let reason = "a vector takes all that is written";
        let keys = self.definition.over.iter().map(|over| over.key.as_str());
        let head = ["run"].into_iter().chain(keys).chain(COLUMNS);
        writer.write_record(head).expect(reason);
        for row in &self.runs {
            let figures = figures(row);
            let cells = std::iter::once(&row.name).chain(&row.values).chain(&figures);
            writer.write_record(cells).expect(reason);
        }
        writer.into_inner().expect(reason)
    }
}

/// The columns behind the keys.
const COLUMNS: [&str; 11] = [
    "state",
    "epochs",
    "best_accuracy",
    "last_accuracy",
    "best_loss",
    "last_loss",
    "params",
    "macs",
    "step_seconds",
    "seconds",
    "reason",
];

fn figures(row: &Row) -> [String; COLUMNS.len()] {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        row.state.word().to_owned(),
        row.epochs.to_string(),
        number(row.best_accuracy),
        number(row.last_accuracy),
        number(row.best_loss),
        number(row.last_loss),
        row.params.to_string(),
        row.macs.to_string(),
        number(row.step_seconds),
        row.seconds.to_string(),
        row.reason.clone().unwrap_or_default(),
    ]
}

impl Definition {
    /// Whether another sweep is this one with more values of its only key behind those that it has: its runs are the same, and there are
    /// more. With halving there is no such sweep, for all points decide who goes on.
    pub fn grows_into(&self, other: &Definition) -> bool {
        let ([own], [more]) = (&self.over[..], &other.over[..]) else { return false };
        let alike = Definition { over: self.over.clone(), ..other.clone() };
        self.halving.is_none()
            && own.key == more.key
            && more.values.starts_with(&own.values)
            && *self == alike
    }

    /// What is otherwise in another sweep, a line each.
    pub fn differences(&self, other: &Definition) -> Vec<String> {
        let mut told = Vec::new();
        let mut tell = |what: &str, was: String, is: String| {
            if was != is {
                told.push(format!("{what} was {was}, it is {is}"));
            }
        };
        tell("the network", self.network.clone(), other.network.clone());
        tell("the data set", self.dataset.clone(), other.dataset.clone());
        tell("the sweep", keys(&self.over), keys(&other.over));
        for over in &self.over {
            if let Some(now) = other.over.iter().find(|now| now.key == over.key) {
                tell(&format!("`{}`", over.key), over.values.join(","), now.values.join(","));
            }
        }
        let number = |halving: Option<usize>| halving.map_or("none".to_owned(), |eta| eta.to_string());
        tell("`halving`", number(self.halving), number(other.halving));
        if self.halving.is_some() && other.halving.is_some() {
            let epochs =
                |rounds: &[usize]| rounds.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            tell("the end of rounds", epochs(&self.rounds), epochs(&other.rounds));
        }
        for key in
            self.settings.keys().chain(other.settings.keys().filter(|key| !self.settings.contains_key(*key)))
        {
            let of = |settings: &BTreeMap<String, String>| {
                settings.get(key).map_or("not there", String::as_str).to_owned()
            };
            tell(&format!("`{key}`"), of(&self.settings), of(&other.settings));
        }
        told
    }
}

fn keys(over: &[Over]) -> String {
    over.iter().map(|over| over.key.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::grid::Variant;
    use super::*;

    fn definition(lr: &[&str], epochs: &str) -> Definition {
        let values = lr.iter().map(|&value| value.to_owned()).collect();
        Definition {
            network: "tiny".into(),
            dataset: "shapes10".into(),
            over: vec![Over { key: "train.optimizer.lr".into(), values }],
            rounds: vec![3],
            halving: None,
            settings: BTreeMap::from([("train.epochs".to_owned(), epochs.to_owned())]),
        }
    }

    #[test]
    fn what_differs_is_told() {
        let was = definition(&["0.1", "0.2"], "3");
        assert_eq!(was.differences(&was), Vec::<String>::new());
        assert_eq!(
            was.differences(&definition(&["0.1"], "4")),
            ["`train.optimizer.lr` was 0.1,0.2, it is 0.1", "`train.epochs` was 3, it is 4"]
        );
    }

    #[test]
    fn a_sweep_grows_by_values_behind_its_own() {
        let was = definition(&["0.1", "0.2"], "3");
        assert!(was.grows_into(&was) && was.grows_into(&definition(&["0.1", "0.2", "0.3"], "3")));
        for other in [
            definition(&["0.1"], "3"),
            definition(&["0.3", "0.1", "0.2"], "3"),
            definition(&["0.1", "0.2", "0.3"], "4"),
        ] {
            assert!(!was.grows_into(&other), "{other:?}");
        }
        let halved = Definition { halving: Some(2), ..was };
        assert!(
            !halved.grows_into(&Definition { halving: Some(2), ..definition(&["0.1", "0.2", "0.3"], "3") })
        );
    }

    #[test]
    fn a_file_comes_back_and_its_table_is_csv() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(SweepFile::load(folder.path()).ok(), Some(None));
        let variant = Variant { name: "lr=0.1".into(), values: vec!["a,b".into()] };
        let row = Row { reason: Some("\"x\"".into()), ..Row::new(&variant, 7, 8) };
        let file = SweepFile::new(definition(&["a,b"], "3"), vec![row], Vec::new());
        file.save(folder.path()).expect("written");
        assert_eq!(SweepFile::load(folder.path()).expect("read"), Some(file));
        let table = std::fs::read_to_string(folder.path().join(TABLE)).expect("written");
        let line = table.lines().nth(1).expect("a row");
        assert!(
            line.starts_with("lr=0.1,\"a,b\",waiting,0,,,,,7,8,") && line.ends_with("\"\"\"x\"\"\""),
            "{table}"
        );
        std::fs::write(folder.path().join(FILE), "{").expect("written");
        assert!(SweepFile::load(folder.path()).is_err());
    }
}
