//! Metrics of an evaluation, as rows for people.

use resnetc_runtime::metrics::Metrics;

use super::table::{Align, Table};
use super::training::percent;

/// What each metric is called, and its figure. Those that the classes do not allow are left out.
pub fn rows(metrics: &Metrics) -> Vec<(&'static str, String)> {
    let number = |value: f64| format!("{value:.4}");
    let all = [
        ("top-5 accuracy", metrics.top5_accuracy.map(percent)),
        ("balanced accuracy", Some(percent(metrics.balanced_accuracy))),
        ("macro F1", Some(number(metrics.macro_f1))),
        ("AUROC", metrics.auroc.map(number)),
        ("calibration error", Some(number(metrics.calibration_error))),
    ];
    all.into_iter().filter_map(|(name, figure)| Some((name, figure?.trim().to_owned()))).collect()
}

/// A table of them.
pub fn table(metrics: &Metrics) -> String {
    let mut table = Table::new(&[("metric", Align::Left), ("of the test images", Align::Right)]);
    rows(metrics).into_iter().for_each(|(name, figure)| table.row([name.to_owned(), figure]));
    table.within(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_the_classes_do_not_allow_have_no_row() {
        let metrics = Metrics {
            top5_accuracy: None,
            balanced_accuracy: 0.5,
            macro_f1: 0.25,
            auroc: Some(0.75),
            calibration_error: 0.0625,
        };
        insta::assert_snapshot!(table(&metrics), @r"
        metric             of the test images
        ─────────────────────────────────────
        balanced accuracy             50.00 %
        macro F1                       0.2500
        AUROC                          0.7500
        calibration error              0.0625
        ");
    }
}
