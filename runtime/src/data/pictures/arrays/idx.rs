//! MNIST's files and those of its kind (<http://yann.lecun.com/exdb/mnist/>): big-endian sizes, then bytes. Fashion-MNIST, KMNIST and
//! EMNIST name theirs alike.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_weights::Content;

use super::super::rules::Rules;
use super::super::unpack::plain;
use super::block::Block;
use super::dataset::{Labelled, dataset};
use crate::data::source::Dataset;
use crate::error::{Error, Result};

/// How files of pictures and of labels end, in either spelling.
const PICTURES: [&str; 2] = ["images-idx3-ubyte", "images.idx3-ubyte"];
/// The part that is trained on, and those that are evaluated on: what stands before.
const TRAIN: &str = "train-";
const TEST: [&str; 2] = ["t10k-", "test-"];

/// Files of one set: of pictures, by part.
#[derive(Default)]
struct Set {
    train: Option<PathBuf>,
    test: Option<PathBuf>,
}

/// The data set of a folder's files `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, packed by gzip or not; of torchvision's
/// folder, in its `raw`. `None` where there are none.
///
/// # Errors
/// [`Error::Data`] that names the file that is damaged or missing; where the folder has several sets.
pub(in super::super) fn folder(name: &str, path: &Path, rules: &Rules) -> Result<Option<Dataset>> {
    let mut sets = sets(path)?;
    if sets.is_empty() {
        sets = self::sets(&path.join("raw"))?;
    }
    let names: Vec<&str> = sets.keys().map(String::as_str).collect();
    if names.len() > 1 {
        return Err(Error::Data(format!(
            "{} has several sets ({}): put the files of one of them into a folder of their own",
            path.display(),
            names.join(", ")
        )));
    }
    let Some(Set { train, test }) = sets.into_values().next() else { return Ok(None) };
    let Some(train) = train else {
        let text = "has files to evaluate on and none to train on: train-images-idx3-ubyte is missing";
        return Err(Error::Data(format!("{} {text}", path.display())));
    };
    let test = test.as_deref().map(labelled).transpose()?;
    dataset(name, labelled(&train)?, test, rules).map(Some)
}

/// The sets in a folder by what their names begin with. A file that is there unpacked, too, is taken so.
fn sets(folder: &Path) -> Result<BTreeMap<String, Set>> {
    let mut sets = BTreeMap::<String, Set>::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(sets) };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(Error::io(folder))?.path());
    }
    // `x` before `x.gz`
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bare = name.strip_suffix(".gz").unwrap_or(&name);
        let Some(before) = PICTURES.iter().find_map(|end| bare.strip_suffix(end)) else { continue };
        if let Some(set) = before.strip_suffix(TRAIN) {
            sets.entry(set.to_owned()).or_default().train.get_or_insert(path);
        } else if let Some(set) = TEST.iter().find_map(|end| before.strip_suffix(end)) {
            sets.entry(set.to_owned()).or_default().test.get_or_insert(path);
        }
    }
    Ok(sets)
}

/// Pictures with their labels, which lie beside them.
fn labelled(pictures: &Path) -> Result<Labelled> {
    let name = pictures.file_name().unwrap_or_default().to_string_lossy();
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    let beside = bare.replace("images", "labels").replace("idx3", "idx1");
    let plain = pictures.with_file_name(&beside);
    let packed = pictures.with_file_name(format!("{beside}.gz"));
    let labels = if !plain.exists() && packed.exists() { packed } else { plain };
    let (count, size, start, content) = read::<3>(pictures)?;
    let block =
        Block::new(&content, start, count, size, false).ok_or_else(|| damaged(pictures, "no pixels"))?;
    let (number, _, start, content) = read::<1>(&labels)?;
    let numbers = content[start..start + number].iter().map(|&label| i64::from(label)).collect();
    Labelled::new(pictures.display().to_string(), block, numbers)
}

/// Number of items, `[height, width, 1]` of each (1 by 1 of labels), and where they begin in the content. A file has `DIMENSIONS` sizes.
fn read<const DIMENSIONS: usize>(path: &Path) -> Result<(usize, [usize; 3], usize, Arc<Content>)> {
    let (file, size) = plain(path).map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => damaged(path, "it is missing"),
        _ => Error::io(path)(error),
    })?;
    let content = Content::map(&file, size).map_err(Error::io(path))?;
    let start = 4 + 4 * DIMENSIONS;
    let Some((magic, rest)) = content.get(..start).and_then(|head| head.split_first_chunk::<4>()) else {
        return Err(damaged(path, "it ends within its first sizes"));
    };
    if *magic != [0, 0, 8, DIMENSIONS as u8] {
        let text = format!(
            "it begins with {magic:02x?}, bytes with {DIMENSIONS} sizes with [00, 00, 08, {DIMENSIONS:02x}]"
        );
        return Err(damaged(path, &text));
    }
    let sizes: Vec<usize> = rest
        .chunks_exact(4)
        .map(|size| size.iter().fold(0, |all, &byte| all << 8 | usize::from(byte)))
        .collect();
    let [height, width] = [1, 2].map(|at| sizes.get(at).copied().unwrap_or(1));
    let wanted = height.checked_mul(width).and_then(|picture| picture.checked_mul(sizes[0]));
    if wanted != Some(content.len() - start) {
        let text = format!(
            "it says sizes of {sizes:?} and has {} bytes: cut off, or damaged",
            content.len() - start
        );
        return Err(damaged(path, &text));
    }
    Ok((sizes[0], [height, width, 1], start, Arc::new(content)))
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::Data(format!("{}: {reason}", path.display()))
}
