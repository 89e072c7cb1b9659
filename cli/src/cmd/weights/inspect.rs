//! `resnetc weights inspect`: what is in a file, and which compiled-in network it fits.

use std::fmt::Write;

use resnetc::Spec;
use resnetc::resnetc_weights::fit::Fit;
use resnetc::resnetc_weights::{Listed, TensorFile, sizes};
use resnetc::weights::{fitting, open};
use serde::Serialize;

use crate::args::InspectArgs;
use crate::failure::Result;
use crate::output::Output;
use crate::report::table::{Align, Table};
use crate::report::units::grouped;

/// Names shown of a list.
const SHOWN: usize = 6;

/// What is found, for programs.
#[derive(Debug, Serialize)]
struct Json<'a> {
    file: String,
    format: String,
    unwrapped: &'a [String],
    left_alone: &'a [String],
    fits: Vec<Fits>,
    tensors: Vec<Tensor>,
}

/// A compiled-in network that the file fits.
#[derive(Debug, Serialize)]
struct Fits {
    network: String,
    dialect: &'static str,
    alike: Vec<&'static str>,
    fresh: Vec<String>,
}

/// A tensor, with figures of its elements where they are floats.
#[derive(Debug, Serialize)]
struct Tensor {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    figures: Option<Figures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    sum: f64,
    least: f32,
    most: f32,
    not_finite: usize,
}

impl Figures {
    fn of(data: &[f32]) -> Self {
        let finite = || data.iter().copied().filter(|x| x.is_finite());
        Figures {
            sum: finite().map(f64::from).sum(),
            least: finite().fold(f32::INFINITY, f32::min),
            most: finite().fold(f32::NEG_INFINITY, f32::max),
            not_finite: data.len() - finite().count(),
        }
    }
}

/// Runs the command.
pub fn inspect(args: &InspectArgs, output: &Output) -> Result {
    let file = open(&args.file)?;
    let fits = fitting(&file)?.into_iter().map(|(spec, fit)| fits(&spec, fit)).collect();
    let tensor = |(name, Listed { dtype, shape }): (String, Listed)| {
        let figures = file.floats(&name).map(|data| Figures::of(&data));
        Tensor { name, dtype: dtype.to_string(), shape, figures }
    };
    let json = Json {
        file: args.file.display().to_string(),
        format: file.format().to_string(),
        unwrapped: file.unwrapped(),
        left_alone: file.left_alone(),
        fits,
        tensors: file.list().into_iter().map(tensor).collect(),
    };
    output.result(&match args.json {
        true => serde_json::to_string(&json).expect("only string keys"),
        false => text(&json, &file, output.page.columns),
    })
}

fn fits(spec: &Spec, fit: Fit) -> Fits {
    let Fit { dialect, alike, fresh, .. } = fit;
    Fits { network: spec.name().to_owned(), dialect, alike, fresh }
}

fn text(json: &Json<'_>, file: &TensorFile, columns: Option<usize>) -> String {
    let mut text = String::new();
    let mut line =
        |name: &str, value: &str| writeln!(text, "{name:<12}{value}").expect("writing to a string");
    line("file", &json.file);
    line("format", &json.format);
    if !json.unwrapped.is_empty() {
        line("taken from", &json.unwrapped.join(", "));
    }
    if !json.left_alone.is_empty() {
        line("left alone", &few(json.left_alone.iter().map(String::as_str)));
    }
    let floats = json.tensors.iter().filter(|tensor| tensor.figures.is_some());
    let numbers: usize = floats.clone().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    let whole = json.tensors.len() - floats.count();
    let others = if whole > 0 { format!("; {whole} of whole numbers") } else { String::new() };
    let count = json.tensors.len() - whole;
    line("tensors", &format!("{count} of {} numbers{others}", grouped(numbers as u64)));
    for (key, value) in file.metadata().iter().filter(|(_, value)| value.len() < 100) {
        line("metadata", &format!("{key}: {value}"));
    }
    line("fits", &told(&json.fits));
    text + "\n" + &table(json).within(columns)
}

/// Which networks it fits, and by whose names.
fn told(fits: &[Fits]) -> String {
    let Some(first) = fits.first() else {
        return "none of the compiled-in networks; `--weights` with your own spec tells what is missing"
            .to_owned();
    };
    let names = few(fits.iter().map(|fits| fits.network.as_str()));
    let same = first.alike.iter().map(|name| format!(", {name}")).collect::<String>();
    let head = if first.fresh.is_empty() { "" } else { ", but for the last layer (`--head new`)" };
    format!("{names}, by the names of {}{same}{head}", first.dialect)
}

fn few<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let all: Vec<&str> = names.collect();
    let more = if all.len() > SHOWN { format!(" and {} more", all.len() - SHOWN) } else { String::new() };
    all[..all.len().min(SHOWN)].join(", ") + &more
}

fn table(json: &Json<'_>) -> Table {
    let columns = [
        ("tensor", Align::Left),
        ("type", Align::Left),
        ("shape", Align::Right),
        ("sum", Align::Right),
        ("least", Align::Right),
        ("most", Align::Right),
        ("", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for tensor in &json.tensors {
        let mut cells = vec![tensor.name.clone(), tensor.dtype.clone(), sizes(&tensor.shape)];
        if let Some(Figures { sum, least, most, not_finite }) = &tensor.figures {
            let [sum, least, most] = [*sum, f64::from(*least), f64::from(*most)].map(|x| format!("{x:.4}"));
            cells.extend([sum, least, most]);
            if *not_finite > 0 {
                cells.push(format!("{not_finite} not finite"));
            }
        }
        table.row(cells);
    }
    table
}
