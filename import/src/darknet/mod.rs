//! Darknet: `.cfg` and the `.weights` beside it.

mod text;
mod weights;

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::{ConvAttrs, PoolAttrs};

use crate::fault::{Fault, Place, Result};
use crate::flat::{Flat, Id, Op, skip};
use text::Section;
use weights::Weights;

/// What Darknet adds to a variance, in double precision, when it normalises in inference on the CPU; its training and the GPU add
/// 1e-5, as the networks' weights were made.
const EPS: f32 = 1e-5;

/// Settings of layers that change nothing in inference.
const HARMLESS: &[&str] = &[
    "learning_rate",
    "dontload",
    "dontloadscales",
    "stopbackward",
    "flipped",
    "label",
    "noloss",
    "temperature",
];

/// The network as far as it is read.
struct Front<'w> {
    flat: Flat,
    /// What each section behind `[net]` became, which `from` counts back on.
    layers: Vec<Id>,
    weights: Weights<'w>,
}

/// Reads a network; its tensors too where there is a file of weights.
pub(crate) fn read(text: &str, input: Option<[usize; 3]>, weights: Option<&[u8]>) -> Result<Flat> {
    let sections = text::sections(text)?;
    let Some((net, layers)) = sections.split_first().filter(|(net, _)| matches!(net.name, "net" | "network"))
    else {
        return Err(Fault::new(&Place::Line(1), "the file does not begin with a section [net]"));
    };
    let size = |key, usual| net.size(key, usual);
    let sizes = match input {
        Some(sizes) => sizes,
        None => [size("channels", 3)?, size("height", 0)?, size("width", 0)?],
    };
    let flat = Flat::new(sizes, &net.place())?;
    let mut front = Front { flat, layers: Vec::new(), weights: Weights::new(weights)? };
    for section in layers {
        if let Some(id) = front.layer(section)? {
            front.layers.push(id);
        }
    }
    front.weights.end()?;
    let last = front.layers.last().copied().ok_or_else(|| Fault::file("the network has no layers"))?;
    front.flat.finish(last)
}

