//! Calls of layers to layers: names, arguments and numbers are checked here.

use super::super::tree::{Call, Expr, bare_name};
use super::kind::Layer;
use super::table::{EXAMPLES, Form, LAYERS, MAX_CHANNELS, MAX_RATE, MAX_WINDOW, Parameter};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::suggest;
use crate::ir::op::{Activation, ConvAttrs, DropPart, Norm, PoolAttrs};

/// Layers of the language to come; told apart from misspelt ones.
const LATER: &[&str] = &["softmax", "identity"];

/// Evaluates an argument.
pub type Eval<'e> = &'e mut dyn FnMut(&Expr) -> Result<f64, Box<Diagnostic>>;

/// A layer's call whose name and arguments fit together.
#[derive(Debug)]
pub struct Bound<'c> {
    call: &'c Call,
    form: Form,
    window: [usize; 2],
    args: Vec<(&'static Parameter, Option<&'c Expr>)>,
}

/// Whether a name is one of a layer.
pub fn is_layer(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<(Form, [usize; 2], &'static [Parameter])> {
    LAYERS.iter().find_map(|&(base, windowed, form, params)| {
        let rest = name.strip_prefix(base)?;
        let window = if windowed { window(rest)? } else { rest.is_empty().then_some([1, 1])? };
        Some((form, window, params))
    })
}

/// `3x3` to `[3, 3]`.
fn window(text: &str) -> Option<[usize; 2]> {
    let (h, w) = text.split_once('x')?;
    let size = |t: &str| t.parse::<usize>().ok().filter(|s| (1..=MAX_WINDOW).contains(s));
    Some([size(h)?, size(w)?])
}

/// Puts a call's arguments to the layer's parameters. All that does not fit is told at once.
pub fn bind(call: &Call) -> Result<Bound<'_>, Vec<Diagnostic>> {
    let name = &call.name;
    let Some((form, window, params)) = find(&name.text) else {
        let fault = if LATER.contains(&name.text.as_str()) {
            let fault = format!("the layer `{}` is not supported yet", name.text);
            let help = "the loss takes logits, and a value that nothing changes needs no layer: leave it out";
            Diagnostic::error(fault, name.span, "here").help(help)
        } else {
            Diagnostic::error(format!("unknown layer `{}`", name.text), name.span, "not a layer")
                .help(suggest(&name.text, EXAMPLES))
        };
        return Err(vec![fault]);
    };
    let mut bound = Bound { call, form, window, args: Vec::new() };
    let faults = bound.take(params);
    if faults.is_empty() { Ok(bound) } else { Err(faults) }
}

impl<'c> Bound<'c> {
    fn take(&mut self, params: &'static [Parameter]) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        let layer = &self.call.name.text;
        for arg in self.call.args.iter().flatten() {
            let bare = bare_name(&arg.value);
            let param = match &arg.name {
                Some(name) => params.iter().find(|p| p.name == name.text),
                None => params
                    .iter()
                    .find(|p| p.flag && Some(p.name) == bare)
                    .or_else(|| params.iter().find(|p| !p.flag && !self.has(p.name))),
            };
            let Some(param) = param else {
                faults.push(unfit(
                    layer,
                    arg.name.as_ref().map_or(arg.value.span, |n| n.span),
                    arg.name.is_some(),
                    params,
                ));
                continue;
            };
            if self.has(param.name) {
                let fault = format!("`{}` of `{layer}` is given twice", param.name);
                faults
                    .push(Diagnostic::error(fault, arg.value.span, "again here").help("keep one of the two"));
                continue;
            }
            let by_name_alone = arg.name.is_none() && param.flag;
            self.args.push((param, (!by_name_alone).then_some(&arg.value)));
        }
        for param in params.iter().filter(|p| p.required && !self.has(p.name)) {
            let fault = Diagnostic::error(
                format!("`{layer}` needs `{}`", param.name),
                self.call.span,
                "not given here",
            );
            faults.push(fault.help(format!("write {}", usage(layer, params))));
        }
        faults
    }

    fn has(&self, name: &str) -> bool {
        self.args.iter().any(|(p, _)| p.name == name)
    }

    /// Whether it is `bn` without arguments, which stands for the network's normalisation.
    pub fn is_plain_norm(&self) -> bool {
        self.form == Form::BatchNorm && self.args.is_empty()
    }

    /// The expressions among the arguments.
    pub fn values(&self) -> impl Iterator<Item = &'c Expr> + '_ {
        self.args.iter().filter_map(|(_, value)| *value)
    }

