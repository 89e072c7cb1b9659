//! The lines of a training.

use std::time::Duration;

use resnetc_runtime::metrics::EpochRecord;

use super::units::{duration, rate};

/// Share of the steps' time that they may wait for images before it is told.
const NOTABLE: f64 = 0.05;

/// The share of the steps' time that they waited for images, where it is worth telling.
pub fn waited(record: &EpochRecord) -> Option<f64> {
    Some(record.data_seconds / record.seconds.max(1e-9)).filter(|&share| share >= NOTABLE)
}

/// Where images grow over the training, how large they were stands behind the epoch.
///
/// `epoch  3/10  lr 0.0905  loss 0.8120  train 71.40 %  test 68.90 %  12.3 s  4,065 images/s`, and behind it how long the steps waited for
/// images, where it was long.
pub fn epoch(record: &EpochRecord, epochs: usize) -> String {
    let width = epochs.to_string().len();
    let test = match record.test_accuracy {
        Some(accuracy) => percent(accuracy),
        None => format!("{:>7}", "-"),
    };
    let average = record.average_accuracy.map(|accuracy| format!(", of the average {}", percent(accuracy)));
    let test = test + &average.unwrap_or_default();
    let waited = waited(record).map(|share| format!(", {:.0} % of it waiting for images", share * 100.0));
    let size =
        record.size.map_or(String::new(), |[height, width]| format!("  {:<7}", format!("{height}x{width}")));
    format!(
        "epoch {:>width$}/{epochs}{size}  lr {:<9.3e}  loss {:<7.4}  train {}  test {test}  {:>6}  {:>6} images/s{}",
        record.epoch,
        record.lr,
        record.train_loss,
        percent(record.train_accuracy),
        duration(Duration::from_secs_f64(record.seconds.max(0.0))),
        rate(record.images_per_second),
        waited.unwrap_or_default(),
    )
}

/// `91.25 %`, as wide as `100.00 %` less one.
pub fn percent(fraction: f64) -> String {
    format!("{:>5.2} %", fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use resnetc_runtime::metrics::EpochRecord;

    use super::epoch;

    #[test]
    fn epochs_line_up_with_and_without_evaluation() {
        let mut record = EpochRecord {
            epoch: 3,
            lr: 0.0905,
            size: None,
            train_loss: 0.812,
            train_accuracy: 0.714,
            test_accuracy: Some(0.689),
            test_loss: Some(0.9),
            average_accuracy: None,
            average_loss: None,
            test_metrics: None,
            average_metrics: None,
            seconds: 12.3,
            data_seconds: 0.1,
            evaluation_seconds: Some(1.5),
            images_per_second: 4065.2,
        };
        let with = epoch(&record, 10);
        let expected =
            "epoch  3/10  lr 9.050e-2   loss 0.8120   train 71.40 %  test 68.90 %  12.3 s   4,065 images/s";
        assert_eq!(with, expected);
        record.average_accuracy = Some(0.702);
        assert!(
            epoch(&record, 10).contains("test 68.90 %, of the average 70.20 %  "),
            "{}",
            epoch(&record, 10)
        );
        (record.test_accuracy, record.average_accuracy) = (None, None);
        assert_eq!(epoch(&record, 10).len(), with.len());
        record.size = Some([96, 96]);
        assert!(epoch(&record, 10).starts_with("epoch  3/10  96x96    lr "), "{}", epoch(&record, 10));
        record.data_seconds = 2.46;
        let text = epoch(&record, 10);
        assert!(text.ends_with("4,065 images/s, 20 % of it waiting for images"), "{text}");
    }
}
