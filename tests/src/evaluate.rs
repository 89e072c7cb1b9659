//! Inference by definition: in double precision, normalisations by their running statistics, nothing folded or fused;
//! and with each value a bound on what single precision may make of it, folded or not.
//!
//! The bound follows the values: a sum of `k` products is off by `(k + 8) 2u` times the sum of their absolute values
//! (see [`crate::bounds`]; `8` covers a folded weight's and bias' rounding) plus what its operands were off by.

use std::collections::HashMap;

use resnetc_compiler::ir::graph::{Graph, NodeId, Value};
use resnetc_compiler::ir::op::{
    Activate, Activation, Add, BatchNorm, Conv, ConvAttrs, GroupNorm, Input, Op, Param,
};
use resnetc_compiler::ir::types::Shape;
use resnetc_runtime::weights::ParamStore;

use crate::naive::source;
use crate::nets::square;

/// Twice the unit roundoff of `f32`.
const EPS: f64 = f32::EPSILON as f64;

/// A tensor in logical order, and how far each element may be off.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// Exact values.
    pub values: Vec<f64>,
    /// Bounds on their errors.
    pub errors: Vec<f64>,
    shape: Vec<usize>,
}

impl Tracked {
    fn exact(shape: &Shape, values: &[f32]) -> Self {
        let values: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        Tracked { errors: vec![0.0; values.len()], values, shape: shape.0.clone() }
    }

    /// Each element by itself: `f` gives value and error of an index.
    fn map(&self, f: impl Fn(usize) -> (f64, f64)) -> Self {
        let (values, errors) = (0..self.values.len()).map(f).unzip();
        Tracked { values, errors, shape: self.shape.clone() }
    }

    /// Elements of one channel of one image, and channels.
    fn sizes(&self) -> [usize; 2] {
        [self.shape[2..].iter().product(), self.shape[1]]
    }
}

/// The logits of a graph for inference whose shortcuts are expanded, before anything is folded.
///
/// # Panics
/// On operators that the evaluator does not know, and on missing parameters.
pub fn logits(graph: &Graph, params: &ParamStore, images: &[f32]) -> Tracked {
    let mut known: HashMap<NodeId, Tracked> = HashMap::new();
    for id in graph.ids() {
        let value = evaluate(graph, id, params, images, &known);
        known.insert(id, value);
    }
    let output = graph.output("logits").expect("a network has logits");
    known.remove(&output.node).expect("all nodes have been evaluated")
}

fn evaluate(
    graph: &Graph,
    id: NodeId,
    params: &ParamStore,
    images: &[f32],
    known: &HashMap<NodeId, Tracked>,
) -> Tracked {
    let operands: Vec<&Tracked> = graph.operands(id).iter().map(|v: &Value| &known[&v.node]).collect();
    let node = graph.node(id);
    match &node.op {
        Op::Input(Input { shape }) => Tracked::exact(shape, images),
        Op::Param(Param { shape, .. }) => {
            Tracked::exact(shape, params.expect(&node.name, shape).expect("every parameter is there"))
        }
        Op::Conv(Conv { attrs, .. }) => conv(attrs, operands[0], operands[1], operands.get(2).copied()),
        Op::Linear(_) => conv(&square(1, 1, 0), operands[0], operands[1], operands.get(2).copied()),
        Op::BatchNorm(BatchNorm { eps, .. }) => batch_norm(f64::from(*eps), &operands),
        Op::GroupNorm(GroupNorm { groups, eps, .. }) => group_norm(*groups, f64::from(*eps), &operands),
        Op::Activate(Activate { act: Activation::Relu }) => leaky(operands[0], 0.0),
        Op::Activate(Activate { act: Activation::LeakyRelu { slope } }) => {
            leaky(operands[0], f64::from(*slope))
        }
        Op::Add(Add { act: None }) => sum(operands[0], operands[1]),
        Op::GlobalAvgPool(_) => mean(operands[0]),
        Op::Concat(_) => concat(&operands),
        op => panic!("`{}`: folding is not tested with {op:?}", node.name),
    }
}

/// A convolution; weights `[cout, cin / groups, kh, kw]`, or `[out, in]` with pixels of 1x1 images.
fn conv(a: &ConvAttrs, x: &Tracked, weight: &Tracked, bias: Option<&Tracked>) -> Tracked {
    let dim = |t: &Tracked, i: usize| t.shape.get(i).copied().unwrap_or(1);
    let [n, cin, h, w] = [0, 1, 2, 3].map(|i| dim(x, i));
    let [cout, depth, kh, kw] = [0, 1, 2, 3].map(|i| dim(weight, i));
    let out = |i: usize, size: usize, kernel: usize| {
        (size + 2 * a.padding[i] - (kernel - 1) * a.dilation[i] - 1) / a.stride[i] + 1
    };
    let (oh, ow) = (out(0, h, kh), out(1, w, kw));
    let empty =
        Tracked { values: vec![0.0; n * cout * oh * ow], errors: Vec::new(), shape: vec![n, cout, oh, ow] };
    let group = cout / a.groups;
    empty.map(|index| {
        let (image, o) = (index / (cout * oh * ow), index / (oh * ow) % cout);
        let (row, column) = (index / ow % oh, index % ow);
        let start = bias.map_or(0.0, |b| b.values[o]);
        let (mut value, mut magnitude, mut error) = (start, start.abs(), 0.0);
        for tap in 0..depth * kh * kw {
            let (i, ky, kx) = (tap / (kh * kw), tap / kw % kh, tap % kw);
            let y = source(row, a.stride[0], ky, a.dilation[0], a.padding[0], h);
            let z = source(column, a.stride[1], kx, a.dilation[1], a.padding[1], w);
            let (Some(y), Some(z)) = (y, z) else { continue };
            let at = ((image * cin + o / group * depth + i) * h + y) * w + z;
            let factor = weight.values[o * depth * kh * kw + tap];
            value += factor * x.values[at];
            magnitude += factor.abs() * (x.values[at].abs() + x.errors[at]);
            error += factor.abs() * x.errors[at];
        }
        (value, error + (depth * kh * kw + 8) as f64 * EPS * magnitude)
    })
}

