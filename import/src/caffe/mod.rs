//! Caffe: a network as it is deployed. Layers write to blobs by name, often to the one that they read.

mod text;

use std::collections::HashMap;

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::{ConvAttrs, PoolAttrs};

use crate::fault::{Fault, Place, Result};
use crate::flat::{Flat, Id, Op};
use text::{Message, Value};

/// A layer of the file, with what it reads and writes.
struct Layer<'l, 't> {
    message: &'l Message<'t>,
    kind: &'t str,
    at: Place,
    bottoms: Vec<Id>,
}

/// A normalisation that waits for the Scale layer behind it: Caffe's BatchNorm has neither scale nor shift.
struct Waiting<'t> {
    top: &'t str,
    eps: f32,
    at: Place,
}

struct Front<'t> {
    flat: Flat,
    blobs: HashMap<&'t str, Id>,
    waiting: Option<Waiting<'t>>,
    last: Id,
}

/// Reads a network.
pub(crate) fn read(text: &str, input: Option<[usize; 3]>) -> Result<Flat> {
    let file = text::parse(text)?;
    if let Some((_, line)) = file.all("layers").next() {
        let fault = Fault::new(&Place::Line(line), "`layers` is the format of Caffe before 2014");
        return Err(fault.help("Caffe's tool `upgrade_net_proto_text` writes it anew"));
    }
    let (name, sizes, at) = image(&file, input)?;
    let flat = Flat::new(sizes, &at)?;
    let mut front = Front { flat, blobs: HashMap::from([(name, 0)]), waiting: None, last: 0 };
    for (value, line) in file.all("layer") {
        let Value::Message(message) = value else {
            return Err(Fault::new(&Place::Line(line), "`layer` is no message"));
        };
        front.read(message, &Place::Line(line))?;
    }
    front.settled()?;
    front.flat.finish(front.last)
}

/// Name and sizes of the image: of the layer Input, or of the fields that older files have.
fn image<'t>(file: &Message<'t>, given: Option<[usize; 3]>) -> Result<(&'t str, [usize; 3], Place)> {
    let layers = file.all("layer").filter_map(|(value, line)| match value {
        Value::Message(message) => Some((message, line)),
        Value::Word(_) => None,
    });
    let mut inputs =
        layers.filter(|(message, _)| message.word("type").is_some_and(|(kind, _)| kind == "Input"));
    let (name, sizes, at) = match (inputs.next(), file.word("input")) {
        (Some((layer, line)), _) => {
            let shape = layer.message("input_param").message("shape");
            let name = layer.word("top").map_or("data", |(top, _)| top);
            (name, dims(shape.words("dim"))?, Place::Line(line))
        }
        (None, Some((name, at))) => {
            let shape = dims(file.message("input_shape").words("dim"))?;
            (name, if shape.is_empty() { dims(file.words("input_dim"))? } else { shape }, at)
        }
        (None, None) => {
            return Err(Fault::file("the network has no layer of the type Input, and no field `input`")
                .help("give the network as it is deployed, not as it is trained"));
        }
    };
    match (given, &sizes[..]) {
        (Some(given), _) => Ok((name, given, at)),
        (None, &[_, c, h, w]) => Ok((name, [c, h, w], at)),
        (None, _) => Err(Fault::new(&at, "the input does not have four sizes")
            .help("say channels, height and width with `--input C,H,W`")),
    }
}

fn dims<'t>(words: impl Iterator<Item = (&'t str, Place)>) -> Result<Vec<usize>> {
    let size =
        |(word, at): (&str, Place)| word.parse().map_err(|_| Fault::new(&at, format!("`{word}` is no size")));
    words.map(size).collect()
}