    /// The layer, with `eval` for the arguments.
    pub fn resolve(&self, eval: Eval<'_>) -> Result<Layer, Box<Diagnostic>> {
        let [kh, kw] = self.window;
        Ok(match self.form {
            Form::Conv => self.conv(eval)?,
            Form::Scale => Layer::Scale(f64::from(self.real(eval, "by", 1.0, -1e6, 1e6)?)),
            Form::BatchNorm => Layer::Norm(Norm::Batch {
                eps: self.real(eval, "eps", 1e-5, 1e-12, 1.0)?,
                momentum: self.real(eval, "momentum", 0.1, 0.0, 1.0)?,
            }),
            Form::GroupNorm => Layer::Norm(Norm::Group {
                groups: self.whole(eval, "groups", [32, 32], 1.0, MAX_CHANNELS as f64)?[0],
                eps: self.real(eval, "eps", 1e-5, 1e-12, 1.0)?,
            }),
            Form::Relu => Layer::Activate(Activation::Relu),
            Form::LeakyRelu => {
                Layer::Activate(Activation::LeakyRelu { slope: self.real(eval, "slope", 0.01, 1e-6, 1.0)? })
            }
            Form::Sigmoid => Layer::Activate(Activation::Sigmoid),
            Form::Tanh => Layer::Activate(Activation::Tanh),
            Form::Silu => Layer::Activate(Activation::Silu),
            Form::Gelu => Layer::Activate(Activation::Gelu),
            Form::Dropout => Layer::Drop { part: DropPart::Element, rate: self.rate(eval)? },
            Form::DropPath => Layer::Drop { part: DropPart::Image, rate: self.rate(eval)? },
            Form::DropBlock => {
                let size = self.whole(eval, "size", [0, 0], 1.0, MAX_WINDOW as f64)?[0];
                Layer::Drop { part: DropPart::Block { size }, rate: self.rate(eval)? }
            }
            Form::MaxPool => {
                let odd = |k: usize| if k % 2 == 1 { k / 2 } else { 0 };
                Layer::MaxPool(self.pool(eval, [odd(kh), odd(kw)])?)
            }
            Form::AvgPool => Layer::AvgPool(self.pool(eval, [0, 0])?),
            Form::BlurPool => {
                Layer::BlurPool { stride: self.whole(eval, "stride", [2, 2], 1.0, MAX_WINDOW as f64)? }
            }
            Form::GlobalAvgPool => Layer::GlobalAvgPool,
            Form::GlobalMaxPool => Layer::GlobalMaxPool,
            Form::ChannelConv => Layer::ChannelConv { kernel: self.span_of_channels(eval)? },
            Form::Eca => Layer::Eca { kernel: self.span_of_channels(eval)? },
            Form::Linear => Layer::Linear {
                out: self.whole(eval, "out", [0, 0], 1.0, MAX_CHANNELS as f64)?[0],
                bias: self.flag(eval, "bias", true)?,
            },
        })
    }

    fn conv(&self, eval: Eval<'_>) -> Result<Layer, Box<Diagnostic>> {
        let most = MAX_WINDOW as f64;
        let [kh, kw] = self.window;
        let out = self.whole(eval, "out", [0, 0], 1.0, MAX_CHANNELS as f64)?[0];
        let dilation = self.whole(eval, "dilation", [1, 1], 1.0, most)?;
        let same = [dilation[0] * (kh - 1) / 2, dilation[1] * (kw - 1) / 2];
        let attrs = ConvAttrs {
            kernel: self.window,
            stride: self.whole(eval, "stride", [1, 1], 1.0, most)?,
            padding: self.whole(eval, "padding", same, 0.0, most * most)?,
            dilation,
            groups: self.whole(eval, "groups", [1, 1], 1.0, MAX_CHANNELS as f64)?[0],
        };
        let bias = self.flag(eval, "bias", false)?;
        let bias_init = match self.get("bias_init") {
            Some(expr) if !bias => {
                let fault = Diagnostic::error("`bias_init` needs a bias", expr.span, "without effect");
                return Err(Box::new(fault.help("write `bias` too, or take `bias_init` out")));
            }
            Some(_) => Some(self.real(eval, "bias_init", 0.0, -1e3, 1e3)?),
            None => None,
        };
        Ok(Layer::Conv { out, attrs, bias, bias_init })
    }

