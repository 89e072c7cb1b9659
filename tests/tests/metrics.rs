//! Metrics of evaluations against scikit-learn's (`tests/golden/metrics.py`).

use resnetc_runtime::evaluation::Evaluation;
use resnetc_runtime::metrics::Metrics;
use serde_json::Value;

/// The probability of an answer is rounded to `f32`, and errors of a sum of such are no larger; all else is a quotient of counts.
const MOST: f64 = 1e-7;

fn numbers(value: &Value) -> impl Iterator<Item = f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number"))
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    let golden: Value =
        serde_json::from_str(include_str!("../golden/metrics.json")).expect("the script wrote JSON");
    let cases = golden.as_array().expect("a list");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let classes = case["classes"].as_u64().expect("a number") as usize;
        let labels: Vec<u32> = numbers(&case["labels"]).map(|label| label as u32).collect();
        let logits: Vec<f32> = numbers(&case["logits"]).map(|logit| logit as f32).collect();
        let mut found = Evaluation::new(classes);
        // In two parts, as batches come.
        let half = labels.len() / 2;
        found.add(&logits[..half * classes], &labels[..half]);
        found.add(&logits[half * classes..], &labels[half..]);
        compare(&case["metrics"], &found.metrics(), classes);
    }
}

fn compare(expected: &Value, found: &Metrics, classes: usize) {
    let metrics = [
        ("balanced_accuracy", Some(found.balanced_accuracy)),
        ("macro_f1", Some(found.macro_f1)),
        ("calibration_error", Some(found.calibration_error)),
        ("top5_accuracy", found.top5_accuracy),
        ("auroc", found.auroc),
    ];
    for (name, found) in metrics {
        match (found, expected[name].as_f64()) {
            (Some(is), Some(expected)) => {
                assert!((is - expected).abs() <= MOST, "{name} of {classes} classes: {is}, not {expected}");
            }
            (is, expected) => assert_eq!(is, expected, "{name} of {classes} classes"),
        }
    }
}
