//! The `init:` section: formulas such as `he_normal(fan_out)` and `uniform(1 / sqrt(fan_in))` to distributions.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::{listed, suggest};
use crate::ir::op::{ConvInit, Fan, Init};
use crate::source::{Span, Text};
use crate::spec::foreign;
use crate::spec::language::tree::{Call, Expr, ExprKind, bare_name};
use crate::spec::language::{number, parse};
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Initial values of the parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct InitSpec {
    /// Distribution of convolution weights.
    pub conv: ConvInit,
    /// Distribution of linear weights and, with the same fan, of biases.
    pub linear: ConvInit,
    /// Whether the normalisation whose result is added to a shortcut starts with scale 0, so that every unit starts
    /// as its shortcut (Goyal et al. 2017).
    pub zero_last_bn: bool,
}

impl Default for InitSpec {
    /// As torchvision's ResNets: He for convolutions, PyTorch's default for linear layers.
    fn default() -> Self {
        let of = |key: &str| {
            let text = Text { text: INIT.key(key).default.text(), span: Span::NONE };
            let init = parse::formula(text).and_then(|expr| formula(&expr));
            init.expect("the default is a distribution")
        };
        InitSpec { conv: of("conv"), linear: of("linear"), zero_last_bn: INIT.default("zero_last_bn") }
    }
}

/// Keys of the section.
pub const INIT: Section = Section {
    what: "`init`",
    keys: &[
        Key::new("conv", Shape::Language, "Distribution of convolutions' weights.").default("he_normal(fan_out)"),
        Key::new("linear", Shape::Language, "Distribution of linear layers' weights, and of biases.")
            .default("uniform(1 / sqrt(fan_in))"),
        Key::new(
            "zero_last_bn",
            Shape::Flag,
            "Whether the last normalisation of each main branch starts with weight 0, so that each unit starts as its \
             shortcut (Goyal et al. 2017).",
        )
        .default("false"),
    ],
};

/// A distribution of initial values.
#[derive(Debug)]
pub struct Distribution {
    /// What specs call it.
    pub name: &'static str,
    /// A call of it.
    pub call: &'static str,
    /// What it is, one line.
    pub about: &'static str,
}

const fn distribution_of(name: &'static str, call: &'static str, about: &'static str) -> Distribution {
    Distribution { name, call, about }
}

/// All distributions.
pub const DISTRIBUTIONS: &[Distribution; 8] = &[
    distribution_of(
        "he_normal",
        "he_normal(fan)",
        "normal, `std = sqrt(2 / fan)` (He et al. 2015); `fan_in` where no fan is given",
    ),
    distribution_of(
        "he_uniform",
        "he_uniform(fan)",
        "uniform between `-b` and `b`, `b = sqrt(6 / fan)`; `fan_in` where no fan is given",
    ),
    distribution_of(
        "xavier_normal",
        "xavier_normal",
        "normal, `std = sqrt(2 / (fan_in + fan_out))` (Glorot and Bengio 2010)",
    ),
    distribution_of(
        "xavier_uniform",
        "xavier_uniform",
        "uniform between `-b` and `b`, `b = sqrt(6 / (fan_in + fan_out))`",
    ),
    distribution_of(
        "uniform",
        "uniform(b)",
        "uniform between `-b` and `b`; `b` is a number, or `gain / sqrt(fan_in)`, or the same with `fan_out`",
    ),
    distribution_of("normal", "normal(std)", "normal with mean 0"),
    distribution_of(
        "truncated_normal",
        "truncated_normal(std)",
        "normal with mean 0, without what lies further than two standard deviations from it",
    ),
    distribution_of("constant", "constant(a)", "one value"),
];

fn names() -> [&'static str; DISTRIBUTIONS.len()] {
    std::array::from_fn(|i| DISTRIBUTIONS[i].name)
}

/// Reads the section.
pub fn read(reader: &mut Reader<'_>, node: &Node) -> InitSpec {
    let mut init = InitSpec::default();
    for entry in reader.fields(node, &INIT).unwrap_or_default() {
        match entry.key.as_str() {
            "conv" => init.conv = distribution(reader, &entry.value, "`conv`").unwrap_or(init.conv),
            "linear" => init.linear = distribution(reader, &entry.value, "`linear`").unwrap_or(init.linear),
            _ => init.zero_last_bn = reader.boolean(&entry.value, "`zero_last_bn`").unwrap_or_default(),
        }
    }
    init
}

