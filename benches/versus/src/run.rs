//! One call of either side: a process of its own, its time, and the most memory it had resident.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::args::Args;
use crate::rows::Row;

/// How often a running peer is asked for its memory. The kernel keeps the maximum, and a step is repeated, so little is
/// missed.
const POLL: Duration = Duration::from_millis(20);

/// What a call reports.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Median milliseconds of a step.
    pub ms: f64,
    /// Most bytes resident, where the system tells.
    pub peak: Option<u64>,
    /// The whole report.
    pub report: Value,
}

/// `resnetc bench`.
pub fn ours(args: &Args, row: &Row) -> Result<Sample, String> {
    let mut command = Command::new(&args.resnetc);
    command.args(["bench", row.spec, "--json", "--batch", &row.batch.to_string()]);
    command.args(["--runs", &runs(args, row), "--threads", &args.threads.to_string()]);
    if row.train {
        command.arg("--train");
    }
    // Without the option the program need not know any type but the usual one.
    if row.bf16 {
        command.args(["--dtype", row.dtype()]);
    }
    let (text, _) = output(command, "resnetc")?;
    let report: Value =
        serde_json::from_str(&text).map_err(|fault| format!("resnetc printed no JSON: {fault}"))?;
    let peak = report["peak_resident_bytes"].as_u64();
    sample(report, peak, "resnetc")
}

/// One of the peers.
pub fn peer(args: &Args, row: &Row, name: &str) -> Result<Sample, String> {
    let mut command = Command::new(&args.python);
    command.args(["-W", "ignore"]).arg(&args.peers).arg(if row.train { "train" } else { "infer" });
    command.args(["--model", row.model, "--dtype", row.dtype(), "--only", name]);
    command.args(["--batch", &row.batch.to_string(), "--size", &row.size.to_string()]);
    command.args(["--classes", &row.classes.to_string(), "--runs", &runs(args, row)]);
    command.args(["--threads", &args.threads.to_string()]);
    let (text, peak) = output(command, name)?;
    let line = text.lines().rev().find(|line| line.starts_with('{'));
    let report = line.and_then(|line| serde_json::from_str(line).ok());
    sample(report.ok_or_else(|| format!("{name} printed no report"))?, peak, name)
}

fn runs(args: &Args, row: &Row) -> String {
    args.runs.map_or(row.runs, usize::from).to_string()
}

fn sample(report: Value, peak: Option<u64>, who: &str) -> Result<Sample, String> {
    match report["ms"].as_f64() {
        Some(ms) if ms > 0.0 => Ok(Sample { ms, peak, report }),
        _ => Err(format!("{who} reports no time")),
    }
}

/// Standard output of a process that succeeds, and its peak of resident memory.
fn output(mut command: Command, who: &str) -> Result<(String, Option<u64>), String> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = spawned.map_err(|fault| format!("cannot start {who}: {fault}"))?;
    let watched = child.id();
    let reader = thread::spawn(move || Child::wait_with_output(child));
    let mut peak = None;
    while !reader.is_finished() {
        peak = peak.max(peak_resident(watched));
        thread::sleep(POLL);
    }
    let finished = reader.join().map_err(|_| format!("reading from {who} failed"))?;
    let finished = finished.map_err(|fault| format!("waiting for {who}: {fault}"))?;
    if !finished.status.success() {
        let errors = String::from_utf8_lossy(&finished.stderr).into_owned();
        let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        return Err(format!("{who} failed ({}): {last}", finished.status));
    }
    Ok((String::from_utf8_lossy(&finished.stdout).into_owned(), peak))
}

/// The kernel's record of a process, on Linux.
fn peak_resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
