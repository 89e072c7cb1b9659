//! How bytes come from rank to rank.

use crate::error::Result;

/// The ways between ranks. All ranks call the same functions in the same order, with chunks of the same length; each call returns
/// when this rank has what it gets. One thread of a rank has it at a time.
///
/// # Errors
/// Each function's: where a rank has gone, or does not answer; it names the rank where that is known. Nothing more can be asked
/// of it then.
pub trait Transport: Send {
    /// This rank's number, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// What moves the bytes, for reports: `MPI (Open MPI 4.1.4)`.
    fn describe(&self) -> String;

    /// Rank `r` gets chunk `r` of `sent`, and chunk `r` of `received` is what rank `r` sent to this one. Both are [`Transport::size`] chunks
    /// of one length.
    fn all_to_all(&mut self, sent: &[u8], received: &mut [u8]) -> Result<()>;

    /// All ranks get each rank's `own`, one behind the other: `all` is as long as all of them.
    fn all_gather(&mut self, own: &[u8], all: &mut [u8]) -> Result<()>;

    /// All ranks get what rank 0 has in `bytes`, of the same length on all.
    fn broadcast(&mut self, bytes: &mut [u8]) -> Result<()>;
}
