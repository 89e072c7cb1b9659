//! Pictures in archives: folders in a tar, or WebDataset's shards. Plain or packed by gzip; several by a range of numbers in braces.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_pictures::decode::EXTENSIONS;

use super::found::{Found, Parts, TEST, TRAIN};
use super::place::Place;
use super::unpack::plain;
use crate::error::{Error, Result};

/// Most bytes of a label in a shard.
const LABEL: u64 = 4096;
/// Most archives that a range may name.
const SHARDS: usize = 100_000;

/// Finds the pictures of all archives that a path with ranges names. A picture's class is what the file `KEY.cls` beside `KEY.jpg`
/// says or, where there is none, the folder that it lies in; its part is the folder around that, if it is called so.
///
/// # Errors
/// [`Error::Data`] where an archive is damaged, or a picture has no class.
pub(super) fn find(path: &Path) -> Result<Found> {
    let name = path.display().to_string();
    let mut parts = Parts::default();
    for shard in shards(&name)? {
        let shard = PathBuf::from(shard);
        let (archive, _) = plain(&shard).map_err(Error::io(&shard))?;
        add(&mut parts, &shard, archive)?;
    }
    parts.found(&name)
}

/// Whether a path names archives.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(".tar")
}

/// `a-{00..02}.tar` as `a-00.tar`, `a-01.tar`, `a-02.tar`; numbers are filled with zeros as the first is.
fn shards(pattern: &str) -> Result<Vec<String>> {
    let Some((before, inner, behind)) = braces(pattern) else { return Ok(vec![pattern.to_owned()]) };
    let wrong =
        |why: &str| Error::Data(format!("{pattern}: {{{inner}}} {why}: a range is written {{0000..0009}}"));
    let (first, last) = inner.split_once("..").ok_or_else(|| wrong("is no range"))?;
    let number = |text: &str| text.parse::<usize>().map_err(|_| wrong("is no range of numbers"));
    let (from, to) = (number(first)?, number(last)?);
    if from > to || to - from >= SHARDS {
        return Err(wrong("falls, or names too many"));
    }
    let mut all = Vec::new();
    for at in from..=to {
        all.extend(shards(&format!("{before}{at:0width$}{behind}", width = first.len()))?);
    }
    Ok(all)
}

fn braces(pattern: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = pattern.split_once('{')?;
    let (inner, behind) = rest.split_once('}')?;
    Some((before, inner, behind))
}

/// A picture and its label, which may come in either order.
#[derive(Default)]
struct Sample {
    picture: Option<(String, u64, u64)>,
    label: Option<String>,
}

fn add(parts: &mut Parts, path: &Path, file: File) -> Result<()> {
    let damaged = |error: io::Error| Error::Data(format!("{}: a damaged archive: {error}", path.display()));
    let mut samples: BTreeMap<String, Sample> = BTreeMap::new();
    let mut archive = tar::Archive::new(BufReader::new(file.try_clone().map_err(Error::io(path))?));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let inner = name.rsplit('/').next().unwrap_or_default();
        if !entry.header().entry_type().is_file() || inner.starts_with('.') {
            continue;
        }
        // As WebDataset: what is before the first point of the name is the key.
        let key = name.len() - inner.len() + inner.find('.').unwrap_or(inner.len());
        let ending = inner.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let (start, size) = (entry.raw_file_position(), entry.size());
        let sample = || name[..key].to_owned();
        if EXTENSIONS.contains(&ending.as_str()) {
            samples.entry(sample()).or_default().picture = Some((name.clone(), start, size));
        } else if ending == "cls" {
            let mut text = Vec::new();
            io::copy(&mut entry.by_ref().take(LABEL), &mut text).map_err(damaged)?;
            samples.entry(sample()).or_default().label =
                Some(String::from_utf8_lossy(&text).trim().to_owned());
        }
    }
    let file = Arc::new(file);
    for Sample { picture, label } in samples.into_values() {
        let Some((name, start, size)) = picture else { continue };
        let folders: Vec<&str> = name.split('/').rev().skip(1).filter(|folder| *folder != ".").collect();
        let (class, outer) = match (&label, &folders[..]) {
            (Some(label), folders) => (label.as_str(), folders.first()),
            (None, [class, outer @ ..]) => (*class, outer.first()),
            (None, []) => {
                let text = "has no class: it lies in no folder, and there is no file of its name that ends with .cls";
                return Err(Error::Data(format!("{name} in {} {text}", path.display())));
            }
        };
        let known = |outer: &&&str| TRAIN.iter().chain(TEST).any(|name| outer.eq_ignore_ascii_case(name));
        let part = outer.filter(known).map_or("", |outer| *outer).to_owned();
        let place =
            Place::Part { archive: path.into(), file: Arc::clone(&file), name: name.clone(), start, size };
        parts.add(&part, class, place);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::shards;

    #[test]
    fn ranges_name_archives() {
        let names = |pattern: &str| shards(pattern).map_err(|error| error.to_string());
        assert_eq!(names("a.tar"), Ok(vec!["a.tar".to_owned()]));
        assert_eq!(
            names("a-{08..10}.tar"),
            Ok(["a-08.tar", "a-09.tar", "a-10.tar"].map(String::from).to_vec())
        );
        assert_eq!(names("{0..1}/{2..3}.tar").expect("two ranges").len(), 4);
        for wrong in ["{a..b}.tar", "{3..1}.tar", "{7}.tar", "{0..9999999}.tar"] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }
}