fn distribution(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<ConvInit> {
    let text = reader.language(node, what)?;
    let expr = reader.keep(parse::formula(text))?;
    reader.keep(formula(&expr))
}

/// The distribution that a formula means.
fn formula(expr: &Expr) -> Result<ConvInit, Box<Diagnostic>> {
    let ExprKind::Call(call) = &expr.kind else {
        let fault = Diagnostic::error("an initial distribution has a name", expr.span, "not a name");
        return Err(Box::new(fault.help(listed(&names()))));
    };
    let fan_of = |default| argument(call, fan, default);
    Ok(match call.name.text.as_str() {
        "he_normal" => ConvInit::HeNormal { fan: fan_of(Some(Fan::FanIn))? },
        "he_uniform" => ConvInit::HeUniform { fan: fan_of(Some(Fan::FanIn))? },
        "xavier_normal" => none(call, ConvInit::XavierNormal)?,
        "xavier_uniform" => none(call, ConvInit::XavierUniform)?,
        "uniform" => argument(call, uniform, None)?,
        "normal" => ConvInit::Fixed(Init::Normal { std: argument(call, positive, None)? }),
        "truncated_normal" => ConvInit::Fixed(Init::TruncatedNormal { std: argument(call, positive, None)? }),
        "constant" => ConvInit::Fixed(Init::Constant(argument(call, constant, None)?)),
        other => {
            let fault =
                Diagnostic::error(format!("unknown distribution `{other}`"), call.name.span, "not known");
            let help = foreign::value("distribution", other);
            return Err(Box::new(fault.help(help.unwrap_or_else(|| suggest(other, &names())))));
        }
    })
}

fn argument<T>(
    call: &Call,
    read: impl Fn(&Expr) -> Result<T, Box<Diagnostic>>,
    default: Option<T>,
) -> Result<T, Box<Diagnostic>> {
    match (call.args.as_deref().unwrap_or_default(), default) {
        ([], Some(default)) => Ok(default),
        ([arg], _) if arg.name.is_none() => read(&arg.value),
        (args, _) => Err(Box::new(arity(call, 1, args.len()))),
    }
}

fn none(call: &Call, init: ConvInit) -> Result<ConvInit, Box<Diagnostic>> {
    match call.args.as_deref().unwrap_or_default() {
        [] => Ok(init),
        args => Err(Box::new(arity(call, 0, args.len()))),
    }
}

fn arity(call: &Call, wanted: usize, given: usize) -> Diagnostic {
    let plural = if wanted == 1 { "" } else { "s" };
    let fault = format!("`{}` takes {wanted} unnamed argument{plural}", call.name.text);
    let fault = Diagnostic::error(fault, call.span, format!("given {given}"));
    match DISTRIBUTIONS.iter().find(|known| known.name == call.name.text) {
        Some(known) => fault.help(format!("write `{}`: {}", known.call, known.about)),
        None => fault,
    }
}

fn fan(expr: &Expr) -> Result<Fan, Box<Diagnostic>> {
    match bare_name(expr) {
        Some("fan_in") => Ok(Fan::FanIn),
        Some("fan_out") => Ok(Fan::FanOut),
        _ => {
            let fault = Diagnostic::error("a fan is `fan_in` or `fan_out`", expr.span, "neither");
            let help = "`fan_in` counts what is summed up for an output, `fan_out` the outputs of an input";
            Err(Box::new(fault.help(help)))
        }
    }
}

/// The bound of a uniform distribution: a number, or `gain / sqrt(fan)`.
fn uniform(expr: &Expr) -> Result<ConvInit, Box<Diagnostic>> {
    if let ExprKind::Product(factors) = &expr.kind
        && let [(false, gain), (true, Expr { kind: ExprKind::Call(root), .. })] = factors.as_slice()
        && root.name.text == "sqrt"
        && let Some([arg]) = root.args.as_deref()
        && bare_name(&arg.value).is_some()
    {
        return Ok(ConvInit::UniformFan { fan: fan(&arg.value)?, gain: positive(gain)? });
    }
    positive(expr)
        .map(|bound| ConvInit::Fixed(Init::Uniform { bound }))
        .map_err(|fault| Box::new(fault.help("a bound is a number or of the form `gain / sqrt(fan_in)`")))
}

fn positive(expr: &Expr) -> Result<f32, Box<Diagnostic>> {
    match constant(expr)? {
        value if value > 0.0 => Ok(value),
        value => Err(Box::new(Diagnostic::error(
            "a positive number is needed here",
            expr.span,
            format!("this is {value}"),
        ))),
    }
}

fn constant(expr: &Expr) -> Result<f32, Box<Diagnostic>> {
    let value = number::eval(expr, &|_| None)?;
    if value.abs() <= 1e6 {
        return Ok(value as f32);
    }
    Err(Box::new(Diagnostic::error("the number is too large", expr.span, "beyond a million")))
}

/// Values for a weight whose fans are known.
pub fn resolve(init: ConvInit, fan_in: usize, fan_out: usize) -> Init {
    let of = |fan| match fan {
        Fan::FanIn => fan_in as f32,
        Fan::FanOut => fan_out as f32,
    };
    let glorot = 2.0 / (fan_in + fan_out) as f32;
    match init {
        ConvInit::HeNormal { fan } => Init::Normal { std: (2.0 / of(fan)).sqrt() },
        ConvInit::HeUniform { fan } => Init::Uniform { bound: (6.0 / of(fan)).sqrt() },
        ConvInit::XavierNormal => Init::Normal { std: glorot.sqrt() },
        ConvInit::XavierUniform => Init::Uniform { bound: (3.0 * glorot).sqrt() },
        ConvInit::UniformFan { fan, gain } => Init::Uniform { bound: gain / of(fan).sqrt() },
        ConvInit::Fixed(init) => init,
    }
}
