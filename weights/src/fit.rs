//! Which tensor of a file is which of a network: by a dialect's names, all of them or none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use resnetc_compiler::diagnostic::suggest::nearest_of;

use crate::dialects::{self, DIALECTS, Dialect, Scheme};
use crate::error::{Error, Result};
use crate::file::Listed;
use crate::misfit::{Misfit, ROWS, Row};
use crate::network::{Network, Wanted};

/// A file's tensors by name.
pub type Listing = BTreeMap<String, Listed>;

/// How a file is read for a network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'w> {
    /// The dialect's name; `None` or `auto` to find out.
    pub dialect: Option<&'w str>,
    /// Whether the last layer starts afresh, whatever the file has for it.
    pub new_head: bool,
}

/// What tensor of the file each of the network's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Names in the file by names in the network. Those of a last layer that starts afresh are missing.
    pub names: BTreeMap<String, String>,
    /// Tensors that start afresh.
    pub fresh: Vec<String>,
    /// Whose names they are.
    pub dialect: &'static str,
    /// Others whose names are the same for this network.
    pub alike: Vec<&'static str>,
    /// Tensors of whole numbers that were left out: counters of steps.
    pub whole: usize,
}

/// A dialect's names for all tensors of a network.
struct Named {
    dialect: &'static Dialect,
    /// In the order of the network's tensors.
    names: Vec<String>,
}

/// All names, or how many tensors have none and the first of these.
fn named(dialect: &'static Dialect, scheme: &Scheme, network: &Network) -> Result<Named, (usize, String)> {
    let names: Vec<_> = network.tensors.iter().map(|tensor| scheme.name(network, tensor)).collect();
    let unnamed = || names.iter().zip(&network.tensors).filter(|(name, _)| name.is_none());
    match unnamed().next() {
        Some((_, first)) => Err((unnamed().count(), first.name.clone())),
        None => Ok(Named { dialect, names: names.into_iter().flatten().collect() }),
    }
}

/// A dialect's names for the tensors of a network, in their order.
///
/// # Errors
/// Where there is no such dialect, or it has no names for some of them.
pub fn names(network: &Network, dialect: &str) -> Result<Vec<String>> {
    let all = schemes(network, Some(dialect))?;
    Ok(all.into_iter().next().map(|named| named.names).unwrap_or_default())
}

/// The schemes that have names for all tensors of a network. There is one at least.
fn schemes(network: &Network, wanted: Option<&str>) -> Result<Vec<Named>> {
    let dialects: Vec<&'static Dialect> = match wanted {
        None | Some("auto") => DIALECTS.iter().collect(),
        Some(name) => vec![
            dialects::find(name)
                .ok_or_else(|| Error::UnknownDialect { name: name.to_owned(), known: dialects::names() })?,
        ],
    };
    let each =
        dialects.iter().flat_map(|dialect| dialect.schemes.iter().map(move |scheme| (*dialect, scheme)));
    let mut nearest: Option<(usize, String, &str)> = None;
    let mut all = Vec::new();
    for (dialect, scheme) in each {
        match named(dialect, scheme, network) {
            Ok(found) => all.push(found),
            Err((count, first)) if nearest.as_ref().is_none_or(|(least, ..)| count < *least) => {
                nearest = Some((count, first, dialect.name));
            }
            Err(_) => {}
        }
    }
    match nearest {
        Some((count, tensor, dialect)) if all.is_empty() => Err(Error::Unnamed {
            dialect: dialect.to_owned(),
            network: network.name.clone(),
            tensor,
            others: count - 1,
        }),
        _ => Ok(all),
    }
}

/// Finds each of a network's tensors in a file; `path` is for messages.
///
/// # Errors
/// [`Error::Misfit`] with everything that is missing, too much or of another shape; [`Error::Classes`] where the last layer alone has
/// another size.
pub fn fit(network: &Network, listing: &Listing, wish: Wish<'_>, path: &Path) -> Result<Fit> {
    let all = schemes(network, wish.dialect)?;
    let score = |named: &Named| {
        let there = named
            .names
            .iter()
            .zip(&network.tensors)
            .filter_map(|(name, tensor)| listing.get(name).map(|found| agree(&tensor.shape, found)));
        there.fold((0, 0), |(right, there), agrees| (right + usize::from(agrees), there + 1))
    };
    let scores: Vec<_> = all.iter().map(score).collect();
    let best = scores.iter().copied().max().unwrap_or_default();
    let first = scores.iter().position(|score| *score == best).unwrap_or_default();
    let chosen = &all[first];
    let alike = all.iter().zip(&scores).filter(|(named, _)| named.names == chosen.names);
    let alike = alike.map(|(named, _)| named.dialect.name).filter(|name| *name != chosen.dialect.name);
    let alike: Vec<_> = alike.collect();
    check(network, listing, wish, chosen, path)?;
    let pairs = network.tensors.iter().zip(&chosen.names);
    let (fresh, taken): (Vec<_>, Vec<_>) = pairs.partition(|(tensor, _)| wish.new_head && tensor.last);
    Ok(Fit {
        names: taken.into_iter().map(|(tensor, name)| (tensor.name.clone(), name.clone())).collect(),
        fresh: fresh.into_iter().map(|(tensor, _)| tensor.name.clone()).collect(),
        dialect: chosen.dialect.name,
        alike,
        whole: listing.values().filter(|listed| !listed.dtype.is_float()).count(),
    })
}

