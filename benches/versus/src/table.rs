//! The tables, in Markdown.

use std::fmt::Write as _;
use std::process::Command;

use crate::args::Args;
use crate::calm::Calm;
use crate::race::{Outcome, median};
use crate::rows::MEMORY_BARS;
use crate::run::Sample;

/// Times, memory of training, and where they come from.
pub fn render(args: &Args, calm: &Calm, outcomes: &[Outcome]) -> String {
    let mut text = times(outcomes);
    let training: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.row.train).collect();
    if !training.is_empty() {
        text += "\n";
        text += &memory(&training);
    }
    let origin = origin(args, outcomes);
    format!("{text}\n{origin}{}\n", calm.sentence())
}

fn times(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| work | resnetc | fastest peer | its time | ratio (range) | at least | aim |\n\
         |------|--------:|--------------|---------:|--------------:|---------:|----:|\n",
    );
    for outcome in outcomes {
        let ratios = outcome.ratios();
        let (ratio, [least, aim]) = (median(&ratios), outcome.row.bars);
        let missed = if ratio < least { " (missed)" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {ratio:.2}x ({:.2}-{:.2}){missed} | {least}x | {aim}x |",
            outcome.row.title(),
            time(&outcome.ours),
            outcome.peer,
            time(&outcome.theirs),
            ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
        );
    }
    text
}

/// `38.2 ms ±1.3 %`: the median, and how far the calls are from it at most.
fn time(samples: &[Sample]) -> String {
    let all: Vec<f64> = samples.iter().map(|sample| sample.ms).collect();
    let middle = median(&all);
    let furthest = all.iter().map(|ms| (ms - middle).abs()).fold(0.0, f64::max);
    let digits = if middle < 100.0 { 2 } else { 0 };
    format!("{middle:.digits$} ms ±{:.1} %", furthest / middle * 100.0)
}

fn memory(outcomes: &[&Outcome]) -> String {
    let [most, aim] = MEMORY_BARS;
    let mut text = format!(
        "| peak resident memory | resnetc | the same peer | ratio (at most {most}x, aim {aim}x) |\n\
         |----------------------|--------:|--------------:|------:|\n"
    );
    for outcome in outcomes {
        let peak = |samples: &[Sample]| samples.iter().filter_map(|sample| sample.peak).max();
        let (ours, theirs) = (peak(&outcome.ours), peak(&outcome.theirs));
        let ratio = ours.zip(theirs).map_or("unknown".to_owned(), |(ours, theirs)| {
            let ratio = ours as f64 / theirs as f64;
            format!("{ratio:.2}x{}", if ratio > most { " (missed)" } else { "" })
        });
        let _ = writeln!(
            text,
            "| {} | {} | {} ({}) | {ratio} |",
            outcome.row.title(),
            mebibytes(ours),
            mebibytes(theirs),
            outcome.peer,
        );
    }
    text
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), |bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)))
}

fn origin(args: &Args, outcomes: &[Outcome]) -> String {
    let device = outcomes.iter().flat_map(|outcome| &outcome.ours).find_map(|s| s.report["device"].as_str());
    let peers = "import importlib.metadata as m\n\
                 for p in ('torch', 'onnxruntime', 'openvino'):\n\
                 \x20 try: print(p, m.version(p), end=', ')\n\
                 \x20 except m.PackageNotFoundError: pass";
    let versions = said(Command::new(&args.python).args(["-c", peers]));
    format!(
        "{}. {} with {} threads, {}. Versions: {}, {}. Each time is the median of {} calls, ours and the \
         peers' in turn; a call's time is the median of its runs after warming up. The ratio is the median over pairs of \
         neighbouring calls.",
        said(Command::new("date").args(["-u", "+%F"])),
        processor(),
        args.threads,
        device.unwrap_or("unknown device"),
        said(Command::new(&args.resnetc).arg("--version")),
        versions.trim_end_matches([',', ' ']),
        args.rounds,
    )
}

fn said(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, model)| model).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rows::ROWS;

    fn samples(times: &[f64]) -> Vec<Sample> {
        times.iter().map(|&ms| Sample { ms, peak: Some(100 << 20), report: json!({"ms": ms}) }).collect()
    }

    #[test]
    fn ratios_are_of_neighbouring_calls() {
        let row = *ROWS.iter().find(|row| row.train).expect("a training row");
        let outcome = Outcome {
            row,
            ours: samples(&[10.0, 20.0, 10.0]),
            peer: "compile".into(),
            theirs: samples(&[15.0, 40.0, 14.0]),
        };
        assert_eq!(outcome.ratios(), [1.5, 2.0, 1.4]);
        let (times, memory) = (times(&[outcome]), row.title());
        assert!(
            times
                .contains("| 10.00 ms ±100.0 % | compile | 15.00 ms ±166.7 % | 1.50x (1.40-2.00) (missed) |"),
            "{times}"
        );
        assert_eq!(memory, "ResNet-20 32x32 training step, batch 128, f32");
    }

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }
}
