//! What a plan's calls ask of the other ranks' devices, as data.

use resnetc_compiler::ir::types::DType;

/// A call that all ranks make, in the same order; `A` is a place or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collective<A> {
    /// Begins the sum of a bucket, beside the calls that follow.
    AllReduce(AllReduce<A>),
    /// The calls that follow find the bucket of that number summed.
    AllReduceWait(usize),
    /// All ranks' vectors, for the calls that follow.
    AllGather(AllGather<A>),
}

/// A bucket's sum over ranks, in place and element by element: formed in `f32`, in the order of the ranks, so that the same number of ranks gives
/// the same bits. Until it is waited for, no call touches the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllReduce<A> {
    /// Its number, by which it is waited for.
    pub bucket: usize,
    /// Its elements, each rank's times its share already.
    pub at: A,
    /// How many.
    pub len: usize,
    /// What they are: `f32` or bf16.
    pub element: DType,
    /// [`received_bytes`] for what the others send. Buckets share it: their sums are formed one after the other.
    pub received: A,
}

/// Each rank's bytes, in the order of the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllGather<A> {
    /// The rank's own.
    pub own: A,
    /// Where those of all go, as many times as many.
    pub all: A,
    /// Of one rank.
    pub bytes: usize,
}

/// Chunks begin at multiples of so many elements, but for the last ones: whole packs of 16 bytes.
const CHUNK: usize = 8;

/// Elements of a bucket that a rank sums for all, at most; the last ranks' chunks may be shorter, or empty.
pub fn chunk(len: usize, ranks: usize) -> usize {
    len.div_ceil(ranks).next_multiple_of(CHUNK)
}

/// Bytes of memory for what all ranks send of one rank's chunk.
pub fn received_bytes(len: usize, element: DType, ranks: usize) -> usize {
    chunk(len, ranks) * ranks * element.size()
}

impl<A: Copy> Collective<A> {
    /// The call over other places.
    pub fn map<B>(&self, place: impl Fn(A) -> B) -> Collective<B> {
        match *self {
            Collective::AllReduce(AllReduce { bucket, at, len, element, received }) => {
                let (at, received) = (place(at), place(received));
                Collective::AllReduce(AllReduce { bucket, at, len, element, received })
            }
            Collective::AllReduceWait(bucket) => Collective::AllReduceWait(bucket),
            Collective::AllGather(AllGather { own, all, bytes }) => {
                Collective::AllGather(AllGather { own: place(own), all: place(all), bytes })
            }
        }
    }
}
