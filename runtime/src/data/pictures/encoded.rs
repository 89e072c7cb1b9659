//! A source of files, each read and decoded when it is asked for.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use resnetc_pictures::{Limits, Picture as Decoded, decode};
use sha2::{Digest, Sha256};

use super::place::Place;
use super::rules::Rules;
use crate::data::source::{Picture, Source};
use crate::error::{Error, Result};
use crate::hex::hex;

/// Pictures whose sizes are looked at to tell a source from another.
const LOOKED_AT: usize = 512;

/// One picture.
#[derive(Debug)]
pub(super) struct Item {
    pub label: u32,
    pub place: Place,
}

/// Files of pictures with their classes.
///
/// A picture that cannot be read gives way to the next one of its class that can, in the order of their numbers: which one that is
/// follows from the files alone, not from who asks when.
pub(super) struct Encoded {
    name: String,
    classes: Arc<[String]>,
    items: Vec<Item>,
    /// Pictures of each class, ascending.
    by_class: Vec<Vec<u32>>,
    limits: Limits,
    /// Whether a picture that cannot be read is an error.
    fail: bool,
    decoded: Vec<OnceLock<Decoded>>,
    /// Bytes that may still be kept, of all sources that share them.
    room: Arc<AtomicU64>,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Those that were told.
    known: BTreeSet<usize>,
    /// Lines that nobody has taken yet.
    lines: Vec<String>,
}

impl Encoded {
    pub fn new(
        name: String,
        classes: Arc<[String]>,
        items: Vec<Item>,
        rules: &Rules,
        room: Arc<AtomicU64>,
    ) -> Self {
        let mut by_class = vec![Vec::new(); classes.len()];
        for (index, item) in items.iter().enumerate() {
            by_class[item.label as usize].push(index as u32);
        }
        let decoded = items.iter().map(|_| OnceLock::new()).collect();
        let Rules { limits, reading, .. } = *rules;
        let (fail, faults) = (reading.fail, Mutex::default());
        Encoded { name, classes, items, by_class, limits, fail, decoded, room, faults }
    }

    /// This very picture.
    fn read(&self, index: usize) -> Result<Picture<'_>> {
        if let Some(kept) = self.decoded[index].get() {
            return Ok(Picture::new(size(kept), kept.pixels()));
        }
        let place = &self.items[index].place;
        let bytes = place.read(self.limits.bytes).map_err(resnetc_pictures::Error::Unreadable);
        let decoded = bytes.and_then(|bytes| decode(&bytes, &self.limits));
        let decoded = decoded.map_err(|error| Error::Data(format!("{}: {error}", place.name())))?;
        if self.reserve(decoded.pixels().len() as u64) {
            let kept = self.decoded[index].get_or_init(|| decoded);
            return Ok(Picture::new(size(kept), kept.pixels()));
        }
        Ok(Picture::new(size(&decoded), decoded.into_pixels()))
    }

    /// Takes room for so many bytes, where there is as much.
    fn reserve(&self, bytes: u64) -> bool {
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes)).is_ok()
    }

    /// The pictures of the same class behind that one, then those before it.
    fn others(&self, index: usize) -> impl Iterator<Item = usize> {
        let class = &self.by_class[self.items[index].label as usize];
        let at = class.partition_point(|&other| (other as usize) < index);
        let (before, behind) = class.split_at(at);
        behind[1..].iter().chain(before).map(|&other| other as usize)
    }

    fn note(&self, index: usize, error: &Error) {
        let mut faults = self.faults();
        if faults.known.insert(index) {
            faults.lines.push(error.to_string());
        }
    }

    fn is_known(&self, index: usize) -> bool {
        self.faults().known.contains(&index)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(picture: &Decoded) -> [usize; 3] {
    [picture.height(), picture.width(), Decoded::CHANNELS]
}

impl Source for Encoded {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.items.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.items[index].label
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        if self.fail {
            return self.read(index);
        }
        for candidate in std::iter::once(index).chain(self.others(index)).filter(|&one| !self.is_known(one)) {
            match self.read(candidate) {
                Ok(picture) => return Ok(picture),
                Err(error) => self.note(candidate, &error),
            }
        }
        let class = &self.classes[self.items[index].label as usize];
        Err(Error::Data(format!("no picture of class {class} of {} can be read", self.name)))
    }

    fn original(&self, index: usize) -> Result<Picture<'_>> {
        self.read(index)
    }

    fn called(&self, index: usize) -> String {
        self.items[index].place.name()
    }

    fn identifier(&self, index: usize) -> String {
        self.called(index)
    }

    fn any_size(&self) -> bool {
        true
    }

    fn fingerprint(&self) -> Option<String> {
        let mut hash = Sha256::new();
        for item in &self.items {
            hash.update(item.place.short());
            hash.update([0]);
        }
        let taken = self.items.len().min(LOOKED_AT);
        for index in (0..taken).map(|i| i * self.items.len() / taken) {
            hash.update(self.items[index].place.size().unwrap_or(0).to_le_bytes());
        }
        Some(hex(hash.finalize()))
    }

    fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.faults().lines)
    }
}
