//! The table of `resnetc bench`, and its JSON.

use std::fmt::Write;
use std::time::Duration;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;

use resnetc_runtime::device::{Choice, Estimate};
use resnetc_runtime::roofline::{Arithmetic, Ceiling, Roofline};
use serde_json::{Value, json};

use super::resident::Beside;
use super::table::{Align, Table};
use super::units::{bytes, duration, median};

/// What was measured.
pub struct Measured<'a> {
    /// What ran.
    pub plan: &'a Plan,
    /// On what.
    pub device: String,
    /// Its ceilings.
    pub roofline: Option<Roofline>,
    /// Each timed run.
    pub runs: Vec<Duration>,
    /// Mean time of each step of the plan.
    pub steps: Vec<Duration>,
    /// Each step's algorithm, where there are several.
    pub choices: Vec<Option<Choice>>,
    /// Memory besides the plan's.
    pub beside: Beside,
    /// Most bytes resident up to the last run, where the system tells.
    pub peak: Option<usize>,
}

/// One step against the ceilings.
struct Rates {
    gflops: f64,
    gb_s: f64,
    /// Time that the roofline allows over the time taken.
    share: Option<f64>,
}

impl Measured<'_> {
    /// The middle run.
    fn median(&self) -> Duration {
        median(&self.runs).unwrap_or_default()
    }

    fn images_per_second(&self) -> f64 {
        self.plan.batch as f64 / self.median().as_secs_f64()
    }

    fn rates(&self, index: usize, time: Duration) -> Rates {
        let step = &self.plan.steps[index];
        let seconds = time.as_secs_f64().max(1e-9);
        let gflops = step.kernel.flops() as f64 / 1e9;
        let gb = self.plan.traffic(step) as f64 / 1e9;
        let least = |roofline: &Roofline| (gflops / self.ceiling(roofline, index)).max(gb / roofline.gb_s);
        let share = self.roofline.as_ref().map(|roofline| least(roofline) / seconds);
        Rates { gflops: gflops / seconds, gb_s: gb / seconds, share }
    }

    /// Operations of a step's algorithm, in 10^9 per second at most.
    fn ceiling(&self, roofline: &Roofline, index: usize) -> f64 {
        let multiplier = self.choices[index].as_ref().and_then(|choice| choice.multiplier);
        roofline.arithmetic.ceiling(multiplier)
    }

    /// Name of the kernel and of its algorithm.
    fn kernel(&self, index: usize) -> String {
        let name = self.plan.steps[index].kernel.name();
        match &self.choices[index] {
            Some(Choice { variant: Some(variant), .. }) => format!("{name}, {variant}"),
            Some(choice) => format!("{name}, {}", choice.algorithm),
            None => name.to_owned(),
        }
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
        let steps: Vec<Value> = (self.plan.steps.iter().zip(&self.steps).zip(&self.choices).enumerate())
            .map(|(index, ((step, time), choice))| {
                let rates = self.rates(index, *time);
                json!({
                    "name": step.name, "kernel": step.kernel.name(), "shape": step.kernel.geometry(),
                    "algorithm": choice.as_ref().map(|choice| choice.algorithm),
                    "variant": choice.as_ref().and_then(|choice| choice.variant.as_deref()),
                    "measured": choice.as_ref().map(|choice| choice.measured),
                    "estimates": choice.as_ref().map(|choice| choice.estimates.iter().map(estimate).collect::<Vec<_>>()),
                    "ms": ms(time), "gflop_s": rates.gflops, "gb_s": rates.gb_s, "share": rates.share,
                })
            })
            .collect();
        let roofline = self.roofline.as_ref();
        let bf16 = roofline.and_then(|roofline| roofline.arithmetic.bf16);
        let object = json!({
            "name": self.plan.name, "mode": self.mode(), "batch": self.plan.batch, "dtype": self.plan.precision().to_string(),
            "device": self.device, "runs": self.runs.len(),
            "ms": ms(&self.median()), "img_s": self.images_per_second(),
            "ms_min": self.runs.iter().min().map(ms), "ms_max": self.runs.iter().max().map(ms),
            "peak_gflop_s": roofline.map(|roofline| roofline.arithmetic.gflops),
            "peak_bf16_gflop_s": bf16.map(|ceiling| ceiling.gflops), "bf16_instructions": bf16.map(|ceiling| ceiling.instructions),
            "peak_gb_s": roofline.map(|roofline| roofline.gb_s),
            "peak_resident_bytes": self.peak, "expected_resident_bytes": self.beside.expected(self.plan),
            "planned_bytes": self.plan.bytes(), "workspace_bytes": self.beside.workspaces, "steps": steps,
        });
        format!("{object:#}")
    }
}

