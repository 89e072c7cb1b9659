//! Channels of several maps side by side, and some of them taken out.

/// `x0 [rows, c0], x1 [rows, c1], ... -> [rows, c0 + c1 + ...]`
pub fn concat(rows: usize, channels: &[usize], parts: &[&[f64]]) -> Vec<f64> {
    let row = |r: usize| {
        parts.iter().zip(channels).flat_map(move |(part, &c)| (0..c).map(move |i| part[r * c + i]))
    };
    (0..rows).flat_map(row).collect()
}

/// `x [rows, channels] -> [rows, taken]`
pub fn slice([rows, channels]: [usize; 2], start: usize, taken: usize, x: &[f64]) -> Vec<f64> {
    (0..rows * taken).map(|i| x[i / taken * channels + start + i % taken]).collect()
}
