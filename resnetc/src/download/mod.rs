//! Weights that others published, by names instead of files: fetched once, and kept.
//!
//! - `torchvision`, `torchvision:V1`: the file of torchvision for the network of that name; its name has the checksum;
//! - `timm`, `timm:TAG`: timm's, on Hugging Face's hub;
//! - `hf:owner/name`, `hf:owner/name@revision`: a repository there.

mod failure;
mod hub;
mod table;

use std::path::{Path, PathBuf};

use resnetc_runtime::data::ask::ask;
use resnetc_runtime::data::checksum::Checksum;
use resnetc_runtime::data::fetch::{Progress, Remote, fetch_once};
use resnetc_runtime::error::Error as RuntimeError;
use resnetc_runtime::files;

use failure::{failed, reason};
use hub::Repository;
pub use hub::{Hub, Token};
use table::{FILES, Published, TORCHVISION};

use crate::error::{Error, Result};
use crate::timm;

/// Where what was published is fetched from, and kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Downloads {
    /// Folder of torchvision's files, made where it is missing; `None` where no folder is known.
    pub folder: Option<PathBuf>,
    /// An address that has torchvision's files under their names; `None` for PyTorch's own.
    pub mirror: Option<String>,
    /// Hugging Face's hub.
    pub hub: Hub,
}

/// A name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Named<'n> {
    File,
    Torchvision(Option<&'n str>),
    Timm(Option<&'n str>),
    Hub(&'n str),
}

impl<'n> Named<'n> {
    fn of(name: &'n Path) -> Self {
        let Some(text) = name.to_str() else { return Named::File };
        let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
        match (word, rest) {
            ("torchvision", version) => Named::Torchvision(version),
            ("timm", tag) => Named::Timm(tag),
            ("hf", Some(repository)) => Named::Hub(repository),
            _ => Named::File,
        }
    }
}

/// Whether that names something published rather than a file. A file of such a name is written with its folder: `./timm`.
pub fn is_published(name: &Path) -> bool {
    Named::of(name) != Named::File
}

/// The file behind a name, fetched where it is not here yet: for the first of the networks that something is published for. A path is
/// itself.
///
/// # Errors
/// [`Error::NotPublished`] where nothing of that name is known for the network; [`Error::Download`] where it is not here and cannot be
/// fetched.
pub fn locate(
    networks: &[&str],
    name: &Path,
    from: &Downloads,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    match Named::of(name) {
        Named::File => Ok(name.to_owned()),
        Named::Torchvision(version) => torchvision(published(networks, version)?, from, progress),
        Named::Timm(tag) => {
            let known = |network: &&str| timm::published().find(|(name, _)| name == network);
            let (name, default) = networks
                .iter()
                .find_map(known)
                .ok_or_else(|| unknown("timm", networks, timm::published().map(|(name, _)| name)))?;
            repository(&format!("timm/{name}.{}", tag.unwrap_or(default)), from, progress)
        }
        Named::Hub(text) => repository(text, from, progress),
    }
}

fn repository(text: &str, from: &Downloads, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let wrong = || {
        Error::NotPublished(format!(
            "`{text}` is no repository: write hf:OWNER/NAME or hf:OWNER/NAME@REVISION"
        ))
    };
    from.hub.weights(&Repository::parse(text).ok_or_else(wrong)?, progress)
}

/// Those of torchvision for a network, its `DEFAULT` last.
fn of(network: &str) -> impl DoubleEndedIterator<Item = &'static Published> {
    FILES.iter().filter(move |published| published.network == network)
}

/// Of torchvision's files.
fn published(networks: &[&str], version: Option<&str>) -> Result<&'static Published> {
    let Some(last) = networks.iter().find_map(|network| of(network).next_back()) else {
        return Err(unknown("torchvision", networks, FILES.iter().map(|published| published.network)));
    };
    let network = last.network;
    // As in torchvision, too.
    let Some(version) =
        version.map(|version| version.trim_start_matches("IMAGENET1K_")).filter(|v| *v != "DEFAULT")
    else {
        return Ok(last);
    };
    of(network).find(|published| published.version == version).ok_or_else(|| {
        let known: Vec<_> =
            of(network).map(|published| format!("torchvision:{}", published.version)).collect();
        Error::NotPublished(format!(
            "torchvision has no {version} of {network}; it has {}",
            known.join(" and ")
        ))
    })
}

fn unknown<'n>(program: &str, networks: &[&str], known: impl Iterator<Item = &'n str>) -> Error {
    let mut known: Vec<_> = known.collect();
    known.dedup();
    let network = networks.first().unwrap_or(&"");
    Error::NotPublished(format!(
        "{program} has published no weights for `{network}` that are known; they are for {}. `hf:OWNER/NAME` names any repository of \
         Hugging Face's hub",
        known.join(", ")
    ))
}

fn torchvision(of: &Published, from: &Downloads, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let folder = from.folder.as_deref().ok_or_else(|| {
        Error::Download("no folder is known to keep published weights in: set XDG_CACHE_HOME or HOME".into())
    })?;
    let url = format!("{}/{}", from.mirror.as_deref().unwrap_or(TORCHVISION).trim_end_matches('/'), of.file);
    let target = folder.join(of.file);
    // It was checked when it was fetched, or its owner laid it there.
    let there = files::size(&target).map_err(RuntimeError::io(&target))?;
    if there.is_none() {
        let failed = |reason: String| failed(&url, &reason, of.file, folder);
        let asked = ask(&url, None).map_err(|refusal| failed(refusal.to_string()))?;
        let checksum = table::digits(of.file).map_or(Checksum::Unknown, Checksum::Sha256);
        let remote = Remote { url: &url, size: asked.size, checksum, token: None };
        fetch_once(&remote, &target, progress).map_err(|error| failed(reason(error)))?;
    }
    Ok(target)
}

#[cfg(test)]
mod tests;
