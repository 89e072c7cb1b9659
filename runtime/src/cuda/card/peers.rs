//! The other ranks' GPUs: what goes on beside this one's calls, on a stream of its own.
//!
//! That stream waits for an event of the calls' stream before it sends anything, and the calls' stream for one of its own before it uses what
//! has come. All of a communicator's calls are on the one stream, in the order of the plan, which is the same on all ranks.
//!
//! A recorded step is a graph between each two of them, and they are in none. NCCL could be captured, from 2.9 and CUDA 11.3 on, but what
//! is captured has to be so on all ranks in the same call, and replayed by all of them together ("Using NCCL with CUDA Graphs" of its user guide).
//! Ranks do not: of the last batch of an epoch one may have as many images as ever, and replay its graph, where another one has fewer, and
//! records its plan for these. Nor may a graph be replayed whose communicator was aborted; here each step asks it anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream};

use super::fault::{broken, fault};
use crate::cuda::collectives::Collective;
use crate::cuda::communicator::{Communicator, Stream, add, gather, scatter, spread};
use crate::cuda::launch::Launch;
use crate::error::{Error, Result};

/// The ways to them.
pub(super) struct Peers {
    pub ways: Arc<dyn Communicator>,
    stream: Arc<CudaStream>,
    /// Behind a bucket's sum, until it is waited for.
    summed: Mutex<BTreeMap<usize, CudaEvent>>,
}

/// Puts a launch onto a stream.
pub(super) type Launcher<'a> = &'a dyn Fn(&Launch<u64>, &CudaStream) -> Result<()>;

impl Peers {
    /// With a stream that is nobody else's.
    pub fn new(ways: Arc<dyn Communicator>, stream: Arc<CudaStream>) -> Self {
        Peers { ways, stream, summed: Mutex::default() }
    }

    /// The stream as NCCL takes it.
    pub fn handle(&self) -> Stream {
        Stream(self.stream.cu_stream().expose_provenance() as u64)
    }

    /// Waits for all that has been begun.
    ///
    /// # Errors
    /// Where something of it has failed.
    pub fn synchronize(&self) -> Result<()> {
        self.stream.synchronize().map_err(|e| fault("what other ranks send", &e))
    }

    /// Carries a collective out, behind the calls that `calls` has and before those that it gets later, if these wait for it.
    ///
    /// # Errors
    /// Where it cannot be begun, or a rank has gone.
    pub fn carry_out(
        &self,
        collective: &Collective<u64>,
        calls: &CudaStream,
        launch: Launcher<'_>,
    ) -> Result<()> {
        let (rank, ranks, stream) = (self.ways.rank(), self.ways.size(), self.handle());
        match collective {
            Collective::AllReduce(sum) => {
                follow(&self.stream, calls)?;
                self.ways.exchange(&scatter(sum, rank, ranks), stream)?;
                add(sum, rank, ranks)?.map_or(Ok(()), |added| launch(&added, &self.stream))?;
                self.ways.exchange(&spread(sum, rank, ranks), stream)?;
                let summed = self.stream.record_event(None).map_err(|e| fault("an event", &e))?;
                self.summed.lock().map_err(|_| broken())?.insert(sum.bucket, summed);
                Ok(())
            }
            Collective::AllReduceWait(bucket) => {
                let summed = self.summed.lock().map_err(|_| broken())?.remove(bucket);
                let missing = || Error::Device(format!("cuda: the sum of bucket {bucket} was not begun"));
                calls.wait(&summed.ok_or_else(missing)?).map_err(|e| fault("an event", &e))
            }
            Collective::AllGather(vectors) => {
                follow(&self.stream, calls)?;
                self.ways.exchange(&gather(vectors, ranks), stream)?;
                follow(calls, &self.stream)
            }
        }
    }

    /// Waits for what a function waits for, which others may have to do with; tells it where one of them has gone meanwhile.
    ///
    /// # Errors
    /// The function's, and what ended the training: what it waited for may then be anything.
    pub fn waiting<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        self.ways.waits(true);
        let waited = wait();
        self.ways.waits(false);
        self.ways.check()?;
        waited
    }
}

/// Lets a stream wait for what another one has.
fn follow(stream: &CudaStream, other: &CudaStream) -> Result<()> {
    stream.join(other).map_err(|e| fault("an event", &e))
}
