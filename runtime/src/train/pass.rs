//! The steps of an epoch that are under way.

use std::time::{Duration, Instant};

use super::team::Share;
use super::trainer::Pace;
use crate::error::Error;
use crate::metrics::Sums;

/// What is left of an epoch, while it lasts.
pub(super) struct Pass {
    pub start: Instant,
    /// How long the steps waited for images.
    pub waited: Duration,
    /// Images whose steps have been collected.
    pub images: usize,
    /// Batches that were submitted and not yet collected, with their images.
    pub submitted: Vec<(usize, usize)>,
    /// What batches came to here, of which other ranks have not been told.
    pub untold: Vec<(usize, Share)>,
    /// Sums over the batches of the update that has begun.
    pub update: Sums,
}

impl Pass {
    pub fn begin() -> Self {
        Pass {
            start: Instant::now(),
            waited: Duration::ZERO,
            images: 0,
            submitted: Vec::new(),
            untold: Vec::new(),
            update: Sums::default(),
        }
    }

    /// A device's error with the batches that were under way, in one of which it was.
    pub fn failed_in(&self, error: Error, epoch: usize) -> Error {
        let (Some((first, _)), Some((last, _))) = (self.submitted.first(), self.submitted.last()) else {
            return error;
        };
        let (first, last, epoch) = (first + 1, last + 1, epoch + 1);
        let batches = if first == last {
            format!("batch {last}")
        } else {
            format!("one of the batches {first} to {last}")
        };
        match error {
            Error::Device(text) => Error::Device(format!("{text}\nIt was in {batches} of epoch {epoch}.")),
            error => error,
        }
    }

    pub fn pace(&self) -> Pace {
        let (seconds, waited) = (self.start.elapsed().as_secs_f64(), self.waited.as_secs_f64());
        Pace { seconds, waited, images: self.images }
    }
}
