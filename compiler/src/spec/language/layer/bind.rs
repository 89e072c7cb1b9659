//! Calls to entries of the table: the layer's name and its arguments have to fit.

use super::table::{Entry, Form, LAYERS, MAX_WINDOW, Parameter, examples};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::suggest::{listed, nearest};
use crate::spec::foreign;
use crate::spec::language::tree::{Arg, Call, Expr, bare_name};

/// A layer's call whose name and arguments fit together.
#[derive(Debug)]
pub struct Bound<'c> {
    pub(super) call: &'c Call,
    pub(super) entry: &'static Entry,
    pub(super) window: [usize; 2],
    args: Vec<(&'static Parameter, Option<&'c Expr>)>,
}

/// Whether a name is one of a layer.
pub fn is_layer(name: &str) -> bool {
    find(name).is_some()
}

/// Whether a layer of that name needs no arguments.
pub fn is_complete(name: &str) -> bool {
    find(name).is_some_and(|(entry, _)| entry.parameters.iter().all(|parameter| !parameter.required))
}

fn find(name: &str) -> Option<(&'static Entry, [usize; 2])> {
    LAYERS.iter().find_map(|entry| {
        let rest = name.strip_prefix(entry.name)?;
        let window = if entry.is_windowed() { window(rest)? } else { rest.is_empty().then_some([1, 1])? };
        Some((entry, window))
    })
}

/// `3x3` to `[3, 3]`.
fn window(text: &str) -> Option<[usize; 2]> {
    let (h, w) = text.split_once('x')?;
    let size = |t: &str| t.parse::<usize>().ok().filter(|s| (1..=MAX_WINDOW).contains(s));
    Some([size(h)?, size(w)?])
}

/// Assigns a call's arguments to the layer's parameters.
///
/// # Errors
/// All arguments that do not fit, and all that are missing.
pub fn bind(call: &Call) -> Result<Bound<'_>, Vec<Diagnostic>> {
    let name = &call.name;
    let Some((entry, window)) = find(&name.text) else {
        let fault = Diagnostic::error(format!("unknown layer `{}`", name.text), name.span, "not a layer");
        return Err(vec![fault.help(meant(&name.text))]);
    };
    let mut bound = Bound { call, entry, window, args: Vec::new() };
    let faults = bound.take(entry.parameters);
    if faults.is_empty() { Ok(bound) } else { Err(faults) }
}

/// What to write instead of a name that is none of a layer.
fn meant(name: &str) -> String {
    let small = name.to_lowercase().replace('_', "");
    if let Some(layer) = [name.to_lowercase(), small].into_iter().find(|name| is_layer(name)) {
        return format!("it is called `{layer}` here");
    }
    let known = examples();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let near = nearest(name, &known).map(|near| format!("did you mean `{near}`?"));
    foreign::layer(name).or(near).unwrap_or_else(|| listed(&known))
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
                    .find(|p| p.is_flag() && Some(p.name) == bare)
                    .or_else(|| params.iter().find(|p| !p.is_flag() && !self.has(p.name))),
            };
            let Some(param) = param else {
                faults.push(unfit(layer, arg, params));
                continue;
            };
            if self.has(param.name) {
                let fault = format!("`{}` of `{layer}` is given twice", param.name);
                faults
                    .push(Diagnostic::error(fault, arg.value.span, "again here").help("keep one of the two"));
                continue;
            }
            let by_name_alone = arg.name.is_none() && param.is_flag();
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

    /// Which layer it is.
    pub(crate) fn form(&self) -> Form {
        self.entry.form
    }

    /// Whether an argument is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.args.iter().any(|(p, _)| p.name == name)
    }

    /// Whether it is `bn` without arguments, which stands for the network's normalisation.
    pub fn is_plain_norm(&self) -> bool {
        self.entry.form == Form::BatchNorm && self.args.is_empty()
    }

    /// The expressions among the arguments.
    pub fn values(&self) -> impl Iterator<Item = &'c Expr> + '_ {
        self.args.iter().filter_map(|(_, value)| *value)
    }

    /// The expression that a parameter has; none where it is left out, or a flag given by its name alone.
    pub(super) fn get(&self, name: &str) -> Option<&'c Expr> {
        self.args.iter().find(|(p, _)| p.name == name).and_then(|&(_, value)| value)
    }
}

/// An argument that the layer does not take.
fn unfit(layer: &str, arg: &Arg, params: &'static [Parameter]) -> Diagnostic {
    let names: Vec<&str> = params.iter().map(|p| p.name).collect();
    let Some(name) = &arg.name else {
        let fault = match params.is_empty() {
            true => format!("`{layer}` takes no arguments"),
            false => format!("too many arguments for `{layer}`"),
        };
        return Diagnostic::error(fault, arg.value.span, "one too many").help(wanted(layer, params));
    };
    let fault = format!("`{layer}` has no argument `{}`", name.text);
    let near = nearest(&name.text, &names).map(|near| format!("did you mean `{near}`?"));
    let help = foreign::argument(&name.text, &names).or(near);
    Diagnostic::error(fault, name.span, "not known").help(match help {
        Some(help) => help,
        None => wanted(layer, params),
    })
}

/// How a layer is called.
fn wanted(layer: &str, params: &[Parameter]) -> String {
    if params.is_empty() { format!("write `{layer}`") } else { format!("write {}", usage(layer, params)) }
}

/// `` `conv3x3(out, stride, ...)` ``
fn usage(layer: &str, params: &[Parameter]) -> String {
    let names: Vec<String> =
        params.iter().map(|p| if p.required { p.name.into() } else { format!("[{}]", p.name) }).collect();
    format!("`{layer}({})`", names.join(", "))
}
