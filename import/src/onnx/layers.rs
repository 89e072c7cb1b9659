//! Nodes to layers.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::{ConvAttrs, PoolAttrs};

use super::folded::fold;
use super::model::{Node, Tensor};
use super::{Front, Value, place};
use crate::fault::{Fault, Place, Result};
use crate::flat::{Id, Op, skip};

impl<'b> Front<'b> {
    /// Reads a node; of a layer, what it became.
    pub(super) fn node(&mut self, node: &Node<'b>) -> Result<Option<Id>> {
        let at = place(node);
        if !matches!(node.domain, "" | "ai.onnx") {
            return Err(unknown(node, &at));
        }
        let maps = node
            .inputs
            .iter()
            .any(|name| !matches!(self.values.get(name), Some(Value::Constant(_) | Value::Computed) | None));
        let value = match node.operator {
            "Constant" => match node.attribute("value").and_then(|value| value.tensor.clone()) {
                Some(tensor) => Value::Constant(tensor),
                None => Value::Computed,
            },
            "Identity" | "Cast" if !maps => self.value(node, 0, &at)?.clone(),
            "Shape" => Value::Computed,
            _ if !maps => self.folded(node).map_or(Value::Computed, Value::Constant),
            "Softmax" | "LogSoftmax" => {
                self.map(node, 0, &at)?;
                Value::Softmax
            }
            "Pad" => self.pad(node, &at)?,
            "Slice" => self.slice(node, &at)?,
            _ => Value::Map { id: self.layer(node, &at)?, border: 0 },
        };
        let id = if let Value::Map { id, .. } = value { Some(id) } else { None };
        let first = node.outputs.first().ok_or_else(|| Fault::new(&at, "the node has no result"))?;
        self.values.insert(first, value);
        Ok(id)
    }

