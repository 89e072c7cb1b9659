//! Softmax and cross-entropy with label smoothing.

/// Probabilities of one row of logits.
fn probabilities(logits: &[f64]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exp: Vec<f64> = logits.iter().map(|v| (v - max).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|e| e / sum).collect()
}

/// The target distribution: `(1 - smoothing) * onehot + smoothing / classes`.
fn target(class: usize, label: usize, classes: usize, smoothing: f32) -> f64 {
    let s = f64::from(smoothing);
    s / classes as f64 + if class == label { 1.0 - s } else { 0.0 }
}

/// `logits [rows, classes] -> probabilities`
pub fn softmax(classes: usize, logits: &[f64]) -> Vec<f64> {
    logits.chunks_exact(classes).flat_map(probabilities).collect()
}

/// `[loss, correct]`: `loss = -mean(sum(target * ln(softmax)))`; of equal logits the first counts as the largest.
pub fn cross_entropy(classes: usize, smoothing: f32, logits: &[f64], labels: &[f64]) -> [f64; 2] {
    let (mut loss, mut correct) = (0.0, 0.0);
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let label = *label as usize;
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = max + row.iter().map(|v| (v - max).exp()).sum::<f64>().ln();
        loss += (0..classes).map(|c| target(c, label, classes, smoothing) * (log_sum - row[c])).sum::<f64>();
        correct += f64::from(row.iter().position(|v| *v == max) == Some(label));
    }
    [loss / labels.len() as f64, correct]
}

/// `(softmax - target) / rows`
pub fn cross_entropy_backward(classes: usize, smoothing: f32, logits: &[f64], labels: &[f64]) -> Vec<f64> {
    let row = |(row, label): (&[f64], &f64)| {
        let difference = |(c, p)| (p - target(c, *label as usize, classes, smoothing)) / labels.len() as f64;
        probabilities(row).into_iter().enumerate().map(difference).collect::<Vec<_>>()
    };
    logits.chunks_exact(classes).zip(labels).flat_map(row).collect()
}