impl<'t> Front<'t> {
    fn read(&mut self, message: &Message<'t>, at: &Place) -> Result<()> {
        let kind = message.word("type").ok_or_else(|| Fault::new(at, "a layer without a type"))?.0;
        if kind == "Input" {
            return Ok(());
        }
        let missing =
            |name: &str, at: &Place| Fault::new(at, format!("no layer before this one writes `{name}`"));
        let bottoms = message
            .words("bottom")
            .map(|(name, at)| self.blobs.get(name).copied().ok_or_else(|| missing(name, &at)));
        let bottoms = bottoms.collect::<Result<Vec<_>>>()?;
        let layer = Layer { message, kind, at: at.clone(), bottoms };
        let Some((top, _)) = message.word("top") else { return Err(Fault::new(at, "a layer without a top")) };
        if kind == "BatchNorm" {
            self.settled()?;
            let eps = message.message("batch_norm_param").number("eps", 1e-5)?;
            self.waiting = Some(Waiting { top, eps, at: at.clone() });
        }
        let id = self.layer(&layer)?;
        self.blobs.insert(top, id);
        self.last = id;
        Ok(())
    }

    /// No normalisation waits any more.
    fn settled(&mut self) -> Result<()> {
        match self.waiting.take() {
            None => Ok(()),
            Some(Waiting { at, .. }) => Err(Fault::new(&at, "a BatchNorm without a Scale layer behind it")
                .help("normalisations of specs have a scale and a shift")),
        }
    }

    fn layer(&mut self, layer: &Layer<'_, 't>) -> Result<Id> {
        if !matches!(layer.kind, "BatchNorm" | "Scale") {
            self.settled()?;
        }
        match layer.kind {
            "Convolution" => self.conv(layer),
            "BatchNorm" | "Dropout" | "Softmax" | "Split" => layer.one(),
            "Scale" => self.scale(layer),
            "ReLU" => {
                let slope = layer.message.message("relu_param").number("negative_slope", 0.0)?;
                let act = if slope == 0.0 { Activation::Relu } else { Activation::LeakyRelu { slope } };
                self.one(layer, Op::Activate(act))
            }
            "Sigmoid" => self.one(layer, Op::Activate(Activation::Sigmoid)),
            "TanH" => self.one(layer, Op::Activate(Activation::Tanh)),
            "Pooling" => self.pool(layer),
            "Eltwise" => self.eltwise(layer),
            "Concat" => {
                let param = layer.message.message("concat_param");
                if param.size("axis", 1)? != 1 {
                    return Err(Fault::new(
                        &layer.at,
                        "only channels can be put after one another in a spec",
                    ));
                }
                self.flat.push(Op::Concat, layer.bottoms.clone(), &layer.at)
            }
            "InnerProduct" => {
                let param = layer.message.message("inner_product_param");
                param
                    .only(&["num_output", "bias_term", "weight_filler", "bias_filler", "axis"], layer.kind)?;
                let (out, bias) = (param.size("num_output", 0)?, param.flag("bias_term", true)?);
                self.one(layer, Op::Linear { out, bias })
            }
            kind => Err(Fault::new(&layer.at, format!("specs have nothing like the layer `{kind}`"))),
        }
    }

    fn one(&mut self, layer: &Layer<'_, 't>, op: Op) -> Result<Id> {
        let x = layer.one()?;
        self.flat.push(op, vec![x], &layer.at)
    }

    fn scale(&mut self, layer: &Layer<'_, 't>) -> Result<Id> {
        let from = layer.message.word("bottom").map(|(name, _)| name);
        let waiting = self.waiting.take().filter(|waiting| Some(waiting.top) == from);
        let Some(Waiting { eps, at, .. }) = waiting else {
            return Err(Fault::new(&layer.at, "a Scale layer that does not stand behind a BatchNorm"));
        };
        if !layer.message.message("scale_param").flag("bias_term", false)? {
            return Err(Fault::new(
                &layer.at,
                "a Scale layer without `bias_term: true`: normalisations have a shift",
            ));
        }
        let x = layer.one()?;
        self.flat.push(Op::Norm { eps }, vec![x], &at)
    }

