//! Tables of paths and labels: CSV with a heading, or a JSON object a line.

use std::collections::HashMap;
use std::path::Path;

use super::found::{Found, Parts};
use super::place::Place;
use crate::error::{Error, Result};
use crate::files;

/// Most bytes of a table: some ten million lines.
const MOST: u64 = 1 << 30;

/// What the columns may be called.
const PATH: &[&str] = &["path", "file", "filename", "file_name", "image", "image_path"];
const LABEL: &[&str] = &["label", "class", "class_name", "category", "target"];
const PART: &[&str] = &["split", "part", "set", "fold"];

/// Finds the pictures of a CSV file. Its first line names the columns: one of paths, one of labels, and one of parts where it has
/// such. Paths are relative to the file.
///
/// # Errors
/// [`Error::Data`] with the line that is wrong; where the file cannot be read.
pub(super) fn csv(path: &Path) -> Result<Found> {
    let text = files::read_text(path, MOST).map_err(Error::io(path))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let wrong = |error: csv::Error| Error::Data(format!("{}: {error}", path.display()));
    let heading: Vec<String> = reader
        .headers()
        .map_err(wrong)?
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_lowercase())
        .collect();
    let column =
        |names: &[&str]| names.iter().find_map(|name| heading.iter().position(|column| column == name));
    let needed = |what: &str, names: &[&str]| {
        column(names).ok_or_else(|| {
            let (file, is, names) = (path.display(), heading.join(", "), names.join(", "));
            Error::Data(format!("{file}: its first line names no column of {what}: one of {names}, not {is}"))
        })
    };
    let (paths, labels, split) = (needed("paths", PATH)?, needed("labels", LABEL)?, column(PART));
    let mut parts = Parts::default();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or_default();
        let part = split.map_or("", field);
        add(&mut parts, path, line, [field(paths), field(labels), part])?;
    }
    parts.found(&path.display().to_string())
}

/// Finds the pictures of a file with a JSON object a line: `{"path": "a.jpg", "label": "cat"}`, of the same keys as [`csv`]'s columns.
///
/// # Errors
/// As [`csv`].
pub(super) fn json_lines(path: &Path) -> Result<Found> {
    let text = files::read_text(path, MOST).map_err(Error::io(path))?;
    let mut parts = Parts::default();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |error: serde_json::Error| {
            Error::Data(format!("{}, line {}: no JSON object: {error}", path.display(), at + 1))
        };
        let object: HashMap<String, serde_json::Value> = serde_json::from_str(line).map_err(wrong)?;
        let text = |names: &[&str]| {
            let value = names.iter().find_map(|name| object.get(*name));
            value.map_or_else(String::new, |value| {
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            })
        };
        let fields = [text(PATH), text(LABEL), text(PART)];
        add(&mut parts, path, at as u64 + 1, fields.each_ref().map(String::as_str))?;
    }
    parts.found(&path.display().to_string())
}

fn add(parts: &mut Parts, table: &Path, line: u64, [path, label, part]: [&str; 3]) -> Result<()> {
    for (what, is, names) in [("path", path, PATH), ("label", label, LABEL)] {
        if is.is_empty() {
            let (table, names) = (table.display(), names.join(", "));
            return Err(Error::Data(format!("{table}, line {line}: it has no {what} (one of {names})")));
        }
    }
    let folder = table.parent().unwrap_or(Path::new(""));
    parts.add(part, label, Place::File(folder.join(path)));
    Ok(())
}
