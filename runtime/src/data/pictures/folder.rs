//! A folder of classes: `DIR/{train,val}/CLASS/*`, or `DIR/CLASS/*`.

use std::fs;
use std::path::{Path, PathBuf};

use resnetc_pictures::decode::EXTENSIONS;

use super::found::{Found, Split, TEST, TRAIN};
use super::place::Place;
use crate::error::{Error, Result};

/// Finds the pictures below a folder.
///
/// # Errors
/// [`Error::Data`] where it is no folder of classes, [`Error::Io`] where it cannot be listed.
pub(super) fn find(folder: &Path) -> Result<Found> {
    let listing = Listing::of(folder)?;
    let named = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| listing.folders.iter().find(|path| last(path).eq_ignore_ascii_case(name)))
    };
    let train = match named(TRAIN) {
        // A class may be called `train` as well: its folder then holds pictures and no folders.
        Some(train) if !Listing::of(train)?.folders.is_empty() || named(TEST).is_some() => train,
        _ => {
            return Ok(Found {
                train: split(folder, &listing)?,
                test: None,
                classes: None,
                told: Vec::new(),
            });
        }
    };
    let test = named(TEST);
    let left_out = |path: &&PathBuf| *path != train && Some(*path) != test;
    let left_out: Vec<_> = listing.folders.iter().filter(left_out).map(|path| last(path)).collect();
    let told = match left_out.is_empty() {
        true => Vec::new(),
        false => vec![format!("left alone in {}: {}", folder.display(), left_out.join(", "))],
    };
    let test = test.map(|test| split(test, &Listing::of(test)?)).transpose()?;
    Ok(Found { train: split(train, &Listing::of(train)?)?, test, classes: None, told })
}

/// Pictures of the folders in a folder, each of which is a class.
fn split(folder: &Path, listing: &Listing) -> Result<Split> {
    let mut split = Split {
        name: folder.display().to_string(),
        others: listing.others,
        hidden: listing.hidden,
        ..Split::default()
    };
    if let (true, Some(first)) = (listing.folders.is_empty(), listing.pictures.first()) {
        let text = format!(
            "{} lies in {} itself: pictures lie in a folder for each class, {}/CLASS/{}",
            last(first),
            folder.display(),
            folder.display(),
            last(first)
        );
        return Err(Error::Data(text));
    }
    split.others += listing.pictures.len();
    for class in &listing.folders {
        let inner = Listing::of(class)?;
        if let Some(deeper) = inner.folders.first() {
            return Err(Error::Data(format!(
                "{} is a folder within the class {}: pictures lie in DIR/CLASS/, or in DIR/train/CLASS/ and DIR/val/CLASS/",
                deeper.display(),
                last(class)
            )));
        }
        split.others += inner.others;
        split.hidden += inner.hidden;
        split.classes.insert(last(class), inner.pictures.into_iter().map(Place::File).collect());
    }
    Ok(split)
}

/// What lies in a folder, sorted. Links are followed.
#[derive(Default)]
struct Listing {
    folders: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
    others: usize,
    hidden: usize,
}

impl Listing {
    fn of(folder: &Path) -> Result<Self> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let entry = entry.map_err(Error::io(folder))?;
            let path = entry.path();
            let name = entry.file_name();
            // What macOS packs beside a folder is none of it.
            if name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX" {
                listing.hidden += 1;
                continue;
            }
            let kind = entry.file_type().map_err(Error::io(&path))?;
            let is_folder = match kind.is_symlink() {
                true => fs::metadata(&path).is_ok_and(|found| found.is_dir()),
                false => kind.is_dir(),
            };
            match (is_folder, is_picture(&path)) {
                (true, _) => listing.folders.push(path),
                (false, true) => listing.pictures.push(path),
                (false, false) => listing.others += 1,
            }
        }
        // As torchvision's `ImageFolder`, whatever order the file system has.
        listing.folders.sort_by_key(|path| last(path));
        listing.pictures.sort_by_key(|path| last(path));
        Ok(listing)
    }
}

/// Whether a file's name ends as those of pictures do.
fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