    fn conv(&mut self, layer: &Layer<'_, 't>) -> Result<Id> {
        let param = layer.message.message("convolution_param");
        let known = [
            "num_output",
            "kernel_size",
            "kernel_h",
            "kernel_w",
            "pad",
            "pad_h",
            "pad_w",
            "stride",
            "stride_h",
            "stride_w",
            "dilation",
            "group",
            "bias_term",
            "weight_filler",
            "bias_filler",
            "engine",
        ];
        param.only(&known, layer.kind)?;
        let attrs = ConvAttrs {
            kernel: pair(&param, "kernel_size", ["kernel_h", "kernel_w"], 0)?,
            stride: pair(&param, "stride", ["stride_h", "stride_w"], 1)?,
            padding: pair(&param, "pad", ["pad_h", "pad_w"], 0)?,
            dilation: [param.size("dilation", 1)?; 2],
            groups: param.size("group", 1)?,
        };
        let bias = param.flag("bias_term", true)?;
        self.one(layer, Op::Conv { out: param.size("num_output", 0)?, attrs, bias })
    }

    /// Caffe rounds the size of the result up; a mean counts the padding's zeros.
    fn pool(&mut self, layer: &Layer<'_, 't>) -> Result<Id> {
        let param = layer.message.message("pooling_param");
        let (kind, at) = param.word("pool").unwrap_or(("MAX", layer.at.clone()));
        let max = match kind {
            "MAX" => true,
            "AVE" => false,
            other => return Err(Fault::new(&at, format!("specs have no pooling like `{other}`"))),
        };
        if param.flag("global_pooling", false)? {
            return self.one(layer, if max { Op::GlobalMaxPool } else { Op::GlobalAvgPool });
        }
        let x = layer.one()?;
        let mut attrs = PoolAttrs {
            kernel: pair(&param, "kernel_size", ["kernel_h", "kernel_w"], 0)?,
            stride: pair(&param, "stride", ["stride_h", "stride_w"], 1)?,
            padding: pair(&param, "pad", ["pad_h", "pad_w"], 0)?,
            ceil: !matches!(param.word("round_mode"), Some(("FLOOR", _))),
            count_padding: !max,
        };
        // Where nothing is left over, there is nothing to round.
        let exact = |i: usize| {
            let side = self.flat.nodes[x].shape[i + 1] + 2 * attrs.padding[i];
            side.checked_sub(attrs.kernel[i])
                .is_some_and(|spare| attrs.stride[i] > 0 && spare % attrs.stride[i] == 0)
        };
        attrs.ceil &= !(exact(0) && exact(1));
        self.one(layer, if max { Op::MaxPool(attrs) } else { Op::AvgPool(attrs) })
    }

    fn eltwise(&mut self, layer: &Layer<'_, 't>) -> Result<Id> {
        let param = layer.message.message("eltwise_param");
        let op = match param.word("operation") {
            None | Some(("SUM" | "1", _)) => Op::Add,
            Some(("PROD" | "0", _)) => Op::Mul,
            Some((other, at)) => {
                return Err(Fault::new(&at, format!("specs have nothing like Eltwise `{other}`")));
            }
        };
        if let Some((word, at)) = param.words("coeff").find(|(word, _)| word.parse() != Ok(1.0f32)) {
            return Err(Fault::new(&at, format!("a sum with the factor {word}")));
        }
        let Some((&first, rest)) = layer.bottoms.split_first().filter(|(_, rest)| !rest.is_empty()) else {
            return Err(Fault::new(&layer.at, "a sum of less than two blobs"));
        };
        let mut sum = first;
        for &next in rest {
            sum = self.flat.push(op.clone(), vec![sum, next], &layer.at)?;
        }
        Ok(sum)
    }
}

impl Layer<'_, '_> {
    /// The one blob that it reads.
    fn one(&self) -> Result<Id> {
        match self.bottoms[..] {
            [one] => Ok(one),
            _ => Err(Fault::new(&self.at, format!("a {} layer of {} blobs", self.kind, self.bottoms.len()))),
        }
    }
}

/// A size for both directions, or one for each.
fn pair(param: &Message<'_>, both: &str, each: [&str; 2], usual: usize) -> Result<[usize; 2]> {
    let usual = param.size(both, usual)?;
    Ok([param.size(each[0], usual)?, param.size(each[1], usual)?])
}
