//! The other ranks' emulated GPUs: bytes go by what connects the processes, or threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::memory::{bytes, bytes_mut};
use crate::cuda::collectives::AllReduce;
use crate::cuda::communicator::{Communicator, Piece, Stream};
use crate::error::{Error, Result};
use crate::ranks::Collective;

/// What a bucket reads as until its sum is waited for: NaNs.
const NOTHING: u8 = 0xff;

/// Moves bytes of emulated GPUs, which are the process's own.
pub(super) struct ByHost(Arc<Collective>);

impl ByHost {
    pub fn new(ranks: Arc<Collective>) -> Self {
        ByHost(ranks)
    }
}

impl Communicator for ByHost {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn describe(&self) -> String {
        self.0.describe().to_owned()
    }

    /// All ranks get what each sends to anybody, and take their own: simple, not fast. Pieces lie as far apart as the longest of a call is,
    /// which is the first rank's chunk on all of them.
    fn exchange(&self, pieces: &[Piece], _: Stream) -> Result<()> {
        let most = pieces.iter().map(|piece| piece.sent.bytes.max(piece.received.bytes)).max().unwrap_or(0);
        let mut own = vec![0; most * self.size()];
        for Piece { peer, sent, .. } in pieces {
            own[peer * most..][..sent.bytes].copy_from_slice(bytes(sent.address, sent.bytes));
        }
        let all = self.0.gather(&own)?;
        for Piece { peer, received, .. } in pieces {
            let theirs = &all[peer * own.len() + self.rank() * most..][..received.bytes];
            bytes_mut(received.address, received.bytes).copy_from_slice(theirs);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn waits(&self, waits: bool) {
        self.0.pulse().waits(waits);
    }
}

/// Sums that are formed and not waited for. On a GPU nobody may count on them yet, so their places hold NaNs meanwhile.
#[derive(Default)]
pub(super) struct Pending(BTreeMap<usize, (u64, Vec<u8>)>);

impl Pending {
    /// Keeps a sum until it is waited for.
    pub fn keep(&mut self, sum: &AllReduce<u64>) {
        let bucket = bytes_mut(sum.at, sum.len * sum.element.size());
        self.0.insert(sum.bucket, (sum.at, bucket.to_vec()));
        bucket.fill(NOTHING);
    }

    /// Puts a sum where it belongs.
    ///
    /// # Errors
    /// Where it was not begun, or something has written to its place meanwhile.
    pub fn give(&mut self, bucket: usize) -> Result<()> {
        let wrong = |what: &str| Error::Device(format!("cuda emulated: bucket {bucket} {what}"));
        let (at, sum) = self.0.remove(&bucket).ok_or_else(|| wrong("is waited for, and was not begun"))?;
        let place = bytes_mut(at, sum.len());
        if place.iter().any(|&byte| byte != NOTHING) {
            return Err(wrong("was written while it was summed"));
        }
        place.copy_from_slice(&sum);
        Ok(())
    }
}
