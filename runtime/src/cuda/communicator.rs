//! How bytes come from rank to rank's device, and what the collectives are made of.
//!
//! A bucket's sum is a scatter and a gather (Thakur, Rabenseifner and Gropp 2005): each rank gets one chunk of all ranks, sums it by a kernel of
//! ours in the order of the ranks, and sends the sum to all, as [`crate::ranks::Collective`] does on CPUs. What moves the bytes adds nothing up, so
//! neither its version nor the machine's wiring decides any bit, and bf16 is summed in `f32`.

use super::collectives::{AllGather, AllReduce, chunk};
use super::launch::{Arg, Launch, count};
use crate::error::Result;

/// A driver's stream, by its own handle: 0 where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream(pub u64);

/// Bytes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub address: u64,
    /// How many.
    pub bytes: usize,
}

/// What a rank sends to another one, or itself, and gets from it at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The other one's number.
    pub peer: usize,
    /// What it is sent.
    pub sent: Span,
    /// Where what it sends goes: as many bytes as it sends.
    pub received: Span,
}

/// The ways between the devices of a training's ranks. All ranks call the same functions in the same order.
pub trait Communicator: Send + Sync {
    /// This rank's number, from 0.
    fn rank(&self) -> usize;

    /// Number of ranks.
    fn size(&self) -> usize;

    /// What moves the bytes, for reports: `NCCL 2.27.3`.
    fn describe(&self) -> String;

    /// Exchanges pieces, behind what the stream has and before what it gets later; it may still be under way on return.
    ///
    /// # Errors
    /// Where it cannot be begun, or a rank has gone.
    fn exchange(&self, pieces: &[Piece], stream: Stream) -> Result<()>;

    /// Whether all ranks are there and what was exchanged has arrived so far.
    ///
    /// # Errors
    /// What ended the training.
    fn check(&self) -> Result<()>;

    /// Tells that this rank begins or ends to wait for its device, and by that for the others.
    fn waits(&self, waits: bool);
}

/// The first half of a sum: each rank gets its own chunk of all.
pub fn scatter(sum: &AllReduce<u64>, rank: usize, ranks: usize) -> Vec<Piece> {
    let (chunk, own) = (chunk(sum.len, ranks) * sum.element.size(), chunk_of(sum, rank, ranks).bytes);
    let piece = |peer: usize| {
        let received = Span { address: sum.received + (peer * chunk) as u64, bytes: own };
        Piece { peer, sent: chunk_of(sum, peer, ranks), received }
    };
    (0..ranks).map(piece).collect()
}

/// Between the halves: the sum of the own chunk, where it has elements.
///
/// # Errors
/// Where there are too many to be counted in 32 bits.
pub fn add(sum: &AllReduce<u64>, rank: usize, ranks: usize) -> Result<Option<Launch<u64>>> {
    let own = chunk_of(sum, rank, ranks);
    if own.bytes == 0 {
        return Ok(None);
    }
    let len = own.bytes / sum.element.size();
    let mut args = vec![Arg::At(sum.received), Arg::At(own.address)];
    for size in [ranks, chunk(sum.len, ranks), len] {
        args.push(Arg::Int(count(size)?));
    }
    Launch::flat(format!("sum_ranks_{}", sum.element), len, args).map(Some)
}

/// The second half: all get the sums of each rank's chunk.
pub fn spread(sum: &AllReduce<u64>, rank: usize, ranks: usize) -> Vec<Piece> {
    let sent = chunk_of(sum, rank, ranks);
    let others = (0..ranks).filter(|&peer| peer != rank);
    others.map(|peer| Piece { peer, sent, received: chunk_of(sum, peer, ranks) }).collect()
}

/// All ranks' vectors.
pub fn gather(gather: &AllGather<u64>, ranks: usize) -> Vec<Piece> {
    let AllGather { own, all, bytes } = *gather;
    let sent = Span { address: own, bytes };
    let received = |peer: usize| Span { address: all + (peer * bytes) as u64, bytes };
    (0..ranks).map(|peer| Piece { peer, sent, received: received(peer) }).collect()
}

/// A rank's chunk of a bucket.
fn chunk_of(sum: &AllReduce<u64>, rank: usize, ranks: usize) -> Span {
    let chunk = chunk(sum.len, ranks);
    let [first, end] = [rank, rank + 1].map(|rank| (rank * chunk).min(sum.len) * sum.element.size());
    Span { address: sum.at + first as u64, bytes: end - first }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::ir::types::DType;

    use super::*;

    #[test]
    fn what_one_rank_sends_the_other_expects_and_chunks_are_the_bucket() {
        for (len, ranks) in [(0, 2), (1, 3), (8, 2), (100, 3), (4096, 4), (17, 16)] {
            for element in [DType::F32, DType::Bf16] {
                let at = |rank: usize| 1_000_000 * (rank as u64 + 1);
                let sum =
                    |rank| AllReduce { bucket: 0, at: at(rank), len, element, received: at(rank) + 500_000 };
                let bytes: usize = (0..ranks).map(|rank| chunk_of(&sum(rank), rank, ranks).bytes).sum();
                assert_eq!(bytes, len * element.size());
                for half in [scatter, spread] {
                    for rank in 0..ranks {
                        for piece in half(&sum(rank), rank, ranks) {
                            let theirs = half(&sum(piece.peer), piece.peer, ranks);
                            let back = theirs.iter().find(|theirs| theirs.peer == rank).expect("both know");
                            assert_eq!(piece.sent.bytes, back.received.bytes);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_rank_without_a_chunk_sums_nothing() {
        let sum = AllReduce { bucket: 0, at: 0, len: 8, element: DType::F32, received: 4096 };
        assert!(add(&sum, 1, 2).expect("few elements").is_none());
        let own = add(&sum, 0, 2).expect("few elements").expect("the first rank has all");
        assert_eq!(own.args, [Arg::At(4096), Arg::At(0), Arg::Int(2), Arg::Int(8), Arg::Int(8)]);
    }
}
