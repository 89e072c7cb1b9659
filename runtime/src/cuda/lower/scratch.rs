//! Memory that steps need for themselves, as it is handed out.

use crate::cuda::launch::{Base, Place};

/// Pieces begin at multiples of it, as buffers do.
const ALIGN: usize = 256;

/// Scratch memory, from its beginning on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scratch {
    /// Bytes handed out.
    pub bytes: usize,
}

impl Scratch {
    /// The next piece.
    pub fn take(&mut self, bytes: usize) -> Place {
        let offset = self.bytes;
        self.bytes += bytes.next_multiple_of(ALIGN);
        Place { base: Base::Scratch, offset }
    }
}