    /// What a node computes of constants.
    fn folded(&self, node: &Node<'b>) -> Option<Tensor<'b>> {
        let constant = |name: &&str| match self.values.get(*name) {
            Some(Value::Constant(tensor)) if !tensor.outside => Some(tensor),
            _ => None,
        };
        let inputs: Vec<Option<&Tensor<'b>>> = node.inputs.iter().map(constant).collect();
        fold(node, &inputs)
    }

    fn layer(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        if let Some(act) = activation(node) {
            let x = self.map(node, 0, at)?;
            return self.flat.push(Op::Activate(act), vec![x], at);
        }
        match node.operator {
            "Conv" => self.conv(node, at),
            "BatchNormalization" => self.norm(node, at),
            "MaxPool" | "AveragePool" => self.pool(node, at),
            "GlobalAveragePool" => self.single(Op::GlobalAvgPool, node, at),
            "GlobalMaxPool" => self.single(Op::GlobalMaxPool, node, at),
            "ReduceMean" => self.mean(node, at),
            "Add" | "Sum" => self.add(node, at),
            "Mul" => self.mul(node, at),
            "Concat" => self.concat(node, at),
            "Gemm" | "MatMul" => self.linear(node, at),
            "Flatten" | "Reshape" | "Squeeze" => self.flatten(node, at),
            "Identity" | "Dropout" => self.map(node, 0, at),
            "Clip" => self.clip(node, at),
            _ => Err(unknown(node, at)),
        }
    }

    fn value(&self, node: &Node<'b>, index: usize, at: &Place) -> Result<&Value<'b>> {
        let name = node.inputs.get(index).copied().unwrap_or_default();
        self.values.get(name).ok_or_else(|| Fault::new(at, format!("its input `{name}` is not there")))
    }

    /// An operand that is a map.
    fn map(&self, node: &Node<'b>, index: usize, at: &Place) -> Result<Id> {
        match self.value(node, index, at)? {
            Value::Map { id, border: 0 } => Ok(*id),
            Value::Map { .. } => Err(Fault::new(at, "zeros around a map stand in front of no convolution")),
            Value::Skipping { .. } => Err(Fault::new(at, "rows and columns are skipped in different steps")),
            Value::Softmax => Err(Fault::new(at, "a softmax stands in the middle of the network")),
            Value::Constant(_) | Value::Computed => {
                let name = node.inputs.get(index).copied().unwrap_or_default();
                Err(Fault::new(
                    at,
                    format!("`{}` with the constant `{name}` cannot be said in a spec", node.operator),
                ))
            }
        }
    }

    /// An operand that is a constant; `None` where it is left out.
    fn constant(&self, node: &Node<'b>, index: usize, at: &Place) -> Result<Option<&Tensor<'b>>> {
        if node.inputs.get(index).is_none_or(|name| name.is_empty()) {
            return Ok(None);
        }
        match self.value(node, index, at)? {
            Value::Constant(tensor) if tensor.outside => {
                let message = format!("the tensor `{}` lies in another file", tensor.name);
                Err(Fault::new(at, message).help("save the model as one file: `onnx.save(model, path)` does"))
            }
            Value::Constant(tensor) => Ok(Some(tensor)),
            _ => {
                let name = node.inputs[index];
                Err(Fault::new(at, format!("its input `{name}` is computed, not a constant"))
                    .help("only sizes that follow from constants are computed here"))
            }
        }
    }

    /// A tensor of weights with its sizes.
    fn weight(&self, node: &Node<'b>, index: usize, at: &Place) -> Result<Option<(Vec<usize>, Vec<f32>)>> {
        let Some(tensor) = self.constant(node, index, at)? else { return Ok(None) };
        let read = tensor.shape().zip(tensor.to_floats());
        let wrong = || Fault::new(at, format!("the tensor `{}` cannot be read as floats", tensor.name));
        read.map(Some).ok_or_else(wrong)
    }

    fn needed(&self, node: &Node<'b>, index: usize, at: &Place) -> Result<(Vec<usize>, Vec<f32>)> {
        let missing = || Fault::new(at, format!("`{}` lacks its input {index}", node.operator));
        self.weight(node, index, at)?.ok_or_else(missing)
    }

    /// Whole numbers of an attribute, or of an operand in newer versions.
    fn list(&self, node: &Node<'b>, name: &str, index: usize, at: &Place) -> Result<Option<Vec<i64>>> {
        if let Some(ints) = node.ints(name) {
            return Ok(Some(ints.to_vec()));
        }
        let Some(tensor) = self.constant(node, index, at)? else { return Ok(None) };
        let wrong =
            || Fault::new(at, format!("the tensor `{}` cannot be read as whole numbers", tensor.name));
        tensor.to_ints().map(Some).ok_or_else(wrong)
    }

    fn single(&mut self, op: Op, node: &Node<'b>, at: &Place) -> Result<Id> {
        let x = self.map(node, 0, at)?;
        self.flat.push(op, vec![x], at)
    }

    fn conv(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let (x, border) = match self.value(node, 0, at)? {
            Value::Map { id, border } => (*id, *border),
            _ => (self.map(node, 0, at)?, 0),
        };
        let (shape, weight) = self.needed(node, 1, at)?;
        let &[out, inner, kh, kw] = &shape[..] else {
            return Err(Fault::new(at, format!("a convolution with a weight of {shape:?}")));
        };
        let window = window(node, [kh, kw], at)?;
        let groups = positive(node.int("group", 1), at)?;
        if inner.checked_mul(groups) != Some(self.flat.nodes[x].shape[0]) {
            let channels = self.flat.nodes[x].shape[0];
            return Err(Fault::new(
                at,
                format!("a weight of {shape:?} in {groups} groups for {channels} channels"),
            ));
        }
        let padding = window.padding.map(|padding| padding + border);
        let attrs =
            ConvAttrs { kernel: [kh, kw], stride: window.stride, padding, dilation: window.dilation, groups };
        let bias = self.weight(node, 2, at)?;
        let op = Op::Conv { out, attrs, bias: bias.is_some() };
        let tensors = [Some(weight), bias.map(|(_, bias)| bias)].into_iter().flatten().collect();
        self.flat.push_with(op, vec![x], at, tensors)
    }

    fn norm(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let x = self.map(node, 0, at)?;
        if node.int("training_mode", 0) != 0 {
            return Err(Fault::new(at, "the normalisation is in training mode")
                .help("export the model after `model.eval()`"));
        }
        let channels = self.flat.nodes[x].shape[0];
        let tensors: Vec<Vec<f32>> =
            (1..=4).map(|i| self.needed(node, i, at).map(|(_, data)| data)).collect::<Result<_>>()?;
        if tensors.iter().any(|tensor| tensor.len() != channels) {
            return Err(Fault::new(at, format!("its tensors are not of {channels} channels")));
        }
        self.flat.push_with(Op::Norm { eps: node.float("epsilon", 1e-5) }, vec![x], at, tensors)
    }

    fn pool(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let x = self.map(node, 0, at)?;
        let kernel = node.ints("kernel_shape").unwrap_or_default();
        let [kh, kw] = *kernel else { return Err(Fault::new(at, format!("a window of {kernel:?}"))) };
        let kernel = [positive(kh, at)?, positive(kw, at)?];
        let window = window(node, kernel, at)?;
        if window.dilation != [1, 1] {
            return Err(Fault::new(at, "a pooling with a dilation cannot be said in a spec"));
        }
        let attrs = PoolAttrs {
            kernel,
            stride: window.stride,
            padding: window.padding,
            ceil: node.int("ceil_mode", 0) != 0,
            count_padding: node.operator == "AveragePool" && node.int("count_include_pad", 0) != 0,
        };
        let op = if node.operator == "MaxPool" { Op::MaxPool(attrs) } else { Op::AvgPool(attrs) };
        self.flat.push(op, vec![x], at)
    }

    /// The mean over the image.
    fn mean(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let axes = self.list(node, "axes", 1, at)?.unwrap_or_default();
        let mut axes: Vec<i64> = axes.into_iter().map(|axis| axis.rem_euclid(4)).collect();
        axes.sort_unstable();
        if axes != [2, 3] {
            return Err(Fault::new(at, format!("a mean over the axes {axes:?} cannot be said in a spec")));
        }
        self.single(Op::GlobalAvgPool, node, at)
    }

    fn is_constant(&self, node: &Node<'b>, index: usize) -> bool {
        node.inputs.get(index).is_some_and(|name| matches!(self.values.get(name), Some(Value::Constant(_))))
    }

    fn add(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        for (map, bias) in [(0, 1), (1, 0)] {
            if node.inputs.len() == 2 && self.is_constant(node, bias) {
                return self.bias(node, map, bias, at);
            }
        }
        let mut sum = self.map(node, 0, at)?;
        for index in 1..node.inputs.len() {
            let next = self.map(node, index, at)?;
            sum = self.flat.push(Op::Add, vec![sum, next], at)?;
        }
        Ok(sum)
    }

    /// A constant that is added: the bias of the convolution or linear layer before it.
    fn bias(&mut self, node: &Node<'b>, map: usize, bias: usize, at: &Place) -> Result<Id> {
        let id = self.map(node, map, at)?;
        let (_, data) = self.needed(node, bias, at)?;
        let last = id + 1 == self.flat.nodes.len();
        let layer = &mut self.flat.nodes[id];
        match &mut layer.op {
            Op::Conv { bias, out, .. } | Op::Linear { bias, out } if !*bias && last && data.len() == *out => {
                *bias = true;
                layer.tensors.push(data);
                Ok(id)
            }
            _ => Err(Fault::new(at, "a constant is added that is no bias of a convolution or linear layer")),
        }
    }

    fn mul(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let (a, b) = (self.map(node, 0, at)?, self.map(node, 1, at)?);
        let gates = |gate: Id, x: Id| {
            let node = &self.flat.nodes[gate];
            node.op == Op::Activate(Activation::Sigmoid) && node.inputs == [x]
        };
        if a != b && (gates(a, b) || gates(b, a)) {
            let x = if gates(a, b) { b } else { a };
            return self.flat.push(Op::Activate(Activation::Silu), vec![x], at);
        }
        self.flat.push(Op::Mul, vec![a, b], at)
    }

    fn concat(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        if ![1, -3].contains(&node.int("axis", 1)) {
            return Err(Fault::new(at, "only channels can be put after one another in a spec"));
        }
        let maps = (0..node.inputs.len()).map(|i| self.map(node, i, at)).collect::<Result<Vec<_>>>()?;
        if let [one] = maps[..] {
            return Ok(one);
        }
        self.flat.push(Op::Concat, maps, at)
    }

    fn linear(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let x = self.map(node, 0, at)?;
        let gemm = node.operator == "Gemm";
        let plain = node.float("alpha", 1.0) == 1.0 && node.float("beta", 1.0) == 1.0;
        if !plain || node.int("transA", 0) != 0 {
            return Err(Fault::new(
                at,
                "a matrix product with factors or a transposed image cannot be said in a spec",
            ));
        }
        let (shape, data) = self.needed(node, 1, at)?;
        let &[rows, columns] = &shape[..] else {
            return Err(Fault::new(at, format!("a linear layer with a weight of {shape:?}")));
        };
        let (out, inner, weight) = match gemm && node.int("transB", 0) != 0 {
            true => (rows, columns, data),
            false => (columns, rows, transposed(&data, rows, columns)),
        };
        let channels = self.flat.nodes[x].shape[0];
        if inner != channels {
            return Err(Fault::new(at, format!("a weight of {shape:?} for {channels} channels")));
        }
        let bias = if gemm { self.weight(node, 2, at)? } else { None };
        let op = Op::Linear { out, bias: bias.is_some() };
        let tensors = [Some(weight), bias.map(|(_, bias)| bias)].into_iter().flatten().collect();
        self.flat.push_with(op, vec![x], at, tensors)
    }

    /// One pixel as a vector: nothing to do here.
    fn flatten(&self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let x = self.map(node, 0, at)?;
        let [c, h, w] = self.flat.nodes[x].shape;
        if [h, w] != [1, 1] {
            let message = format!("a map of {c} x {h} x {w} is flattened or reshaped");
            return Err(
                Fault::new(at, message).help("specs flatten maps of one pixel only, behind a global pooling")
            );
        }
        Ok(x)
    }

    fn clip(&mut self, node: &Node<'b>, at: &Place) -> Result<Id> {
        let bound = |index: usize, name: &str| -> Result<Option<f32>> {
            match node.attribute(name) {
                Some(attribute) => Ok(Some(attribute.float)),
                None => Ok(self.weight(node, index, at)?.and_then(|(_, data)| data.first().copied())),
            }
        };
        let act = match (bound(1, "min")?, bound(2, "max")?) {
            (Some(0.0), Some(6.0)) => Activation::Relu6,
            (Some(0.0), None) => Activation::Relu,
            (min, max) => {
                return Err(Fault::new(
                    at,
                    format!("values are clipped to {min:?} to {max:?}; specs have 0 to 6"),
                ));
            }
        };
        self.single(Op::Activate(act), node, at)
    }

    /// Every `stride`-th pixel, as option A's shortcuts are written; rows and columns may be skipped one after the other.
    fn slice(&mut self, node: &Node<'b>, at: &Place) -> Result<Value<'b>> {
        let (x, mut stride) = match self.value(node, 0, at)? {
            Value::Skipping { id, stride } => (*id, *stride),
            _ => (self.map(node, 0, at)?, [1, 1]),
        };
        let list = |index| self.list(node, "", index, at).map(Option::unwrap_or_default);
        let (starts, ends, axes, steps) = (list(1)?, list(2)?, list(3)?, list(4)?);
        let steps = if steps.is_empty() { vec![1; starts.len()] } else { steps };
        let alike = [ends.len(), axes.len(), steps.len()].iter().all(|&len| len == starts.len());
        let cannot = || Fault::new(at, "a part of a map is cut out, which cannot be said in a spec");
        for i in 0..starts.len() {
            let axis = if alike { axes[i].rem_euclid(4) } else { 0 };
            let size = match axis {
                2 | 3 => self.flat.nodes[x].shape[axis as usize - 1] as i64,
                1 => self.flat.nodes[x].shape[0] as i64,
                _ => return Err(cannot()),
            };
            let whole = starts[i] == 0 && ends[i] >= size;
            match (axis, whole) {
                (1, true) if steps[i] == 1 => {}
                (2 | 3, true) if stride[axis as usize - 2] == 1 => {
                    stride[axis as usize - 2] = positive(steps[i], at)?;
                }
                _ => return Err(cannot()),
            }
        }
        Ok(match stride {
            [1, 1] => Value::Map { id: x, border: 0 },
            [a, b] if a == b => Value::Map { id: self.flat.push(skip(stride), vec![x], at)?, border: 0 },
            _ => Value::Skipping { id: x, stride },
        })
    }

    /// Zeros beside the channels, or around the image for the convolution behind.
    fn pad(&mut self, node: &Node<'b>, at: &Place) -> Result<Value<'b>> {
        let id = self.map(node, 0, at)?;
        let pads = self.list(node, "pads", 1, at)?.unwrap_or_default();
        let zero = match node.inputs.get(2).is_none_or(|name| name.is_empty()) {
            true => node.float("value", 0.0) == 0.0,
            false => self.needed(node, 2, at)?.1.iter().all(|&x| x == 0.0),
        };
        let cannot = || Fault::new(at, format!("a padding of {pads:?} cannot be said in a spec"));
        if !zero || !matches!(node.word("mode"), "" | "constant") {
            return Err(cannot());
        }
        let &[0, before, top, left, 0, behind, bottom, right] = &pads[..] else { return Err(cannot()) };
        let [before, behind, border] = [before, behind, top]
            .map(|n| usize::try_from(n).ok().filter(|&n| n <= 1 << 20).ok_or_else(cannot));
        let (before, behind, border) = (before?, behind?, border?);
        if [left, bottom, right] != [top; 3] || border > 256 || (border > 0 && before + behind > 0) {
            return Err(cannot());
        }
        if border > 0 || before + behind == 0 {
            return Ok(Value::Map { id, border });
        }
        let out = self.flat.nodes[id].shape[0] + before + behind;
        Ok(Value::Map { id: self.flat.push(Op::PadChannels { out, before }, vec![id], at)?, border: 0 })
    }
}

/// A window's way over the image.
struct Window {
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
}

fn window(node: &Node<'_>, kernel: [usize; 2], at: &Place) -> Result<Window> {
    let pair = |name: &str| -> Result<[usize; 2]> {
        match node.ints(name) {
            None | Some([]) => Ok([1, 1]),
            Some(&[a, b]) => Ok([positive(a, at)?, positive(b, at)?]),
            Some(other) => Err(Fault::new(at, format!("{name} {other:?}"))),
        }
    };
    let (stride, dilation) = (pair("strides")?, pair("dilations")?);
    let same = matches!(node.word("auto_pad"), "SAME_UPPER" | "SAME_LOWER");
    let pads = node.ints("pads").unwrap_or(&[0; 4]);
    let padding = match pads {
        // With a stride of 1 the image keeps its size: both sides get as much where the window is odd.
        _ if same && stride == [1, 1] && kernel.iter().all(|k| k % 2 == 1) => {
            [0, 1].map(|i| dilation[i].saturating_mul(kernel[i] - 1) / 2)
        }
        _ if same => {
            return Err(Fault::new(at, "its padding follows from the size of the image (`auto_pad`)")
                .help("specs pad both sides alike, by a number; export the model with explicit `pads`"));
        }
        &[top, left, bottom, right] if [top, left] == [bottom, right] && top >= 0 && left >= 0 => {
            [top as usize, left as usize]
        }
        _ => return Err(Fault::new(at, format!("a padding of {pads:?}: specs pad both sides alike"))),
    };
    if padding.iter().any(|&p| p > 65_536) {
        return Err(Fault::new(at, format!("a padding of {padding:?}")));
    }
    Ok(Window { stride, padding, dilation })
}

fn positive(n: i64, at: &Place) -> Result<usize> {
    let positive = usize::try_from(n).ok().filter(|n| (1..=1 << 20).contains(n));
    positive.ok_or_else(|| Fault::new(at, format!("{n} where a number from 1 on is wanted")))
}

/// Operators that are activations by themselves.
fn activation(node: &Node<'_>) -> Option<Activation> {
    Some(match node.operator {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu { slope: node.float("alpha", 0.01) },
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "HardSwish" => Activation::HardSwish,
        "Mish" => Activation::Mish,
        "Swish" if node.float("alpha", 1.0) == 1.0 => Activation::Silu,
        "Gelu" if matches!(node.word("approximate"), "" | "none") => Activation::Gelu,
        "HardSigmoid"
            if (node.float("alpha", 0.2) - 1.0 / 6.0).abs() < 1e-6 && node.float("beta", 0.5) == 0.5 =>
        {
            Activation::HardSigmoid
        }
        _ => return None,
    })
}

fn unknown(node: &Node<'_>, at: &Place) -> Fault {
    Fault::new(at, format!("specs have nothing like the operator `{}`", node.operator))
}

fn transposed(data: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| data[row * columns + column])).collect()
}
