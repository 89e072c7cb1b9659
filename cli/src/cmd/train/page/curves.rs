//! How a training went over its epochs.

use std::time::Duration;

use resnetc_runtime::metrics::EpochRecord;

use crate::chart::{Scale, Series, lines};
use crate::report::units::{duration, grouped};

/// Curves of loss, accuracy, rate and speed.
pub fn curves(records: &[EpochRecord]) -> String {
    let series = |name, value: &dyn Fn(&EpochRecord) -> Option<f64>| Series {
        name,
        points: records.iter().filter_map(|record| Some((record.epoch as f64, value(record)?))).collect(),
    };
    let hundred = |fraction: f64| fraction * 100.0;
    let pictures = [
        lines(
            "Loss",
            Scale::Linear,
            &[
                series("train", &|record| Some(record.train_loss)),
                series("test", &|record| record.test_loss),
                series("average", &|record| record.average_loss),
            ],
        ),
        lines(
            "Accuracy, %",
            Scale::Linear,
            &[
                series("train", &|record| Some(hundred(record.train_accuracy))),
                series("test", &|record| record.test_accuracy.map(hundred)),
                series("average", &|record| record.average_accuracy.map(hundred)),
            ],
        ),
        lines("Learning rate", Scale::Linear, &[series("rate", &|record| Some(f64::from(record.lr)))]),
        lines(
            "Images a second",
            Scale::Linear,
            &[series("speed", &|record| Some(record.images_per_second).filter(|&speed| speed > 0.0))],
        ),
    ];
    pictures.into_iter().flatten().map(|picture| format!("<div>{picture}</div>\n")).collect()
}

/// Where the time went.
pub fn time(records: &[EpochRecord]) -> String {
    let waiting: f64 = records.iter().map(|record| record.data_seconds).sum();
    let steps: f64 = records.iter().map(|record| record.seconds).sum::<f64>() - waiting;
    let evaluation: f64 = records.iter().filter_map(|record| record.evaluation_seconds).sum();
    let total = waiting + steps + evaluation;
    if total <= 0.0 {
        return String::new();
    }
    let mut out = String::from("<h2>Time</h2>\n<table class=\"bars\">\n");
    for (name, seconds) in [("steps", steps), ("waiting for images", waiting), ("evaluation", evaluation)] {
        let share = seconds / total * 100.0;
        let took = duration(Duration::from_secs_f64(seconds.max(0.0)));
        out += &format!(
            "<tr><td>{name}<td><div class=\"bar\"><i style=\"width:{share:.1}%\"></i></div>\
             <td class=\"num\">{took}<td class=\"num\">{share:.0} %</tr>\n"
        );
    }
    let speeds: Vec<f64> = records.iter().map(|r| r.images_per_second).filter(|&speed| speed > 0.0).collect();
    let mean = speeds.iter().sum::<f64>() / speeds.len().max(1) as f64;
    out + &format!(
        "</table>\n<p><small>{} images a second in the mean of epochs</small></p>\n",
        grouped(mean.round() as u64)
    )
}
