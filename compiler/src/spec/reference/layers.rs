//! The layers of the unit language and their arguments.

use std::fmt::Write;

use super::{notes, words};
use crate::spec::default::Default;
use crate::spec::language::layer::table::{Entry, Kind, LAYERS, MAX_WINDOW, Parameter};

/// Writes what each layer does, then what its arguments are.
pub(super) fn write(out: &mut String) {
    writeln!(out, "\n### Layers\n\n{}", notes::LAYERS.replace("MAX_WINDOW", &MAX_WINDOW.to_string()))
        .expect("a string takes all that is written");
    out.push_str("| layer | what it does |\n|---|---|\n");
    for layer in LAYERS.iter() {
        writeln!(out, "| `{}` | {} |", signature(layer), layer.about)
            .expect("a string takes all that is written");
    }
    out.push_str("\n| layer | argument | value | default | meaning |\n|---|---|---|---|---|\n");
    for layer in LAYERS.iter() {
        for argument in layer.parameters {
            let Parameter { name, kind, required, default, about } = argument;
            let default = if *required { "**needed**".into() } else { words::default(*default) };
            writeln!(out, "| `{}` | `{name}` | {} | {default} | {about} |", title(layer), words::kind(*kind))
                .expect("a string takes all that is written");
        }
    }
}

/// `convKxK`
fn title(layer: &Entry) -> String {
    format!("{}{}", layer.name, if layer.is_windowed() { "KxK" } else { "" })
}

/// `blurpool(stride=2)`; an argument whose default depends on others, and a flag that is off, is named alone.
fn signature(layer: &Entry) -> String {
    let one = |parameter: &Parameter| match parameter.default {
        Default::Value(value) if (parameter.kind, value) != (Kind::Flag, "false") => {
            format!("{}={value}", parameter.name)
        }
        Default::Value(_) | Default::Told(_) | Default::Nothing => parameter.name.to_owned(),
    };
    let parameters: Vec<String> = layer.parameters.iter().map(one).collect();
    match parameters.as_slice() {
        [] => title(layer),
        some => format!("{}({})", title(layer), some.join(", ")),
    }
}
