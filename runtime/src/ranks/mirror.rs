//! A rank that is alone, and whose others all do what it does: what a plan of several ranks is timed with where there are none.

use super::transport::Transport;
use crate::error::Result;

/// The first of so many ranks. What it sends comes back at once, as if from each of the others.
struct Mirror {
    size: usize,
}

/// The ways of a rank to so many, itself among them, that are not there.
pub fn mirror(size: usize) -> Box<dyn Transport> {
    Box::new(Mirror { size })
}

impl Transport for Mirror {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        self.size
    }

    fn describe(&self) -> String {
        "nothing: the others are not there".to_owned()
    }

    fn all_to_all(&mut self, sent: &[u8], received: &mut [u8]) -> Result<()> {
        let chunk = sent.len() / self.size;
        self.all_gather(&sent[..chunk], received)
    }

    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()> {
        all.chunks_exact_mut(own.len().max(1)).for_each(|theirs| theirs.copy_from_slice(own));
        Ok(())
    }

    fn broadcast(&mut self, _bytes: &mut [u8]) -> Result<()> {
        Ok(())
    }
}
