//! Uploads: bytes go through pinned memory, so that the caller need not wait until a copy has its turn on the stream.

use std::ffi::c_void;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream, result};

use super::fault::fault;
use crate::error::Result;

/// Bytes up to which an upload counts as small: rates, seeds, labels.
const SMALL: usize = 4096;
/// Small uploads that may be under way: a few for each step that may be.
const SMALL_SLOTS: usize = 64;
/// Large ones: a batch that is copied and one that is filled, and a spare.
const LARGE_SLOTS: usize = 3;

/// Pinned memory for uploads that are under way.
pub(super) struct Staging {
    stream: Arc<CudaStream>,
    small: Slots,
    large: Slots,
}

struct Slots {
    slots: Vec<Slot>,
    next: usize,
}

/// Pinned memory, and when it is free again.
struct Slot {
    memory: *mut c_void,
    bytes: usize,
    copied: Option<CudaEvent>,
}

// SAFETY: the memory is the process's, and is reached through the lock around `Staging` alone.
unsafe impl Send for Slot {}

impl Slots {
    fn new(count: usize) -> Self {
        let slots = (0..count).map(|_| Slot { memory: std::ptr::null_mut(), bytes: 0, copied: None });
        Slots { slots: slots.collect(), next: 0 }
    }

    fn next(&mut self) -> &mut Slot {
        let index = self.next;
        self.next = (index + 1) % self.slots.len();
        &mut self.slots[index]
    }
}

impl Slot {
    /// Waits until the slot is free, and makes it large enough.
    fn reserve(&mut self, bytes: usize) -> Result<()> {
        if let Some(copied) = self.copied.take() {
            copied.synchronize().map_err(|e| fault("an upload", &e))?;
        }
        if self.bytes < bytes {
            self.free();
            // SAFETY: flags of 0 ask for plain pinned memory; the context is bound to this thread.
            self.memory = unsafe { result::malloc_host(bytes, 0) }
                .map_err(|e| fault(&format!("{bytes} bytes of pinned memory"), &e))?;
            self.bytes = bytes;
        }
        Ok(())
    }

    fn free(&mut self) {
        if !self.memory.is_null() {
            // SAFETY: it came from `malloc_host`, and no copy reads it any more. What cannot be freed is lost.
            let _ = unsafe { result::free_host(self.memory) };
            (self.memory, self.bytes) = (std::ptr::null_mut(), 0);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(copied) = self.copied.take() {
            // A context that has failed copies nothing any more.
            let _ = copied.synchronize();
        }
        self.free();
    }
}

impl Staging {
    pub fn new(stream: Arc<CudaStream>) -> Self {
        Staging { stream, small: Slots::new(SMALL_SLOTS), large: Slots::new(LARGE_SLOTS) }
    }

    /// Puts a copy onto the stream; the bytes are the caller's again on return.
    ///
    /// # Errors
    /// The driver's.
    pub fn upload(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let small = bytes.len() <= SMALL;
        let slot = if small { self.small.next() } else { self.large.next() };
        slot.reserve(if small { SMALL } else { bytes.len() })?;
        // SAFETY: the slot has that many bytes, which nobody else uses: its last copy is done.
        let pinned = unsafe { std::slice::from_raw_parts_mut(slot.memory.cast::<u8>(), bytes.len()) };
        pinned.copy_from_slice(bytes);
        // SAFETY: the address is of memory that a device or session holds, with so many bytes; the slot stays until the event.
        unsafe { result::memcpy_htod_async(address, pinned, self.stream.cu_stream()) }
            .map_err(|e| fault("a copy to the GPU", &e))?;
        slot.copied = Some(self.stream.record_event(None).map_err(|e| fault("an event", &e))?);
        Ok(())
    }
}