/// `x, scale, shift, running mean, running variance`
fn batch_norm(eps: f64, operands: &[&Tracked]) -> Tracked {
    let x = operands[0];
    let [pixels, channels] = x.sizes();
    x.map(|i| {
        let [scale, shift, mean, var] = [1, 2, 3, 4].map(|k| operands[k].values[i / pixels % channels]);
        let factor = scale / (var + eps).sqrt();
        let (value, error) = (x.values[i], x.errors[i]);
        let magnitude = factor.abs() * (value.abs() + error + mean.abs()) + shift.abs();
        ((value - mean) * factor + shift, factor.abs() * error + 8.0 * EPS * magnitude)
    })
}

/// `x, scale, shift`. With errors up to `e` in a group, its mean is off by `e`, and `rstd` by `e * rstd` of itself.
fn group_norm(groups: usize, eps: f64, operands: &[&Tracked]) -> Tracked {
    let x = operands[0];
    let [pixels, channels] = x.sizes();
    // In logical order a group's elements lie side by side.
    let count = pixels * channels / groups;
    let statistics: Vec<[f64; 4]> = (x.values.chunks(count).zip(x.errors.chunks(count)))
        .map(|(values, errors)| {
            let mean_of = |f: &dyn Fn(f64) -> f64| values.iter().map(|&v| f(v)).sum::<f64>() / count as f64;
            let mean = mean_of(&|v| v);
            let rstd = 1.0 / (mean_of(&|v| (v - mean).powi(2)) + eps).sqrt();
            let error = errors.iter().copied().fold(0.0, f64::max);
            [mean, rstd, error + (count + 8) as f64 * EPS * mean_of(&f64::abs), error]
        })
        .collect();
    x.map(|i| {
        let [scale, shift] = [1, 2].map(|k| operands[k].values[i / pixels % channels]);
        let [mean, rstd, off, error] = statistics[i / count];
        let xhat = (x.values[i] - mean) * rstd;
        let moved = scale.abs() * rstd * (error + off + xhat.abs() * off);
        (xhat * scale + shift, moved + 8.0 * EPS * (scale.abs() * (xhat.abs() + 1.0) + shift.abs()))
    })
}

fn leaky(x: &Tracked, slope: f64) -> Tracked {
    x.map(|i| {
        let value = x.values[i];
        (value.max(slope * value), x.errors[i] + EPS * value.abs())
    })
}

fn sum(a: &Tracked, b: &Tracked) -> Tracked {
    a.map(|i| {
        let (value, error) = (a.values[i] + b.values[i], a.errors[i] + b.errors[i]);
        (value, error + 4.0 * EPS * (a.values[i].abs() + b.values[i].abs() + error))
    })
}

/// Channels after one another, image by image.
fn concat(parts: &[&Tracked]) -> Tracked {
    let [n, h, w] = [0, 2, 3].map(|i| parts[0].shape[i]);
    let channels = parts.iter().map(|part| part.shape[1]).sum();
    let join = |of: fn(&Tracked) -> &[f64]| -> Vec<f64> {
        let image = |i: usize| {
            parts.iter().flat_map(move |part| {
                let len = of(part).len() / n;
                of(part)[i * len..(i + 1) * len].iter().copied()
            })
        };
        (0..n).flat_map(image).collect()
    };
    let (values, errors) = (join(|part| &part.values), join(|part| &part.errors));
    Tracked { values, errors, shape: vec![n, channels, h, w] }
}

/// The mean over an image's pixels.
fn mean(x: &Tracked) -> Tracked {
    let [pixels, channels] = x.sizes();
    let shape = vec![x.shape[0], channels, 1, 1];
    let means = Tracked { values: vec![0.0; x.shape[0] * channels], errors: Vec::new(), shape };
    let total = |values: &[f64]| values.iter().map(|v| v.abs()).sum::<f64>() / pixels as f64;
    means.map(|i| {
        let range = i * pixels..(i + 1) * pixels;
        let (values, error) = (&x.values[range.clone()], total(&x.errors[range]));
        let magnitude = total(values) + error;
        (values.iter().sum::<f64>() / pixels as f64, error + (pixels + 8) as f64 * EPS * magnitude)
    })
}
