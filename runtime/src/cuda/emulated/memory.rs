//! Memory of the emulated GPU: pieces of the process's own, by address.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

use crate::cuda::driver::Fill;
use crate::error::{Error, Result};

/// Addresses are multiples of it.
const ALIGN: usize = 256;
/// Bytes on either side of a piece that nobody may write, and that read as NaNs.
const FENCE: usize = 256;
const NOTHING: u8 = 0xff;

/// Memory between two fences.
pub(super) struct Piece {
    first: NonNull<u8>,
    bytes: usize,
    layout: Layout,
}

// SAFETY: the memory belongs to the process, not to a thread; who writes when is the device's to order, as on a GPU.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    pub fn new(bytes: usize, fill: Fill) -> Result<Self> {
        let refused = || Error::Device(format!("cuda emulated: no memory for {bytes} bytes"));
        let size = bytes.checked_add(2 * FENCE).ok_or_else(refused)?;
        let layout = Layout::from_size_align(size, ALIGN).map_err(|_| refused())?;
        // SAFETY: the size is not 0, for there are fences.
        let first = NonNull::new(unsafe { alloc(layout) }).ok_or_else(refused)?;
        let piece = Piece { first, bytes, layout };
        // SAFETY: that many bytes were allocated.
        unsafe { first.as_ptr().write_bytes(NOTHING, size) };
        if fill == Fill::Zeros {
            bytes_mut(piece.address(), bytes).fill(0);
        }
        Ok(piece)
    }

    /// The first byte behind the lower fence.
    pub fn address(&self) -> u64 {
        (self.first.as_ptr().expose_provenance() + FENCE) as u64
    }

    /// Bytes between the fences.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether both fences are as they were.
    pub fn intact(&self) -> bool {
        let below = bytes(self.first.as_ptr().addr() as u64, FENCE);
        let above = bytes(self.address() + self.bytes as u64, FENCE);
        below.iter().chain(above).all(|&byte| byte == NOTHING)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.first.as_ptr(), self.layout) };
    }
}

/// Bytes at an address.
pub(super) fn bytes<'a>(address: u64, len: usize) -> &'a [u8] {
    // SAFETY: callers name memory of pieces that their device or session holds, all of it initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address as usize), len) }
}

/// Bytes at an address, to be written.
pub(super) fn bytes_mut<'a>(address: u64, len: usize) -> &'a mut [u8] {
    // SAFETY: as in `bytes`; calls come one at a time, so nobody else looks at them.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address as usize), len) }
}