    fn pool(&self, eval: Eval<'_>, padding: [usize; 2]) -> Result<PoolAttrs, Box<Diagnostic>> {
        let most = MAX_WINDOW as f64;
        let attrs = PoolAttrs {
            kernel: self.window,
            stride: self.whole(eval, "stride", self.window, 1.0, most)?,
            padding: self.whole(eval, "padding", padding, 0.0, most)?,
            ceil: self.flag(eval, "ceil", false)?,
            count_padding: self.form == Form::AvgPool && self.flag(eval, "count_padding", true)?,
        };
        if attrs.padding[0] * 2 > attrs.kernel[0] || attrs.padding[1] * 2 > attrs.kernel[1] {
            let span = self.get("padding").map_or(self.call.span, |e| e.span);
            let text =
                format!("padding {} of a {}x{} window", attrs.padding[0], self.window[0], self.window[1]);
            let fault = Diagnostic::error("the padding is more than half of the window", span, text);
            let most = self.window.map(|size| size / 2);
            let most = most[0].min(most[1]);
            let help = format!("{most} at most, or a window would lie wholly outside the image");
            return Err(Box::new(fault.help(help)));
        }
        Ok(attrs)
    }

    /// The `kernel` of a convolution along channels, an odd number.
    fn span_of_channels(&self, eval: Eval<'_>) -> Result<Option<usize>, Box<Diagnostic>> {
        let Some(expr) = self.get("kernel") else { return Ok(None) };
        let [kernel, _] = self.whole(eval, "kernel", [1, 1], 1.0, MAX_WINDOW as f64)?;
        if kernel % 2 == 1 {
            return Ok(Some(kernel));
        }
        let fault = format!("`kernel` of `{}` must be odd", self.call.name.text);
        let fault = Diagnostic::error(fault, expr.span, format!("this is {kernel}"));
        Err(Box::new(fault.help("as many channels count on either side")))
    }

    /// A share to be dropped: `p`.
    fn rate(&self, eval: Eval<'_>) -> Result<f32, Box<Diagnostic>> {
        self.real(eval, "p", 0.0, 0.0, MAX_RATE)
    }

    fn get(&self, name: &str) -> Option<&'c Expr> {
        self.args.iter().find(|(p, _)| p.name == name).and_then(|&(_, value)| value)
    }

    fn real(
        &self,
        eval: Eval<'_>,
        name: &str,
        default: f32,
        low: f64,
        high: f64,
    ) -> Result<f32, Box<Diagnostic>> {
        let Some(expr) = self.get(name) else { return Ok(default) };
        let value = eval(expr)?;
        if (low..=high).contains(&value) {
            return Ok(value as f32);
        }
        let fault = format!("`{name}` of `{}` must lie between {low} and {high}", self.call.name.text);
        Err(Box::new(Diagnostic::error(fault, expr.span, format!("this is {value}"))))
    }

    fn whole(
        &self,
        eval: Eval<'_>,
        name: &str,
        default: [usize; 2],
        low: f64,
        high: f64,
    ) -> Result<[usize; 2], Box<Diagnostic>> {
        let Some(expr) = self.get(name) else { return Ok(default) };
        let value = eval(expr)?;
        if (low..=high).contains(&value) && value.fract() == 0.0 {
            return Ok([value as usize; 2]);
        }
        let layer = &self.call.name.text;
        let fault = format!("`{name}` of `{layer}` must be a whole number between {low} and {high}");
        Err(Box::new(Diagnostic::error(fault, expr.span, format!("this is {value}"))))
    }

    fn flag(&self, eval: Eval<'_>, name: &str, default: bool) -> Result<bool, Box<Diagnostic>> {
        if !self.has(name) {
            return Ok(default);
        }
        let Some(expr) = self.get(name) else { return Ok(true) };
        match eval(expr)? {
            0.0 => Ok(false),
            1.0 => Ok(true),
            other => {
                let fault = format!("`{name}` of `{}` is a flag: `true` or `false`", self.call.name.text);
                Err(Box::new(Diagnostic::error(fault, expr.span, format!("this is {other}"))))
            }
        }
    }
}

fn unfit(layer: &str, span: crate::source::Span, named: bool, params: &'static [Parameter]) -> Diagnostic {
    let fault = if named {
        Diagnostic::error(format!("`{layer}` has no such argument"), span, "not known")
    } else if params.is_empty() {
        Diagnostic::error(format!("`{layer}` takes no arguments"), span, "one too many")
    } else {
        Diagnostic::error(format!("too many arguments for `{layer}`"), span, "one too many")
    };
    let names: Vec<&str> = params.iter().map(|p| p.name).collect();
    if names.is_empty() {
        fault.help(format!("write `{layer}`"))
    } else {
        fault.help(format!("write {}", usage(layer, params)))
    }
}

/// `` `conv3x3(out, stride, ...)` ``
fn usage(layer: &str, params: &[Parameter]) -> String {
    let names: Vec<String> =
        params.iter().map(|p| if p.required { p.name.into() } else { format!("[{}]", p.name) }).collect();
    format!("`{layer}({})`", names.join(", "))
}
