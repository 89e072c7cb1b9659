//! `resnetc verify`: every spec of a folder, or one, compiles, and is what it expects itself to be.

use std::path::{Path, PathBuf};

use resnetc::{DeviceOptions, Error, Spec, SpecOptions};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::source::Spanned;
use resnetc_compiler::spec::bound::Bound;
use resnetc_compiler::spec::{ResolvedSpec, builtin, limits::Limits};
use serde::Serialize;

use super::workload::{Effort, Workload};
use super::{setup, spec};
use crate::args::VerifyArgs;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::grouped;

/// What the time is called.
const MS: &str = "ms";
/// Where specs are looked for.
const DIR: &str = "specs";

/// What was found of one spec; figures are none where it did not come so far.
#[derive(Debug, Default, Serialize)]
struct Row {
    #[serde(skip)]
    path: PathBuf,
    name: Option<String>,
    file: String,
    params: Option<u64>,
    macs: Option<u64>,
    /// Milliseconds of a run, where they were expected and measured.
    ms: Option<f64>,
    /// Figures that the spec states.
    expect: Vec<&'static str>,
    ok: bool,
    /// Why it cannot be read.
    unreadable: Option<String>,
}

impl Row {
    fn of(path: PathBuf) -> Self {
        Row { file: path.to_string_lossy().into_owned(), path, ..Row::default() }
    }

    /// Whether it expects a time that nobody has measured.
    fn is_unmeasured(&self) -> bool {
        self.ms.is_none() && self.expect.contains(&MS)
    }
}

/// Runs the command: goes through all specs before it fails.
pub fn verify(args: &VerifyArgs, environment: &Environment, output: &Output) -> Result {
    let (mut rows, mut faults) = (rows(args)?, Vec::new());
    let device = match args.measure {
        true => Some(setup::device(args.device, args.threads, environment, output)?),
        false => None,
    };
    for row in rows.iter_mut().filter(|row| row.unreadable.is_none()) {
        match examine(row, args.bounds.limits(), device.as_ref(), output) {
            Ok(()) => row.ok = true,
            Err(Failure::Spec(more)) => faults.extend(more),
            Err(Failure::Usage(reason)) => row.unreadable = Some(reason),
            Err(other) => return Err(other),
        }
    }
    if args.json {
        output.result(&serde_json::to_string_pretty(&rows).expect("rows have only string keys"))?;
    } else {
        output.result(&table(&rows).within(output.page.columns))?;
        let right = rows.iter().filter(|row| row.ok).count();
        output.note(&format!("\n{right} of {} specs are right", rows.len()))?;
        let unmeasured = rows.iter().filter(|row| row.ok && row.is_unmeasured()).count();
        if unmeasured > 0 {
            output.note(&format!("of {unmeasured} the time is not measured: --measure does"))?;
        }
    }
    let unreadable: Vec<&String> = rows.iter().filter_map(|row| row.unreadable.as_ref()).collect();
    unreadable.iter().for_each(|reason| output.error(reason));
    match (faults.is_empty(), unreadable.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::Unreadable),
        (false, _) => Err(Failure::Spec(faults)),
    }
}

/// The spec, those of the folder, or the compiled-in networks.
fn rows(args: &VerifyArgs) -> Result<Vec<Row>> {
    if args.dir.is_none() && !Path::new(DIR).is_dir() {
        return Ok(builtin::specs().map(|spec| Row::of(spec.name.into())).collect());
    }
    let dir = args.dir.as_deref().unwrap_or(Path::new(DIR));
    if !dir.is_dir() {
        let known = spec::is_stdin(dir) || dir.to_str().is_some_and(|name| builtin::spec(name).is_some());
        if known || dir.symlink_metadata().is_ok() {
            return Ok(vec![Row::of(dir.to_owned())]);
        }
        let text = format!("`{}` is neither a folder with specs nor a spec", dir.display());
        return Err(Failure::Usage(text));
    }
    let mut rows = Vec::new();
    collect(dir, &mut rows);
    if rows.is_empty() {
        return Err(Failure::Usage(format!("there is no .yaml or .yml file under {}", dir.display())));
    }
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(rows)
}

