//! Which engine computes each convolution, or normalisation, of a training on a GPU. Engines differ in the last bits, and which of them is the fastest a
//! measurement says, that may say something else the next time. So a checkpoint of a deterministic training pins its engines: a
//! training that goes on from it takes the same ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What may be done where pinned engines are not to be had.
const WAY_OUT: &str = "`--new-engines` goes on with others, whose last bits differ, and pins those; \
                       `--set train.deterministic=false` goes on with whatever is the fastest, and pins nothing";

/// Engines by the work that each does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Engines {
    /// Whose they are, as another GPU or library has others by the same names: `sm_90, 132 processors, ..., cuDNN 9.13.0`.
    pub of: String,
    /// The engine of each work, `engine 4 (tile_m=128)`; `None` of a work that had none, and was done in several parts.
    pub chosen: BTreeMap<String, Option<String>>,
}

/// What a checkpoint says of a fused work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// Nothing: as is the fastest.
    Free,
    /// It is done by an engine of its own.
    Fused,
    /// It is done in parts.
    InParts,
}

impl Engines {
    /// None yet, of such a GPU and library.
    pub fn of(of: impl Into<String>) -> Self {
        Engines { of: of.into(), chosen: BTreeMap::new() }
    }

    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Adds those of other works.
    pub fn extend(&mut self, others: Engines) {
        if self.of.is_empty() {
            self.of = others.of;
        }
        for (work, engine) in others.chosen {
            self.chosen.entry(work).or_insert(engine);
        }
    }

    /// Refuses engines that are of something else than `now`.
    ///
    /// # Errors
    /// [`Error::Engines`].
    pub fn check(&self, now: &str) -> Result<()> {
        if self.is_empty() || self.of == now {
            return Ok(());
        }
        Err(Error::Engines(format!(
            "the checkpoint pins works to engines of {}; this is {now}, whose engines are others. {WAY_OUT}",
            self.of
        )))
    }

    /// How a work that is fused from several is to be done, beside the one that it has at its core.
    pub fn pin(&self, fused: &str, plain: &str) -> Pin {
        match (self.chosen.get(fused), self.chosen.get(plain)) {
            (Some(Some(_)), _) => Pin::Fused,
            (Some(None), _) => Pin::InParts,
            // Whoever pinned the one did not know of the other.
            (None, Some(_)) => Pin::InParts,
            (None, None) => Pin::Free,
        }
    }

    /// The same of a work that has no such core. Where others are pinned and this one is not, whoever pinned them did not know of it.
    pub fn pin_alone(&self, fused: &str) -> Pin {
        match self.chosen.get(fused) {
            Some(Some(_)) => Pin::Fused,
            Some(None) => Pin::InParts,
            None if self.is_empty() => Pin::Free,
            None => Pin::InParts,
        }
    }

    /// Says that a pinned engine is not to be had.
    pub fn gone(&self, work: &str, engine: &str, why: &str) -> Error {
        Error::Engines(format!(
            "the checkpoint pins `{work}` to {engine} of {}, which cannot be had now: {why}. {WAY_OUT}",
            self.of
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engines(of: &str, chosen: &[(&str, Option<&str>)]) -> Engines {
        let chosen = chosen.iter().map(|(work, engine)| ((*work).to_owned(), engine.map(str::to_owned)));
        Engines { of: of.to_owned(), chosen: chosen.collect() }
    }

    #[test]
    fn what_was_chosen_first_stays() {
        let mut all = Engines::default();
        all.extend(engines("sm_90", &[("a", Some("engine 1")), ("b", None)]));
        all.extend(engines("sm_90", &[("a", Some("engine 2")), ("b", Some("engine 3")), ("c", None)]));
        assert_eq!(all, engines("sm_90", &[("a", Some("engine 1")), ("b", None), ("c", None)]));
        let text = serde_json::to_string(&all).expect("plain data");
        assert_eq!(serde_json::from_str::<Engines>(&text).expect("its own"), all);
    }

    #[test]
    fn a_fused_work_that_nobody_knew_of_stays_in_parts() {
        let pinned = engines("sm_90", &[("conv", Some("1")), ("a + stats", Some("2")), ("b + stats", None)]);
        assert_eq!(pinned.pin("a + stats", "a"), Pin::Fused);
        assert_eq!(pinned.pin("b + stats", "conv"), Pin::InParts);
        assert_eq!(pinned.pin("conv + stats", "conv"), Pin::InParts);
        assert_eq!(pinned.pin("c + stats", "c"), Pin::Free);
        assert_eq!(pinned.pin_alone("a + stats"), Pin::Fused);
        assert_eq!(["b + stats", "norm"].map(|work| pinned.pin_alone(work)), [Pin::InParts; 2]);
        assert_eq!(Engines::default().pin_alone("norm"), Pin::Free);
    }

    #[test]
    fn engines_of_something_else_are_refused_with_the_ways_out() {
        let pinned = engines("sm_90, cuDNN 9.13.0", &[("a", Some("engine 1"))]);
        pinned.check("sm_90, cuDNN 9.13.0").expect("the same");
        Engines::of("sm_80").check("sm_90").expect("nothing is pinned");
        let error = pinned.check("sm_90, cuDNN 9.14.0").expect_err("another version").to_string();
        for word in ["engines of sm_90, cuDNN 9.13.0", "this is sm_90, cuDNN 9.14.0", "`--new-engines`"] {
            assert!(error.contains(word), "{error}");
        }
        let gone = pinned.gone("a", "engine 1", "2 others are offered").to_string();
        assert!(gone.contains("pins `a` to engine 1") && gone.contains("2 others are offered"), "{gone}");
    }
}
