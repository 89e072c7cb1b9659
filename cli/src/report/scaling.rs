//! How long a training step takes on several ranks.

use std::fmt::Write;
use std::time::Duration;

use resnetc_compiler::scaling::{Link, Prediction};
use serde::Serialize;

use super::table::{Align, Table};
use super::units::{bytes, duration, rate};

/// What `build --link` expects.
#[derive(Debug, Serialize)]
pub struct Scaling {
    /// What joins the ranks.
    pub link: Link,
    /// Where the time of a rank that is alone comes from: `measured here: cpu (avx2, 2 threads)`.
    pub source: String,
    /// Images of each rank's batch.
    pub batch: usize,
    /// Sums of gradients, each of a bucket.
    pub sums: usize,
    /// Of 2, 4, ... ranks up to the number that was asked for.
    pub predictions: Vec<Prediction>,
}

impl Scaling {
    /// Two lines and a table.
    pub fn text(&self, width: Option<usize>) -> String {
        let Scaling { link, source, batch, sums, predictions } = self;
        let alone = predictions.first().map_or(0.0, |prediction| prediction.compute);
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(text, "{name:<12}{value}").expect("writing to a string");
        };
        line("link", link.to_string());
        line("alone", format!("{} a step of {batch} images, {source}", time(alone)));
        let counted = match sums {
            0 => "a mean of the weights behind every so many updates",
            1 => "1 sum of gradients beside the backward pass",
            sums => &format!("{sums} sums of gradients beside the backward pass"),
        };
        line("expected", counted.to_owned());
        let mut table = Table::new(&[
            ("ranks", Align::Right),
            ("step", Align::Right),
            ("sent", Align::Right),
            ("sending", Align::Right),
            ("waited for", Align::Right),
            ("hidden", Align::Right),
            ("images/s", Align::Right),
            ("efficiency", Align::Right),
        ]);
        for prediction in predictions {
            let images = (prediction.ranks * batch) as f64 / prediction.seconds;
            table.row([
                prediction.ranks.to_string(),
                time(prediction.seconds),
                bytes(prediction.sent),
                time(prediction.sending),
                time(prediction.waiting),
                percent(prediction.hidden()),
                rate(images),
                percent(prediction.efficiency()),
            ]);
        }
        text + "\n" + &table.within(width)
    }
}

fn time(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