impl Front<'_> {
    fn last(&self) -> Id {
        self.layers.last().copied().unwrap_or(0)
    }

    /// A layer; nothing of one that has no part in the results.
    fn layer(&mut self, section: &Section<'_>) -> Result<Option<Id>> {
        let at = section.place();
        let x = self.last();
        let id = match section.name {
            "convolutional" | "conv" => self.conv(section)?,
            "maxpool" | "max" => self.maxpool(section)?,
            "avgpool" | "avg" => self.flat.push(Op::GlobalAvgPool, vec![x], &at)?,
            "shortcut" => self.shortcut(section)?,
            "route" => self.route(section)?,
            "connected" | "conn" => self.connected(section)?,
            "activation" => self.activated(x, section, "logistic")?,
            // In inference, its input.
            "dropout" => {
                section.text("probability");
                x
            }
            "softmax" | "soft" => {
                section.size("groups", 1)?;
                x
            }
            "cost" => return Ok(None),
            name => {
                let message = format!("specs have nothing like the section [{name}]");
                return Err(Fault::new(&at, message).help("only residual classifiers can be imported"));
            }
        };
        section.unread(HARMLESS)?;
        Ok(Some(id))
    }

    fn conv(&mut self, section: &Section<'_>) -> Result<Id> {
        let at = section.place();
        let x = self.last();
        let out = section.size("filters", 1)?;
        let size = section.size("size", 1)?;
        let padding = section.size("padding", 0)?;
        let padding = if section.int("pad", 0)? != 0 { size / 2 } else { padding };
        let attrs = ConvAttrs {
            kernel: [size; 2],
            stride: [section.size("stride", 1)?; 2],
            padding: [padding; 2],
            dilation: [1; 2],
            groups: section.size("groups", 1)?,
        };
        let norm = section.int("batch_normalize", 0)? != 0;
        for key in ["xnor", "binary"] {
            if section.int(key, 0)? != 0 {
                return Err(Fault::new(&at, format!("`{key}=1`: specs have no binary convolutions")));
            }
        }
        let channels = self.flat.nodes[x].shape[0];
        let inner = channels.checked_div(attrs.groups).unwrap_or(0);
        let sizes = [out, inner, size, size];
        let (first, weight) = self.weights.layer(out, norm, &sizes, &at)?;
        let mut id = self.normalised(Op::Conv { out, attrs, bias: !norm }, x, norm, first, weight, &at)?;
        id = self.activated(id, section, "logistic")?;
        Ok(id)
    }

    /// A layer with weights, and its normalisation: Darknet's bias is either's.
    fn normalised(
        &mut self,
        op: Op,
        x: Id,
        norm: bool,
        first: Vec<Vec<f32>>,
        weight: Vec<f32>,
        at: &Place,
    ) -> Result<Id> {
        let known = !weight.is_empty();
        if !norm {
            let tensors = if known { [vec![weight], first].concat() } else { Vec::new() };
            return self.flat.push_with(op, vec![x], at, tensors);
        }
        let tensors = if known { vec![weight] } else { Vec::new() };
        let id = self.flat.push_with(op, vec![x], at, tensors)?;
        self.flat.push_with(Op::Norm { eps: EPS }, vec![id], at, first)
    }

    fn connected(&mut self, section: &Section<'_>) -> Result<Id> {
        let at = section.place();
        let x = self.last();
        let out = section.size("output", 1)?;
        if section.int("batch_normalize", 0)? != 0 {
            return Err(Fault::new(&at, "a [connected] layer with batch_normalize is not read"));
        }
        let inner = self.flat.nodes[x].shape.iter().product();
        let (weight, bias) = self.weights.connected(out, inner, &at)?;
        let tensors = if weight.is_empty() { Vec::new() } else { vec![weight, bias] };
        let id = self.flat.push_with(Op::Linear { out, bias: true }, vec![x], &at, tensors)?;
        self.activated(id, section, "logistic")
    }

    /// Darknet's window begins half of what it adds before the image; the whole of it is one less than the window.
    fn maxpool(&mut self, section: &Section<'_>) -> Result<Id> {
        let at = section.place();
        let x = self.last();
        let stride = section.size("stride", 1)?;
        let size = section.size("size", stride)?;
        let added = section.size("padding", size.saturating_sub(1))?;
        let [_, h, w] = self.flat.nodes[x].shape;
        let padding = added / 2;
        // An even window has one more behind the image, which only matters where a window begins there.
        let ceil = added % 2 == 1
            && stride > 0
            && [h, w].iter().any(|side| {
                let windows = |added: usize| (side + added).checked_sub(size).map(|spare| spare / stride);
                windows(added) != windows(2 * padding)
            });
        let attrs = PoolAttrs {
            kernel: [size; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            ceil,
            count_padding: false,
        };
        let id = self.flat.push(Op::MaxPool(attrs), vec![x], &at)?;
        let [_, above, beside] = self.flat.nodes[id].shape;
        let wanted = [h, w].map(|side| (side + added).saturating_sub(size) / stride + 1);
        if [above, beside] != wanted {
            return Err(Fault::new(
                &at,
                format!(
                    "a window of {size} that begins at {padding} pixels before the image, and ends later: specs pad both sides alike"
                ),
            ));
        }
        Ok(id)
    }

    /// The layer that `from` or `layers` counts to.
    fn counted(&self, text: &str, place: &Place) -> Result<Id> {
        let wrong = || Fault::new(place, format!("there is no layer `{text}` before this one"));
        let index: i64 = text.trim().parse().map_err(|_| wrong())?;
        let index = if index < 0 { self.layers.len() as i64 + index } else { index };
        let found = usize::try_from(index).ok().and_then(|index| self.layers.get(index));
        found.copied().ok_or_else(wrong)
    }

    /// The sum with an earlier map, of which every `stride`-th pixel is taken, and channels of zeros are put behind.
    fn shortcut(&mut self, section: &Section<'_>) -> Result<Id> {
        let at = section.place();
        let (from, place) =
            section.text("from").ok_or_else(|| Fault::new(&at, "[shortcut] without `from`"))?;
        let main = self.last();
        let mut side = self.counted(from, &place)?;
        let ([c, h, w], [own, rows, columns]) = (self.flat.nodes[main].shape, self.flat.nodes[side].shape);
        let stride = rows / h.max(1);
        let fits = stride > 0 && rows.div_ceil(stride) == h && columns.div_ceil(stride) == w && own <= c;
        if !fits {
            let message =
                format!("a map of {own} x {rows} x {columns} cannot be added to one of {c} x {h} x {w}");
            return Err(Fault::new(&at, message));
        }
        if stride > 1 {
            side = self.flat.push(skip([stride; 2]), vec![side], &at)?;
        }
        if own < c {
            side = self.flat.push(Op::PadChannels { out: c, before: 0 }, vec![side], &at)?;
        }
        let sum = self.flat.push(Op::Add, vec![main, side], &at)?;
        self.activated(sum, section, "linear")
    }

    fn route(&mut self, section: &Section<'_>) -> Result<Id> {
        let at = section.place();
        let (list, place) =
            section.text("layers").ok_or_else(|| Fault::new(&at, "[route] without `layers`"))?;
        let maps = list.split(',').map(|text| self.counted(text, &place)).collect::<Result<Vec<_>>>()?;
        match maps[..] {
            [one] => Ok(one),
            _ => self.flat.push(Op::Concat, maps, &at),
        }
    }

    /// The activation of a section.
    fn activated(&mut self, x: Id, section: &Section<'_>, usual: &'static str) -> Result<Id> {
        let (word, place) = section.text("activation").unwrap_or((usual, section.place()));
        let act = match word {
            "linear" => return Ok(x),
            "leaky" => Activation::LeakyRelu { slope: 0.1 },
            "relu" => Activation::Relu,
            "logistic" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "swish" => Activation::Silu,
            "mish" => Activation::Mish,
            other => return Err(Fault::new(&place, format!("specs have no activation like `{other}`"))),
        };
        self.flat.push(Op::Activate(act), vec![x], &place)
    }
}