/// Whether a tensor of floats has the sizes that are wanted. Ones at the end do not count: a linear layer on one pixel is a
/// convolution of one pixel.
fn agree(wanted: &[usize], found: &Listed) -> bool {
    let core = |shape: &[usize]| {
        let ones = shape.iter().rev().take_while(|&&size| size == 1).count();
        shape[..shape.len() - ones].to_vec()
    };
    found.dtype.is_float() && (wanted == found.shape || core(wanted) == core(&found.shape))
}

/// Compares everything.
fn check(network: &Network, listing: &Listing, wish: Wish<'_>, chosen: &Named, path: &Path) -> Result<()> {
    let pairs = || network.tensors.iter().zip(&chosen.names);
    let expected: BTreeSet<&str> = chosen.names.iter().map(String::as_str).collect();
    let unexpected: Vec<&str> = listing
        .iter()
        .filter(|(name, listed)| listed.dtype.is_float() && !expected.contains(name.as_str()))
        .map(|(name, _)| name.as_str())
        .collect();
    let compared = pairs().filter(|(tensor, _)| !(wish.new_head && tensor.last));
    let wrong: Vec<(&Wanted, &String)> = compared
        .filter(|(tensor, name)| !listing.get(*name).is_some_and(|found| agree(&tensor.shape, found)))
        .collect();
    if wrong.is_empty() && unexpected.is_empty() {
        return Ok(());
    }
    if let (Some(error), true) = (other_classes(network, listing, &wrong, path), unexpected.is_empty()) {
        return Err(error);
    }
    let mut rows: Vec<Row> = wrong
        .iter()
        .enumerate()
        .map(|(i, (tensor, name))| row(i, tensor, name, listing, &unexpected))
        .collect();
    rows.extend(unexpected.iter().map(|name| Row {
        ours: String::new(),
        theirs: (*name).to_owned(),
        wanted: None,
        found: Some(listing[*name].shape.clone()),
        note: "not in the network".to_owned(),
    }));
    let (of, dialect) = (network.tensors.len(), chosen.dialect.name.to_owned());
    let misfit = Misfit {
        network: network.name.clone(),
        dialect,
        fitting: of - wrong.len(),
        of,
        rows,
        advice:
            "Nothing was loaded. `resnetc weights inspect FILE` says which compiled-in network the file fits."
                .to_owned(),
    };
    Err(Error::Misfit { path: path.to_owned(), misfit: Box::new(misfit) })
}

/// What is wrong with one of the network's tensors. The nearest name is looked for where it will be shown: a file may have any
/// number of names, of any length.
fn row(index: usize, tensor: &Wanted, name: &str, listing: &Listing, unexpected: &[&str]) -> Row {
    let found = listing.get(name);
    let note = match found {
        Some(found) if !found.dtype.is_float() => format!("whole numbers ({})", found.dtype),
        Some(_) => String::new(),
        None if index >= ROWS => "missing".to_owned(),
        None => match nearest_of(name, unexpected.iter().copied().filter(|name| name.len() < 200), 1).first()
        {
            Some(near) => format!("missing; the nearest is {near}"),
            None => "missing".to_owned(),
        },
    };
    Row {
        ours: tensor.name.clone(),
        theirs: name.to_owned(),
        wanted: Some(tensor.shape.clone()),
        found: found.map(|found| found.shape.clone()),
        note,
    }
}

/// Where nothing differs but the number of classes.
fn other_classes(
    network: &Network,
    listing: &Listing,
    wrong: &[(&Wanted, &String)],
    path: &Path,
) -> Option<Error> {
    let of_classes = |(tensor, name): &(&Wanted, &String)| {
        let found = &listing.get(name.as_str()).filter(|found| tensor.last && found.dtype.is_float())?.shape;
        let (wanted, found) = (tensor.shape.split_first()?, found.split_first()?);
        let inner = |rest: &[usize]| rest.iter().product::<usize>();
        (inner(wanted.1) == inner(found.1)).then_some((*found.0, *wanted.0))
    };
    let counts: Option<BTreeSet<(usize, usize)>> = wrong.iter().map(of_classes).collect();
    let counts = counts?;
    let &(found, wanted) = counts.first().filter(|_| counts.len() == 1)?;
    Some(Error::Classes { path: path.to_owned(), network: network.name.clone(), found, wanted })
}
