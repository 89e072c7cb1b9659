//! Bytes to the GPU and from it: they go through pinned memory, so that the caller need not wait until a copy has its turn on the
//! stream.

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream, result};

use super::fault::{broken, fault};
use crate::cuda::driver::Fetch;
use crate::error::Result;

/// Bytes up to which an upload counts as small: rates, seeds, labels.
const SMALL: usize = 4096;
/// Small uploads that may be under way: a few for each step that may be.
const SMALL_SLOTS: usize = 64;
/// Large ones: a batch that is copied and one that is filled, and a spare.
const LARGE_SLOTS: usize = 3;

/// Pinned memory for uploads that are under way, on one stream.
pub(super) struct Staging {
    stream: Arc<CudaStream>,
    small: Slots,
    large: Slots,
}

/// Pinned memory for bytes that come back; what is free again.
#[derive(Clone, Default)]
pub(super) struct Returns(Arc<Mutex<Vec<Slot>>>);

/// Bytes on their way back.
pub(super) struct Returning {
    slot: Option<Slot>,
    returns: Returns,
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

// SAFETY: the memory is the process's, and is reached through the lock around `Staging`, or by the one who fetches.
unsafe impl Send for Slot {}

impl Slots {
    fn new(count: usize) -> Self {
        Slots { slots: (0..count).map(|_| Slot::EMPTY).collect(), next: 0 }
    }

    fn next(&mut self) -> &mut Slot {
        let index = self.next;
        self.next = (index + 1) % self.slots.len();
        &mut self.slots[index]
    }
}

impl Slot {
    const EMPTY: Slot = Slot { memory: std::ptr::null_mut(), bytes: 0, copied: None };

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

    /// The stream of the copies.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
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

impl Returns {
    /// Puts a copy onto a stream.
    ///
    /// # Errors
    /// The driver's.
    pub fn fetch(&self, stream: &CudaStream, address: u64, bytes: usize) -> Result<Returning> {
        let free = self.0.lock().map_err(|_| broken())?.pop();
        let mut slot = free.unwrap_or(Slot::EMPTY);
        slot.reserve(bytes.max(SMALL))?;
        // SAFETY: the slot has that many bytes, which nobody else uses until the event.
        let pinned = unsafe { std::slice::from_raw_parts_mut(slot.memory.cast::<u8>(), bytes) };
        // SAFETY: the address is of memory that a session holds, with so many bytes; the slot stays until the event.
        unsafe { result::memcpy_dtoh_async(pinned, address, stream.cu_stream()) }
            .map_err(|e| fault("a copy from the GPU", &e))?;
        slot.copied = Some(stream.record_event(None).map_err(|e| fault("an event", &e))?);
        Ok(Returning { slot: Some(slot), returns: self.clone() })
    }
}

impl Fetch for Returning {
    fn take(mut self: Box<Self>, bytes: &mut [u8]) -> Result<()> {
        let Some(mut slot) = self.slot.take() else { return Ok(()) };
        slot.reserve(bytes.len())?;
        // SAFETY: the slot has at least as many bytes as were asked for, and their copy is done.
        let pinned = unsafe { std::slice::from_raw_parts(slot.memory.cast::<u8>(), bytes.len()) };
        bytes.copy_from_slice(pinned);
        self.returns.0.lock().map_err(|_| broken())?.push(slot);
        Ok(())
    }
}
