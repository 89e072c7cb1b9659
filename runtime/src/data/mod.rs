//! Data sets, and batches made of them.
//!
//! A [`Dataset`] lies in memory as bytes; [`transform`] makes normalised, augmented images of it and [`loader`] does so
//! on worker threads, ahead of the step that wants them.

pub mod archive;
pub mod cifar;
pub mod fetch;
pub mod loader;
pub mod rng;
pub mod shapes10;
pub mod transform;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Images of one size with their classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// `[height, width, channels]` of every image.
    pub size: [usize; 3],
    /// All pixels, `[len][height][width][channels]`.
    pub pixels: Vec<u8>,
    /// One class per image.
    pub labels: Vec<u32>,
}

impl Split {
    /// Checks that pixels and labels agree and every label is below `classes`.
    pub fn new(size: [usize; 3], pixels: Vec<u8>, labels: Vec<u32>, classes: usize) -> Result<Self> {
        let bytes = size.iter().product::<usize>();
        if bytes == 0 || pixels.len() != bytes * labels.len() {
            return Err(Error::Data(format!(
                "{} bytes of pixels are not {} images of {size:?}",
                pixels.len(),
                labels.len()
            )));
        }
        if let Some((index, label)) = labels.iter().enumerate().find(|&(_, &l)| l as usize >= classes) {
            return Err(Error::Data(format!("image {index} has class {label}, there are {classes} classes")));
        }
        Ok(Split { size, pixels, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of one image, `[height][width][channels]`.
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.size.iter().product::<usize>();
        &self.pixels[index * bytes..(index + 1) * bytes]
    }

    /// The first images, at most `len`.
    pub fn take(&self, len: usize) -> Split {
        let len = len.min(self.len());
        let bytes = self.size.iter().product::<usize>();
        Split {
            size: self.size,
            pixels: self.pixels[..len * bytes].to_vec(),
            labels: self.labels[..len].to_vec(),
        }
    }
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `cifar10`, `cifar100`, `shapes10`.
    pub name: &'static str,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// Trained on.
    pub train: Arc<Split>,
    /// Evaluated on.
    pub test: Arc<Split>,
}

/// Data sets known by name.
pub const NAMES: [&str; 3] = ["cifar10", "cifar100", "shapes10"];

/// Mean and standard deviation of each channel over a data set's training images (pixels from `0..1`): what a spec that
/// does not say its own normalises with.
pub fn statistics(name: &str) -> Option<([f32; 3], [f32; 3])> {
    match name {
        "cifar10" => Some(([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])),
        "cifar100" => Some(([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762])),
        "shapes10" => Some((shapes10::MEAN, shapes10::STD)),
        _ => None,
    }
}

/// Where data sets are looked for and kept.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The folder that a user named.
    pub data_dir: Option<PathBuf>,
    /// Where downloads go, and are found again, when nobody named a folder.
    pub cache: Option<PathBuf>,
    /// Whether a missing data set may be downloaded.
    pub download: bool,
}

impl Places {
    /// The folder that data sets are read from.
    fn folder(&self) -> Result<&Path> {
        self.data_dir.as_deref().or(self.cache.as_deref()).ok_or_else(|| {
            Error::Data("no folder to keep data sets in: give --data-dir or set RESNETC_DATA".to_string())
        })
    }
}

/// Loads a data set by name; `progress` hears how a download goes, should one be needed.
///
/// # Errors
/// [`Error::Data`] for an unknown name or damaged files, [`Error::Fetch`] where nothing was found and nothing could be
/// downloaded; the message says which file to put where.
pub fn load(name: &str, places: &Places, progress: &mut dyn FnMut(fetch::Progress)) -> Result<Dataset> {
    match name {
        "cifar10" => cifar::load(&cifar::CIFAR10, places, progress),
        "cifar100" => cifar::load(&cifar::CIFAR100, places, progress),
        "shapes10" => Ok(shapes10::generate(&shapes10::Config::default())),
        _ => Err(Error::Data(format!("no data set {name:?}: there are {}", NAMES.join(", ")))),
    }
}
