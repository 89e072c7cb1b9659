//! The table of `resnetc bench`, and its JSON.

use std::fmt::Write;
use std::time::Duration;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::{Plan, Step};
use resnetc_runtime::cpu::roofline::Roofline;
use serde_json::{Value, json};

use super::table::{Align, Table};
use super::units::duration;

/// What was measured.
pub struct Measured<'a> {
    /// What ran.
    pub plan: &'a Plan,
    /// On what.
    pub device: String,
    /// Its ceilings.
    pub roofline: Roofline,
    /// Each timed run.
    pub runs: Vec<Duration>,
    /// Mean time of each step of the plan.
    pub steps: Vec<Duration>,
}

/// One step against the ceilings.
struct Rates {
    gflops: f64,
    gb_s: f64,
    /// Time that the roofline allows over the time taken.
    share: f64,
}

impl Measured<'_> {
    /// The middle run.
    fn median(&self) -> Duration {
        let mut sorted = self.runs.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn images_per_second(&self) -> f64 {
        self.plan.batch as f64 / self.median().as_secs_f64()
    }

    fn rates(&self, step: &Step, time: Duration) -> Rates {
        let seconds = time.as_secs_f64().max(1e-9);
        let gflops = step.kernel.flops() as f64 / 1e9;
        let gb = self.plan.traffic(step) as f64 / 1e9;
        let least = (gflops / self.roofline.gflops).max(gb / self.roofline.gb_s);
        Rates { gflops: gflops / seconds, gb_s: gb / seconds, share: least / seconds }
    }

    fn mode(&self) -> &'static str {
        match self.plan.mode {
            Mode::Infer => "infer",
            Mode::Train => "train",
        }
    }

    /// One object: `ms` and `img_s` by the median run, and every step.
    pub fn json(&self) -> String {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        let steps: Vec<Value> = (self.plan.steps.iter().zip(&self.steps))
            .map(|(step, time)| {
                let rates = self.rates(step, *time);
                json!({
                    "name": step.name, "kernel": step.kernel.name(), "shape": step.kernel.geometry(),
                    "ms": ms(time), "gflop_s": rates.gflops, "gb_s": rates.gb_s, "share": rates.share,
                })
            })
            .collect();
        let object = json!({
            "name": self.plan.name, "mode": self.mode(), "batch": self.plan.batch, "dtype": "f32",
            "device": self.device, "runs": self.runs.len(),
            "ms": ms(&self.median()), "img_s": self.images_per_second(),
            "ms_min": self.runs.iter().min().map(ms), "ms_max": self.runs.iter().max().map(ms),
            "peak_gflop_s": self.roofline.gflops, "peak_gb_s": self.roofline.gb_s, "steps": steps,
        });
        format!("{object:#}")
    }
}

/// Every step, sums by kernel, the totals.
pub fn text(measured: &Measured<'_>, warmup: usize) -> String {
    let mut text = steps(measured).render();
    text.push('\n');
    text += &kernels(measured).render();
    let Roofline { gflops, gb_s } = measured.roofline;
    let (median, runs) = (measured.median(), &measured.runs);
    let fastest = runs.iter().min().copied().unwrap_or_default();
    let slowest = runs.iter().max().copied().unwrap_or_default();
    let (mode, plan) = (measured.mode(), measured.plan);
    let count = runs.len();
    write!(
        text,
        "\n{}, {mode}, batch {}, on {}\nceilings   {gflops:.0} GFLOP/s in registers, {gb_s:.1} GB/s to memory\n\
         time       {}, median of {count} runs after {warmup} ({} to {}), {:.1} images/s\n",
        plan.name,
        plan.batch,
        measured.device,
        duration(median),
        duration(fastest),
        duration(slowest),
        measured.images_per_second(),
    )
    .expect("writing to a string");
    text
}

fn steps(measured: &Measured<'_>) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(&[
        ("step", Left),
        ("kernel", Left),
        ("shape", Left),
        ("time", Right),
        ("GFLOP/s", Right),
        ("GB/s", Right),
        ("of roof", Right),
    ]);
    for (step, time) in measured.plan.steps.iter().zip(&measured.steps) {
        let rates = measured.rates(step, *time);
        let arithmetic = if step.kernel.flops() > 0 { format!("{:.0}", rates.gflops) } else { String::new() };
        table.row([
            step.name.clone(),
            step.kernel.name().to_owned(),
            step.kernel.geometry(),
            duration(*time),
            arithmetic,
            format!("{:.1}", rates.gb_s),
            format!("{:.0} %", rates.share * 100.0),
        ]);
    }
    table
}

/// Time by kind of kernel, the longest first.
fn kernels(measured: &Measured<'_>) -> Table {
    let mut sums: Vec<(&str, usize, Duration)> = Vec::new();
    for (step, time) in measured.plan.steps.iter().zip(&measured.steps) {
        let name = step.kernel.name();
        match sums.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, count, sum)) => {
                *count += 1;
                *sum += *time;
            }
            None => sums.push((name, 1, *time)),
        }
    }
    sums.sort_by_key(|&(_, _, time)| std::cmp::Reverse(time));
    let total: Duration = measured.steps.iter().sum();
    let mut table = Table::new(&[
        ("kernel", Align::Left),
        ("steps", Align::Right),
        ("time", Align::Right),
        ("share", Align::Right),
    ]);
    for (name, count, time) in sums {
        let share = time.as_secs_f64() / total.as_secs_f64().max(1e-9) * 100.0;
        table.row([name.to_owned(), count.to_string(), duration(time), format!("{share:.1} %")]);
    }
    table.rule();
    let count = measured.plan.steps.len().to_string();
    table.row(["total".to_owned(), count, duration(total), String::new()]);
    table
}