/// An algorithm's cost by the model.
fn estimate(estimate: &Estimate) -> Value {
    let parts = estimate.parts.iter().map(|&(part, cycles)| (part.to_owned(), json!(cycles))).collect();
    json!({"algorithm": estimate.algorithm, "cycles": estimate.cycles(), "parts": Value::Object(parts)})
}

/// Every step, the reasons for its algorithm if asked for, sums by kernel, the totals.
pub fn text(measured: &Measured<'_>, warmup: usize, explain: bool, width: Option<usize>) -> String {
    let mut text = steps(measured).within(width);
    text.push('\n');
    if explain {
        text += &reasons(measured).within(width);
        text.push('\n');
    }
    text += &kernels(measured).within(width);
    let ceilings = measured.roofline.as_ref().map_or(String::new(), ceilings);
    let (median, runs) = (measured.median(), &measured.runs);
    let fastest = runs.iter().min().copied().unwrap_or_default();
    let slowest = runs.iter().max().copied().unwrap_or_default();
    let (mode, plan) = (measured.mode(), measured.plan);
    let count = runs.len();
    let memory = measured.peak.map_or(String::new(), |peak| {
        format!("memory     {} resident at most; expected {}\n", bytes(peak), measured.beside.text(plan))
    });
    write!(
        text,
        "\n{}, {mode}, batch {}, on {}\n{ceilings}time       {}, median of {count} runs after {warmup} ({} to {}), {:.1} images/s\n{memory}",
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

fn ceilings(roofline: &Roofline) -> String {
    let Roofline { arithmetic: Arithmetic { gflops, how, bf16 }, gb_s } = roofline;
    let narrow = bf16.map_or(String::new(), |Ceiling { instructions, gflops }| {
        format!(", {gflops:.0} in bf16 by {instructions}")
    });
    format!("ceilings   {gflops:.0} GFLOP/s {how}{narrow}, {gb_s:.1} GB/s to memory\n")
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
    for (index, (step, time)) in measured.plan.steps.iter().zip(&measured.steps).enumerate() {
        let rates = measured.rates(index, *time);
        let arithmetic = if step.kernel.flops() > 0 { format!("{:.0}", rates.gflops) } else { String::new() };
        table.row([
            step.name.clone(),
            measured.kernel(index),
            step.kernel.geometry(),
            duration(*time),
            arithmetic,
            format!("{:.1}", rates.gb_s),
            rates.share.map_or(String::new(), |share| format!("{:.0} %", share * 100.0)),
        ]);
    }
    table
}

/// What the cost model expects of each algorithm that a step could have taken.
fn reasons(measured: &Measured<'_>) -> Table {
    let mut table = Table::new(&[
        ("step", Align::Left),
        ("algorithm", Align::Left),
        ("", Align::Left),
        ("Mcycles expected", Align::Right),
        ("of which", Align::Left),
    ]);
    for (step, choice) in measured.plan.steps.iter().zip(&measured.choices) {
        let Some(choice) = choice else { continue };
        for (nth, estimate) in choice.estimates.iter().enumerate() {
            let part = |(part, cycles): &(&str, f64)| format!("{part} {:.3}", cycles / 1e6);
            table.row([
                if nth == 0 { step.name.clone() } else { String::new() },
                estimate.algorithm.to_owned(),
                match (estimate.algorithm == choice.algorithm, choice.measured) {
                    (true, true) => "taken, as measured",
                    (true, false) => "taken",
                    (false, _) => "",
                }
                .to_owned(),
                format!("{:.3}", estimate.cycles() / 1e6),
                estimate.parts.iter().map(part).collect::<Vec<_>>().join(", "),
            ]);
        }
    }
    table
}

/// Time by kind of kernel, the longest first.
fn kernels(measured: &Measured<'_>) -> Table {
    let mut sums: Vec<(String, usize, Duration)> = Vec::new();
    for (index, time) in measured.steps.iter().enumerate() {
        let name = measured.kernel(index);
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
        table.row([name, count.to_string(), duration(time), format!("{share:.1} %")]);
    }
    table.rule();
    let count = measured.plan.steps.len().to_string();
    table.row(["total".to_owned(), count, duration(total), String::new()]);
    table
}
