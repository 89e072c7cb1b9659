//! Pictures that were found become a data set: checked, numbered and split.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::choose;
use super::encoded::{Encoded, Item};
use super::found::{Found, Split};
use super::place::Place;
use super::rules::Rules;
use crate::data::source::Dataset;
use crate::error::{Error, Result};

/// Classes that a message names.
const NAMED: usize = 8;

/// The data set of what was found.
///
/// # Errors
/// [`Error::Data`] where classes are missing, empty, alone, alike or not the same in both splits.
pub(super) fn gather(name: &str, found: Found, rules: &Rules) -> Result<Dataset> {
    let Found { train, test, classes, mut told } = found;
    check(&train)?;
    told.extend(skipped(&train));
    let (train, test) = match test {
        Some(test) => {
            // Where the source numbers its classes, a part may lack some.
            if classes.is_none() {
                check_same(&train, &test)?;
            }
            check(&test)?;
            told.extend(skipped(&test));
            (train, test)
        }
        None => split(train, rules, &mut told)?,
    };
    let numbering = classes.unwrap_or_else(|| numbering(&train));
    let classes: Arc<[String]> = numbering.iter().cloned().collect();
    let room = Arc::new(AtomicU64::new(rules.cache));
    let source = |part: &str, split: Split| {
        let mut by_class = split.classes;
        let items = numbering.iter().map(|class| by_class.remove(class).unwrap_or_default()).enumerate();
        let items = items.flat_map(|(label, places)| {
            places.into_iter().map(move |place| Item { label: label as u32, place })
        });
        Encoded::new(
            format!("{name}/{part}"),
            Arc::clone(&classes),
            items.collect(),
            rules,
            Arc::clone(&room),
        )
    };
    let (train, test) = (source("train", train), source("test", test));
    Ok(Dataset { told, ..Dataset::new(name, Arc::new(train), Arc::new(test))? })
}

/// Classes in the order of their numbers: that of their names, as torchvision's `ImageFolder` has it; where all are whole numbers,
/// that of these.
fn numbering(split: &Split) -> Vec<String> {
    let mut classes: Vec<String> = split.classes.keys().cloned().collect();
    let numbers: Option<Vec<u64>> = classes.iter().map(|class| class.parse().ok()).collect();
    if numbers.is_some() {
        classes.sort_by_key(|class| class.parse::<u64>().unwrap_or(u64::MAX));
    }
    classes
}

fn check(split: &Split) -> Result<()> {
    let Split { name, classes, .. } = split;
    let fault = |text: String| Err(Error::Data(text));
    let empty: Vec<_> =
        classes.iter().filter(|(_, places)| places.is_empty()).map(|(class, _)| class).collect();
    if empty.len() == classes.len() {
        let endings = resnetc_pictures::decode::EXTENSIONS.join(", ");
        return fault(format!("{name} has no pictures: none whose name ends with one of {endings}"));
    }
    if let (Some(first), more) = (empty.first(), empty.len() - usize::from(!empty.is_empty())) {
        let rest = if more > 0 { format!(", nor have {more} more classes") } else { String::new() };
        return fault(format!(
            "class {first} of {name} has no pictures{rest}: remove what is none, or fill it"
        ));
    }
    if let (1, Some(only)) = (classes.len(), classes.keys().next()) {
        return fault(format!("{name} has one class only, {only}: there is nothing to tell apart"));
    }
    let mut folded: BTreeMap<String, &str> = BTreeMap::new();
    for class in classes.keys() {
        if let Some(other) = folded.insert(class.to_lowercase(), class) {
            return fault(format!(
                "the classes {other} and {class} of {name} differ in capitals only: give them one name"
            ));
        }
    }
    Ok(())
}

/// Both splits have the same classes.
fn check_same(train: &Split, test: &Split) -> Result<()> {
    let lacks = |of: &Split, than: &Split| {
        let missing: Vec<_> = of.classes.keys().filter(|class| !than.classes.contains_key(*class)).collect();
        let shown: Vec<_> = missing.iter().take(NAMED).map(|class| class.as_str()).collect();
        let more = missing.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!missing.is_empty()).then(|| format!("{} lacks {}{more}", than.name, shown.join(", ")))
    };
    let faults: Vec<_> = [lacks(train, test), lacks(test, train)].into_iter().flatten().collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::Data(format!("the classes must be the same: {}", faults.join("; ")))),
    }
}

/// How many files were passed over.
fn skipped(split: &Split) -> Option<String> {
    let count = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let parts = [count(split.others, "that are no pictures"), count(split.hidden, "hidden")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("files of {} passed over: {}", split.name, parts.join(", ")))
}

/// Keeps a share of each class for evaluation.
fn split(mut all: Split, rules: &Rules, told: &mut Vec<String>) -> Result<(Split, Split)> {
    let mut test = Split { name: all.name.clone(), ..Split::default() };
    for (class, places) in &mut all.classes {
        let names: Vec<String> = places.iter().map(Place::short).collect();
        let mut kept = choose::kept(&all.name, class, &names, rules)?.into_iter();
        let taken = places.extract_if(.., |_| kept.next().unwrap_or(false)).collect();
        test.classes.insert(class.clone(), taken);
    }
    let count = |split: &Split| split.classes.values().map(Vec::len).sum::<usize>();
    told.push(choose::told(&all.name, rules, [count(&all), count(&test)]));
    Ok((all, test))
}
