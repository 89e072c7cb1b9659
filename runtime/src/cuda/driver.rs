//! The seam between what a plan comes to and what carries it out: a GPU, or its emulation.

use std::any::Any;
use std::time::{Duration, Instant};

use super::launch::{Call, NormWays, Prepared, Task, Ways};
use crate::engines::Engines;
use crate::error::Result;

/// How to find out which step a failure was of that is told late. A context that has failed runs nothing any more, so it has to be
/// asked for before.
pub const NAMES_THE_STEP: &str =
    "with `RESNETC_CHECK_STEPS=1` each step is waited for, and the one that fails is named";

/// Memory of the driver, given back when it is dropped.
pub struct Memory {
    /// Its first byte; a multiple of 256.
    pub address: u64,
    /// Its size.
    pub bytes: usize,
    /// Whatever gives it back.
    pub owner: Box<dyn Any + Send + Sync>,
}

/// What new memory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Zeros.
    Zeros,
    /// Anything: whoever reads it has written it before.
    Anything,
}

/// Calls that were recorded to be repeated at once: a CUDA graph, or several between what ranks do together.
pub trait Recording: Send {
    /// Hands the calls over once more, in order behind what was handed over before.
    ///
    /// # Errors
    /// The driver's.
    fn replay(&self) -> Result<()>;
}

/// Bytes on their way from the driver's memory.
pub trait Fetch: Send {
    /// Waits until they are there; whatever was handed over before them is done then.
    ///
    /// # Errors
    /// Where something of that has failed.
    fn take(self: Box<Self>, bytes: &mut [u8]) -> Result<()>;
}

/// What a plan is lowered for: who knows the kernels, and makes convolutions ready. It need not be able to run them.
pub trait Preparer {
    /// Whether a launch fits its kernel: name and kinds of arguments.
    ///
    /// # Errors
    /// Says what does not fit.
    fn check(&self, function: &str, signature: &str) -> Result<()>;

    /// Makes a convolution ready; nothing where the driver has no way to compute all of its epilogue with it.
    ///
    /// # Errors
    /// Where it has no way to compute the plain convolution either.
    fn prepare(&self, task: &Task) -> Result<Option<Prepared>>;

    /// Makes the fused convolution of two ways ready, where the driver has it and its way is the faster one; nothing otherwise.
    ///
    /// # Errors
    /// Where the device has failed, or has to take an engine that it has not.
    fn prepare_fused(&self, ways: &Ways) -> Result<Option<Prepared>>;

    /// Makes a normalisation ready to be computed at once, where the driver has a way to and that is faster than its parts; nothing
    /// otherwise.
    ///
    /// # Errors
    /// Where the device has failed, or has to take an engine that it has not.
    fn prepare_norm(&self, ways: &NormWays) -> Result<Option<Prepared>>;
}

/// Carries out calls in the order in which they are handed over; they may still be under way when a function returns.
pub trait Driver: Preparer + Send + Sync {
    /// What it is, for reports: `cuda:0 (NVIDIA H100 80GB HBM3, cuDNN 9.13)`.
    fn describe(&self) -> String;

    /// Which GPU it is: calls of drivers with the same number may name each other's memory.
    fn ordinal(&self) -> usize;

    /// Ranks of a training that it has ways to, itself among them: 1 where it is alone. Calls may ask for collectives of as many.
    fn ranks(&self) -> usize;

    /// How it computes a prepared convolution or normalisation: its algorithm, and which one of those.
    fn engine(&self, id: usize) -> (&'static str, String);

    /// The engines of prepared convolutions and normalisations that have to be deterministic.
    ///
    /// # Errors
    /// Where the device has failed.
    fn engines(&self) -> Result<Engines>;

    /// Rows and columns of matrices that are large to it: a product of two keeps all of it busy.
    fn large(&self) -> usize;

    /// Memory.
    ///
    /// # Errors
    /// Where there is not that much.
    fn allocate(&self, bytes: usize, fill: Fill) -> Result<Memory>;

    /// Bytes of memory that nobody has.
    ///
    /// # Errors
    /// Where the device does not tell.
    fn free(&self) -> Result<usize>;

    /// Writes bytes, in order with calls; they are the caller's again on return.
    ///
    /// # Errors
    /// Where the device has failed.
    fn upload(&self, address: u64, bytes: &[u8]) -> Result<()>;

    /// Writes bytes beside the calls that are under way, none of which reads or writes them; what is handed over later finds them
    /// written. They are the caller's again on return.
    ///
    /// # Errors
    /// Where the device has failed.
    fn feed(&self, address: u64, bytes: &[u8]) -> Result<()>;

    /// Starts to read bytes, in order with calls, and does not wait for them.
    ///
    /// # Errors
    /// Where the device has failed.
    fn fetch(&self, address: u64, bytes: usize) -> Result<Box<dyn Fetch>>;

    /// Reads bytes, after all calls.
    ///
    /// # Errors
    /// Where the device has failed, in one of the calls before too.
    fn download(&self, address: u64, bytes: &mut [u8]) -> Result<()>;

    /// Carries out calls.
    ///
    /// # Errors
    /// Where one cannot be handed over.
    fn play(&self, calls: &[Call<u64>]) -> Result<()>;

    /// Records calls, without carrying them out.
    ///
    /// # Errors
    /// Where one cannot be recorded.
    fn record(&self, calls: &[Call<u64>]) -> Result<Box<dyn Recording>>;

    /// Waits for all that was handed over.
    ///
    /// # Errors
    /// Where something of it has failed.
    fn wait(&self) -> Result<()>;

    /// Carries out calls, waits for them, and tells the time that they took. Profilers show them by the name.
    ///
    /// # Errors
    /// As [`Driver::play`] and [`Driver::wait`].
    fn time(&self, _name: &str, calls: &[Call<u64>]) -> Result<Duration> {
        self.wait()?;
        let start = Instant::now();
        self.play(calls)?;
        self.wait()?;
        Ok(start.elapsed())
    }
}
