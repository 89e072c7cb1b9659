//! Option A's shortcut.

use resnetc_compiler::plan::PadGeometry;

/// Pairs `(input element, output element)` that correspond.
fn pairs(g: &PadGeometry) -> impl Iterator<Item = (usize, usize)> + use<'_> {
    let [oh, ow] = g.out;
    (0..g.n * oh * ow * g.cin).map(move |i| {
        let (pixel, channel) = (i / g.cin, i % g.cin);
        let (image, oy, ox) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
        let source = (image * g.h + oy * g.stride[0]) * g.w + ox * g.stride[1];
        (source * g.cin + channel, pixel * g.cout + g.before + channel)
    })
}

/// `x [n, h, w, cin] -> [n, out, out, cout]`
pub fn pad(g: &PadGeometry, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; g.n * g.out[0] * g.out[1] * g.cout];
    pairs(g).for_each(|(from, to)| y[to] = x[from]);
    y
}

/// `dy [n, out, out, cout] -> [n, h, w, cin]`
pub fn pad_backward(g: &PadGeometry, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; g.n * g.h * g.w * g.cin];
    pairs(g).for_each(|(to, from)| dx[to] = dy[from]);
    dx
}
