//! What `resnetc design` tells: the front as a table, as a picture, and all that was measured as JSON.

use std::time::Duration;

use resnetc::Spec;
use serde_json::{Value, json};

use super::measure::{Candidate, Measured, Stopwatch};
use crate::args::{DesignArgs, Metric};
use crate::chart::{Axis, Chart, Scale, svg, terminal};
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::{bytes, duration, grouped, si};

/// What was found.
pub struct Found<'a> {
    /// What was asked for.
    pub args: &'a DesignArgs,
    /// The network itself.
    pub base: &'a Spec,
    /// What measured.
    pub stopwatch: &'a Stopwatch,
    /// Of what varies.
    pub names: Vec<&'a str>,
    /// Variants that are networks.
    pub compiled: usize,
    /// Variants that are none.
    pub refused: usize,
    /// All that were run.
    pub measured: &'a [Measured<'a>],
    /// Those within the budget that none beats, the fastest first.
    pub front: &'a [&'a Measured<'a>],
}

impl Found<'_> {
    /// Prints and writes it.
    pub fn tell(&self, output: &Output) -> Result {
        if let Some(path) = &self.args.svg {
            let picture = svg(&self.chart());
            let picture =
                picture.ok_or_else(|| Failure::Failed("nothing was measured that can be drawn".into()))?;
            files::write(path, picture.as_bytes())?;
        }
        if self.args.json {
            return output.result(&serde_json::to_string_pretty(&self.json()).expect("only string keys"));
        }
        output.result(&self.table().within(output.page.columns))?;
        if self.front.len() > 1 {
            output.note(&terminal(&self.chart(), output.page.columns.unwrap_or(80)))?;
        }
        output.note(&self.summary())
    }

    /// `125 variants, 3 are no networks; 24 measured, 7 on the front. resnet20 itself takes 2.1 ms on cpu (...)`
    fn summary(&self) -> String {
        let refused = match self.refused {
            0 => String::new(),
            1 => ", one more is no network".to_owned(),
            n => format!(", {n} more are no networks"),
        };
        format!(
            "{} variants{refused}; {} measured, {} on the front. {} itself takes {} on {}",
            self.compiled,
            self.measured.len(),
            self.front.len(),
            self.base.name(),
            duration(Duration::from_secs_f64(self.stopwatch.base)),
            self.stopwatch.name
        )
    }

    fn table(&self) -> Table {
        let own = self.names.iter().map(|&name| (name, Align::Right));
        let figures =
            ["parameters", "MACs", "memory", "expected", "measured"].map(|name| (name, Align::Right));
        let columns: Vec<(&str, Align)> = own.chain(figures).collect();
        let mut table = Table::new(&columns);
        let time = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        for Measured { candidate, seconds } in self.front {
            let Candidate { point, params, macs, bytes: memory, expected, .. } = candidate;
            let figures = [grouped(*params), si(*macs), bytes(*memory), time(*expected), time(*seconds)];
            table.row(point.values.iter().cloned().chain(figures));
        }
        table
    }

    fn chart(&self) -> Chart {
        let (label, value): (&str, fn(&Candidate) -> f64) = match self.args.metric {
            Metric::Params => ("parameters", |candidate| candidate.params as f64),
            Metric::Macs => ("multiply-accumulates per image", |candidate| candidate.macs as f64),
            Metric::Memory => ("MiB of the plan", |candidate| candidate.bytes as f64 / f64::from(1 << 20)),
        };
        let at = |m: &Measured<'_>| (m.seconds * 1e3, value(m.candidate));
        let what = if self.args.workload.train { "training step" } else { "run" };
        Chart {
            title: format!("{}: variants by the time of a {what}", self.base.name()),
            x: Axis { label: "ms".to_owned(), scale: Scale::Linear },
            y: Axis { label: label.to_owned(), scale: Scale::Linear },
            points: self.front.iter().map(|m| at(m)).collect(),
            beside: self.measured.iter().map(at).collect(),
            mark: None,
        }
    }

    fn json(&self) -> Value {
        let on_front = |m: &Measured<'_>| self.front.iter().any(|other| std::ptr::eq(*other, m));
        let variant = |m: &Measured<'_>| {
            let Candidate { point, params, macs, bytes, expected, .. } = m.candidate;
            let values =
                self.names.iter().zip(&point.values).map(|(name, value)| ((*name).to_owned(), json!(value)));
            json!({
                "values": Value::Object(values.collect()), "params": params, "macs": macs, "memory_bytes": bytes,
                "expected_ms": expected * 1e3, "ms": m.seconds * 1e3, "front": on_front(m),
            })
        };
        json!({
            "name": self.base.name(), "device": self.stopwatch.name, "base_ms": self.stopwatch.base * 1e3,
            "compiled": self.compiled, "refused": self.refused,
            "measured": self.measured.iter().map(variant).collect::<Vec<_>>(),
        })
    }
}
