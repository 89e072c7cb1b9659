//! What the emulated GPU computes at once, as checkpoints pin it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::engines::{Engines, Pin};
use crate::error::Result;

/// What the emulation's engines are of.
const ENGINES_OF: &str = "the emulated GPU";
/// The only one of them.
pub(super) const ENGINE: &str = "the reference's convolution";

/// Engines of works that have to be deterministic.
#[derive(Default)]
pub(super) struct Pins {
    /// What a checkpoint says.
    pinned: Engines,
    /// What was taken, by the works' texts.
    chosen: Mutex<BTreeMap<String, Option<String>>>,
}

impl Pins {
    /// With engines that a checkpoint pins.
    ///
    /// # Errors
    /// Where they are a real GPU's.
    pub fn new(pinned: Engines) -> Result<Self> {
        pinned.check(ENGINES_OF)?;
        Ok(Pins { pinned, chosen: Mutex::default() })
    }

    /// Whether a work that can be done at once, or not, is: as its pin says, where it has one.
    ///
    /// # Errors
    /// Where it is pinned to an engine that there is not.
    pub fn has(&self, name: String, can: bool) -> Result<bool> {
        let has = match self.pinned.chosen.get(&name) {
            None => can,
            Some(None) => false,
            Some(Some(engine)) if can && engine == ENGINE => true,
            Some(Some(engine)) => {
                return Err(self.pinned.gone(&name, engine, "the emulation fuses nothing here"));
            }
        };
        self.take(name, has);
        Ok(has)
    }

    /// The same of a normalisation, which a checkpoint may not know of.
    ///
    /// # Errors
    /// As above.
    pub fn has_norm(&self, name: String, can: bool) -> Result<bool> {
        let unknown = self.pinned.pin_alone(&name) == Pin::InParts;
        self.has(name, can && !unknown)
    }

    /// Whether a fused work has to be done in parts, beside the plain one at its core.
    pub fn is_in_parts(&self, fused: &str, plain: &str) -> bool {
        self.pinned.pin(fused, plain) == Pin::InParts
    }

    /// Takes down whether a work is done at once.
    pub fn take(&self, name: String, has: bool) {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        chosen.insert(name, has.then(|| ENGINE.to_owned()));
    }

    /// What was taken.
    pub fn chosen(&self) -> Engines {
        let mut engines = Engines::of(ENGINES_OF);
        engines.chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        engines
    }
}
