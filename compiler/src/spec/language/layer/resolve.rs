//! Bound calls to layers: their numbers are computed, and have to lie in the ranges of the table.

use super::bind::Bound;
use super::kind::Layer;
use super::table::{Form, Kind, Parameter};
use crate::diagnostic::Diagnostic;
use crate::ir::op::{Activation, ConvAttrs, DropPart, Norm, PoolAttrs};
use crate::spec::language::tree::Expr;

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

/// Evaluates an argument.
pub type Eval<'e> = &'e mut dyn FnMut(&Expr) -> Result<f64>;

impl Bound<'_> {
    /// The layer, with `eval` for the arguments.
    pub fn resolve(&self, eval: Eval<'_>) -> Result<Layer> {
        Ok(match self.entry.form {
            Form::Conv => self.conv(eval)?,
            Form::Scale => Layer::Scale(f64::from(self.real(eval, "by")?)),
            Form::BatchNorm => Layer::Norm(Norm::Batch {
                eps: self.real(eval, "eps")?,
                momentum: self.real(eval, "momentum")?,
            }),
            Form::GroupNorm => {
                Layer::Norm(Norm::Group { groups: self.whole(eval, "groups")?, eps: self.real(eval, "eps")? })
            }
            Form::Activation(Activation::LeakyRelu { .. }) => {
                Layer::Activate(Activation::LeakyRelu { slope: self.real(eval, "slope")? })
            }
            Form::Activation(activation) => Layer::Activate(activation),
            Form::Dropout => Layer::Drop { part: DropPart::Element, rate: self.real(eval, "p")? },
            Form::DropPath => Layer::Drop { part: DropPart::Image, rate: self.real(eval, "p")? },
            Form::DropBlock => {
                let size = self.whole(eval, "size")?;
                Layer::Drop { part: DropPart::Block { size }, rate: self.real(eval, "p")? }
            }
            Form::MaxPool => {
                let padding = self.window.map(|k| if k % 2 == 1 { k / 2 } else { 0 });
                Layer::MaxPool(self.pool(eval, padding)?)
            }
            Form::AvgPool => {
                let attrs = self.pool(eval, [0; 2])?;
                Layer::AvgPool(PoolAttrs { count_padding: self.flag(eval, "count_padding")?, ..attrs })
            }
            Form::BlurPool => Layer::BlurPool { stride: [self.whole(eval, "stride")?; 2] },
            Form::GlobalAvgPool => Layer::GlobalAvgPool,
            Form::GlobalMaxPool => Layer::GlobalMaxPool,
            Form::ChannelConv => Layer::ChannelConv { kernel: self.odd(eval, "kernel")? },
            Form::Eca => Layer::Eca { kernel: self.odd(eval, "kernel")? },
            Form::Flatten => Layer::Flatten,
            Form::PadChannels => {
                Layer::PadChannels { out: self.whole(eval, "out")?, before: self.whole(eval, "before")? }
            }
            Form::Linear => Layer::Linear { out: self.whole(eval, "out")?, bias: self.flag(eval, "bias")? },
        })
    }

    fn conv(&self, eval: Eval<'_>) -> Result<Layer> {
        let out = self.whole(eval, "out")?;
        let dilation = self.whole(eval, "dilation")?;
        let same = self.window.map(|k| dilation * (k - 1) / 2);
        let attrs = ConvAttrs {
            kernel: self.window,
            stride: [self.whole(eval, "stride")?; 2],
            padding: self.both(eval, "padding")?.unwrap_or(same),
            dilation: [dilation; 2],
            groups: self.whole(eval, "groups")?,
        };
        let bias = self.flag(eval, "bias")?;
        let bias_init = match self.get("bias_init") {
            Some(expr) if !bias => {
                let fault = Diagnostic::error("`bias_init` needs a bias", expr.span, "without effect");
                return Err(Box::new(fault.help("write `bias` too, or take `bias_init` out")));
            }
            Some(_) => Some(self.real(eval, "bias_init")?),
            None => None,
        };
        Ok(Layer::Conv { out, attrs, bias, bias_init })
    }

    fn pool(&self, eval: Eval<'_>, padding: [usize; 2]) -> Result<PoolAttrs> {
        let attrs = PoolAttrs {
            kernel: self.window,
            stride: self.both(eval, "stride")?.unwrap_or(self.window),
            padding: self.both(eval, "padding")?.unwrap_or(padding),
            ceil: self.flag(eval, "ceil")?,
            count_padding: false,
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

    fn parameter(&self, name: &str) -> &'static Parameter {
        let parameter = self.entry.parameters.iter().find(|parameter| parameter.name == name);
        parameter.expect("a layer is made of parameters of its own entry")
    }

    fn real(&self, eval: Eval<'_>, name: &str) -> Result<f32> {
        let parameter = self.parameter(name);
        let Some(expr) = self.get(name) else { return Ok(parameter.default.read()) };
        let Kind::Real(low, high) = parameter.kind else { unreachable!("`{name}` is read as a number") };
        let value = eval(expr)?;
        if (low..=high).contains(&value) {
            return Ok(value as f32);
        }
        let layer = &self.call.name.text;
        let low = if low > 0.0 && low < 1e-3 { format!("{low:e}") } else { low.to_string() };
        let fault = format!("`{name}` of `{layer}` must lie between {low} and {high}");
        let fault = Diagnostic::error(fault, expr.span, format!("this is {value}"));
        Err(Box::new(match name {
            // As PyTorch has it, where the number of channels comes first.
            "eps" if value > high => {
                fault.help(format!("`{layer}` takes its number of channels from what it reads: leave it out"))
            }
            _ => fault,
        }))
    }

    /// A whole number, or what stands for it.
    fn whole(&self, eval: Eval<'_>, name: &str) -> Result<usize> {
        Ok(self.given(eval, name)?.unwrap_or_else(|| self.parameter(name).default.read()))
    }

    /// A whole number for both directions, where it is given.
    fn both(&self, eval: Eval<'_>, name: &str) -> Result<Option<[usize; 2]>> {
        Ok(self.given(eval, name)?.map(|value| [value; 2]))
    }

    /// A whole number, where it is given.
    fn given(&self, eval: Eval<'_>, name: &str) -> Result<Option<usize>> {
        let Some(expr) = self.get(name) else { return Ok(None) };
        let (Kind::Whole(low, high) | Kind::Odd(low, high)) = self.parameter(name).kind else {
            unreachable!("`{name}` is read as a whole number")
        };
        let value = eval(expr)?;
        if (low as f64..=high as f64).contains(&value) && value.fract() == 0.0 {
            return Ok(Some(value as usize));
        }
        let layer = &self.call.name.text;
        let fault = format!("`{name}` of `{layer}` must be a whole number between {low} and {high}");
        Err(Box::new(Diagnostic::error(fault, expr.span, format!("this is {value}"))))
    }

    /// An odd number, where it is given.
    fn odd(&self, eval: Eval<'_>, name: &str) -> Result<Option<usize>> {
        let value = self.given(eval, name)?;
        match (value, self.get(name)) {
            (Some(value), Some(expr)) if value % 2 == 0 => {
                let fault = format!("`{name}` of `{}` must be odd", self.call.name.text);
                let fault = Diagnostic::error(fault, expr.span, format!("this is {value}"));
                Err(Box::new(fault.help("as many channels count on either side")))
            }
            _ => Ok(value),
        }
    }

    fn flag(&self, eval: Eval<'_>, name: &str) -> Result<bool> {
        if !self.has(name) {
            return Ok(self.parameter(name).default.read());
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
