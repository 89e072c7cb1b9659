//! `resnetc weights diff`: how the weights of two files differ, tensor by tensor.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use resnetc::resnetc_weights::{TensorFile, sizes};
use resnetc::weights::{fitting, open, weights_of};
use serde::Serialize;

use crate::args::WeightsDiffArgs;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::table::{Align, Table};

/// A file's tensors of floats: names, sizes, elements.
type Tensors<'f> = BTreeMap<String, (Vec<usize>, Cow<'f, [f32]>)>;

/// How a tensor differs.
#[derive(Debug, Serialize)]
struct Difference {
    tensor: String,
    /// Sizes in the first file; `None` where it has none of that name.
    a: Option<Vec<usize>>,
    /// In the second.
    b: Option<Vec<usize>>,
    /// Elements that are not equal.
    elements: usize,
    /// The largest distance of two of them.
    largest: f32,
}

#[derive(Debug, Serialize)]
struct Json {
    a: String,
    b: String,
    equal: bool,
    compared: usize,
    differences: Vec<Difference>,
}

/// Runs the command.
pub fn diff(args: &WeightsDiffArgs, output: &Output) -> Result {
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let (a, b) = alike(&a, &b)?;
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let compared = names.len();
    let differences: Vec<Difference> =
        names.into_iter().filter_map(|name| difference(name, a.get(name), b.get(name))).collect();
    let equal = differences.is_empty();
    let [first, second] = [&args.a, &args.b].map(|path| path.display().to_string());
    let json = Json { a: first, b: second, equal, compared, differences };
    if args.json {
        output.result(&serde_json::to_string(&json).expect("only string keys"))?;
    } else if equal {
        output.note(&format!("all {compared} tensors are equal"))?;
    } else {
        output.result(&text(&json, output.page.columns))?;
    }
    if equal { Ok(()) } else { Err(Failure::Found) }
}

/// The tensors of both files by the same names: their own, or those of a network that both fit.
fn alike<'f>(a: &'f TensorFile, b: &'f TensorFile) -> Result<(Tensors<'f>, Tensors<'f>)> {
    let (own_a, own_b) = (tensors(a), tensors(b));
    if own_a.keys().any(|name| own_b.contains_key(name)) {
        return Ok((own_a, own_b));
    }
    let (fits_a, fits_b) = (fitting(a)?, fitting(b)?);
    let both = fits_a.into_iter().find_map(|(spec, fit_a)| {
        let (_, fit_b) = fits_b.iter().find(|(other, _)| other.name() == spec.name())?;
        Some((renamed(own_a.clone(), &fit_a.names), renamed(own_b.clone(), &fit_b.names)))
    });
    Ok(both.unwrap_or((own_a, own_b)))
}

fn tensors(file: &TensorFile) -> Tensors<'_> {
    let listed = weights_of(file).into_iter();
    listed.filter_map(|(name, listed)| file.floats(&name).map(|data| (name, (listed.shape, data)))).collect()
}

/// By the network's names.
fn renamed<'f>(mut tensors: Tensors<'f>, names: &BTreeMap<String, String>) -> Tensors<'f> {
    let own = names.iter().filter_map(|(own, theirs)| Some((own.clone(), tensors.remove(theirs)?)));
    own.collect()
}

fn difference(
    name: &str,
    a: Option<&(Vec<usize>, Cow<'_, [f32]>)>,
    b: Option<&(Vec<usize>, Cow<'_, [f32]>)>,
) -> Option<Difference> {
    let (mut elements, mut largest) = (0, 0f32);
    if let (Some((shape_a, a)), Some((shape_b, b))) = (a, b)
        && a.len() == b.len()
    {
        let unequal = |(a, b): &(&f32, &f32)| a != b && !(a.is_nan() && b.is_nan());
        for (a, b) in a.iter().zip(b.iter()).filter(unequal) {
            elements += 1;
            largest = largest.max((a - b).abs());
        }
        let ones = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
        if elements == 0 && ones(shape_a) == ones(shape_b) {
            return None;
        }
    }
    let shape = |tensor: Option<&(Vec<usize>, _)>| tensor.map(|(shape, _)| shape.clone());
    Some(Difference { tensor: name.to_owned(), a: shape(a), b: shape(b), elements, largest })
}

fn text(json: &Json, columns: Option<usize>) -> String {
    let head = [
        ("tensor", Align::Left),
        (json.a.as_str(), Align::Right),
        (json.b.as_str(), Align::Right),
        ("unequal", Align::Right),
        ("largest difference", Align::Right),
    ];
    let mut table = Table::new(&head);
    let shape = |shape: &Option<Vec<usize>>| shape.as_ref().map_or("-".to_owned(), |shape| sizes(shape));
    for difference in &json.differences {
        let mut cells = vec![difference.tensor.clone(), shape(&difference.a), shape(&difference.b)];
        if difference.elements > 0 {
            cells.extend([difference.elements.to_string(), format!("{:.3e}", difference.largest)]);
        }
        table.row(cells);
    }
    let largest = json.differences.iter().map(|difference| difference.largest).fold(0f32, f32::max);
    let count = json.differences.len();
    table.within(columns)
        + &format!("{count} of {} tensors differ, by {largest:.3e} at most\n", json.compared)
}