/// All specs below a folder, and all folders that cannot be read.
fn collect(dir: &Path, rows: &mut Vec<Row>) {
    let unreadable = |path: &Path, reason: &dyn std::fmt::Display| {
        let reason = format!("cannot read {}: {reason}", path.display());
        Row { unreadable: Some(reason), ..Row::of(path.to_owned()) }
    };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return rows.push(unreadable(dir, &error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return rows.push(unreadable(dir, &error)),
        };
        let path = entry.path();
        // Links are not followed: they may run in a circle.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, rows);
        } else if is_spec(&path) {
            // A pipe in a folder would be waited for.
            match path.metadata() {
                Ok(found) if !found.is_file() => rows.push(unreadable(&path, &"it is no file")),
                _ => rows.push(Row::of(path)),
            }
        }
    }
}

fn is_spec(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Compiles a spec for inference and for training, and notes its figures on the way.
fn examine(row: &mut Row, limits: Limits, device: Option<&DeviceOptions>, output: &Output) -> Result {
    let spec = spec::load(&row.path, &SpecOptions { limits, ..SpecOptions::default() }, output)?;
    row.name = Some(spec.name().to_owned());
    row.expect = stated(spec.resolved());
    let summary = spec.figures()?;
    (row.params, row.macs) = (Some(summary.params), Some(summary.macs));
    spec.plan(Mode::Infer, 1, Backend::that_multiplies_in(spec.resolved().train.precision))?;
    spec.check()?;
    match (&spec.resolved().expect.ms, device) {
        (Some(expected), Some(device)) => {
            let (ms, on) = milliseconds(&spec, device)?;
            row.ms = Some(ms);
            slower(&spec, expected, ms, &on).map_or(Ok(()), |fault| Err(fault.into()))
        }
        (None, _) | (_, None) => Ok(()),
    }
}

/// The median time of inference of one image, and the device's name.
fn milliseconds(spec: &Spec, device: &DeviceOptions) -> Result<(f64, String)> {
    let workload = Workload::of(spec.clone(), Mode::Infer, None, device.clone())?;
    let (seconds, device) = workload.measure(&Effort::COMPARE)?;
    Ok((seconds * 1e3, device.describe()))
}

/// What is wrong where a network takes longer than it expects.
fn slower(spec: &Spec, expected: &Spanned<Bound>, ms: f64, on: &str) -> Option<Error> {
    if expected.value.holds(ms) {
        return None;
    }
    let message = format!("an image takes {ms:.3} ms on {on}");
    let fault = Diagnostic::error(message, expected.span, format!("{} ms is expected here", expected.value));
    let help = "run nothing else meanwhile; `resnetc bench` says which kernels take the time, `resnetc design` finds faster variants";
    Some(spec.faults(vec![fault.help(help)]))
}

fn stated(spec: &ResolvedSpec) -> Vec<&'static str> {
    let expect = &spec.expect;
    let stated = [
        ("params", expect.params.is_some()),
        ("macs", expect.macs.is_some()),
        ("output", expect.output.is_some()),
        (MS, expect.ms.is_some()),
    ];
    stated.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("file", Align::Left),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
        ("expect", Align::Left),
    ]);
    let figure = |n: Option<u64>| n.map_or(String::new(), grouped);
    for row in rows {
        let expect = match (row.ok, row.expect.is_empty()) {
            (false, _) if row.unreadable.is_some() => "cannot be read",
            (false, _) => "wrong",
            (true, true) => "none",
            (true, false) if row.is_unmeasured() => "ok, ms not measured",
            (true, false) => "ok",
        };
        let name = row.name.clone().unwrap_or_default();
        table.row([name, row.file.clone(), figure(row.params), figure(row.macs), expect.to_owned()]);
    }
    table
}
