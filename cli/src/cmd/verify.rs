//! `resnetc verify`: every spec of a folder, or one, compiles, and is what it expects itself to be.

use std::path::Path;

use resnetc::SpecOptions;
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::spec::{ResolvedSpec, builtin, limits::Limits};
use serde::Serialize;

use super::spec;
use crate::args::VerifyArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::grouped;

/// Where specs are looked for.
const DIR: &str = "specs";

/// What was found of one spec; figures are none where it did not come so far.
#[derive(Debug, Default, Serialize)]
struct Row {
    name: Option<String>,
    file: String,
    params: Option<u64>,
    macs: Option<u64>,
    /// Figures that the spec states.
    expect: Vec<&'static str>,
    ok: bool,
}

/// Runs the command: goes through all specs before it fails.
pub fn verify(args: &VerifyArgs, output: &Output) -> Result {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for file in files(args)? {
        let mut row = Row { file, ..Row::default() };
        match examine(&mut row, args.bounds.limits(), output) {
            Ok(()) => row.ok = true,
            Err(Failure::Spec(more)) => faults.extend(more),
            Err(other) => return Err(other),
        }
        rows.push(row);
    }
    if args.json {
        output.result(&serde_json::to_string_pretty(&rows).expect("rows have only string keys"))?;
    } else {
        output.result(&table(&rows))?;
        let right = rows.iter().filter(|row| row.ok).count();
        output.note(&format!("\n{right} of {} specs are right", rows.len()))?;
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Spec(faults)) }
}

/// The spec, those of the folder, or names of the compiled-in networks.
fn files(args: &VerifyArgs) -> Result<Vec<String>> {
    if args.dir.is_none() && !Path::new(DIR).is_dir() {
        return Ok(builtin::specs().map(|spec| spec.name.to_owned()).collect());
    }
    let dir = args.dir.as_deref().unwrap_or(DIR);
    if Path::new(dir).is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut files = Vec::new();
    collect(Path::new(dir), &mut files)
        .map_err(|e| Failure::Usage(format!("`{dir}` is neither a folder with specs nor a spec: {e}")))?;
    if files.is_empty() {
        return Err(Failure::Usage(format!("there is no .yaml file under {dir}")));
    }
    files.sort();
    Ok(files)
}

fn collect(dir: &Path, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // Links are not followed: they may run in a circle.
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Compiles a spec for inference and for training, and notes its figures on the way.
fn examine(row: &mut Row, limits: Limits, output: &Output) -> Result {
    let spec = spec::load(&row.file, &SpecOptions { limits, ..SpecOptions::default() }, output)?;
    row.name = Some(spec.name().to_owned());
    row.expect = stated(spec.resolved());
    let summary = spec.figures()?;
    (row.params, row.macs) = (Some(summary.params), Some(summary.macs));
    spec.plan(Mode::Infer, 1, Backend::CPU)?;
    Ok(spec.check()?)
}

fn stated(spec: &ResolvedSpec) -> Vec<&'static str> {
    let expect = &spec.expect;
    let stated = [
        ("params", expect.params.is_some()),
        ("macs", expect.macs.is_some()),
        ("output", expect.output.is_some()),
    ];
    stated.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

fn table(rows: &[Row]) -> String {
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
            (false, _) => "wrong",
            (true, true) => "none",
            (true, false) => "ok",
        };
        let name = row.name.clone().unwrap_or_default();
        table.row([name, row.file.clone(), figure(row.params), figure(row.macs), expect.to_owned()]);
    }
    table.render()
}
