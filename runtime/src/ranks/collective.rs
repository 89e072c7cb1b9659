//! What ranks do together: sums of gradients beside the work of the rank, and small messages that are waited for.
//!
//! A thread of its own has the [`Transport`] and does one job after the other, in the order in which they were handed over, which is the same
//! on all ranks. A sum is a scatter and a gather (Thakur, Rabenseifner and Gropp 2005): each rank sums one chunk of the bucket, in the order of the
//! ranks and in `f32`, and sends what comes of it to all. So every rank gets the same bits, in every run.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use resnetc_compiler::ir::ranks::part_start;
use resnetc_compiler::ir::types::DType;

use super::elements::{add, decode, encode};
use super::fault::Fault;
use super::pulse::Pulse;
use super::transport::Transport;
use crate::error::{Error, Result};

/// The other ranks of a training, for all who have to tell them something. What fails once fails from then on.
pub struct Collective {
    rank: usize,
    size: usize,
    describe: String,
    pulse: Arc<Pulse>,
    fault: Arc<Fault>,
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Collective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rank {} of {} by {}", self.rank, self.size, self.describe)
    }
}

/// What the rank's threads and the one that has the transport share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a job, or the end.
    work: Condvar,
    /// A job is done, or one has failed.
    done: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs that were handed over, and those that are done: they are done in order.
    begun: u64,
    done: u64,
    /// Of each bucket, its job's number and its bytes, which are kept from step to step.
    buckets: Vec<(u64, Vec<u8>)>,
    /// Of each span that is gathered, its job's number and its bytes until they are taken.
    spans: Vec<(u64, Vec<u8>)>,
    /// Bytes of spans that were taken: as many are under way at once, so many are kept.
    spare: Vec<Vec<u8>>,
    /// What came of the last message.
    received: Vec<u8>,
    failed: Option<String>,
    closing: bool,
}

enum Job {
    /// Sums a bucket, whose bytes are as many chunks as there are ranks.
    Sum {
        bucket: usize,
        bytes: Vec<u8>,
        wire: DType,
    },
    /// Gathers a span, of whose bytes, as many chunks as there are ranks, this rank has its own.
    Span {
        bucket: usize,
        bytes: Vec<u8>,
    },
    Gather(Vec<u8>),
    Broadcast(Vec<u8>),
}

/// Where what came of a job goes.
enum Place {
    Bucket(usize),
    Span(usize),
    Received,
}

impl Collective {
    /// Takes the ways to the other ranks; `pulse` hears when this one waits.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn new(transport: Box<dyn Transport>, pulse: Arc<Pulse>) -> Result<Self> {
        let (rank, size, describe) = (transport.rank(), transport.size(), transport.describe());
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let worker = std::thread::Builder::new()
            .name("ranks".to_owned())
            .spawn(move || Worker { transport, shared: theirs, received: Vec::new(), sums: Vec::new() }.run())
            .map_err(|error| Error::Ranks(format!("no thread for what other ranks send: {error}")))?;
        Ok(Collective { rank, size, describe, pulse, fault: Arc::default(), shared, worker: Some(worker) })
    }

    /// With what a [`super::Watch`] finds, so that [`Collective::check`] tells it to those who wait for something else than this.
    #[must_use]
    pub fn watched(mut self, fault: &Arc<Fault>) -> Self {
        self.fault = Arc::clone(fault);
        self
    }

    /// This rank's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What moves the bytes, for reports.
    pub fn describe(&self) -> &str {
        &self.describe
    }

    /// What the rank shows of itself.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Begins to sum `share * grad` over all ranks; [`Collective::finish_sum`] of the same bucket waits for it.
    pub fn begin_sum(&self, bucket: usize, grad: &[f32], share: f32, wire: DType) {
        let mut state = self.lock();
        if state.buckets.len() <= bucket {
            state.buckets.resize_with(bucket + 1, Default::default);
        }
        let mut bytes = std::mem::take(&mut state.buckets[bucket].1);
        drop(state);
        encode(grad, share, wire, grad.len().div_ceil(self.size) * self.size, &mut bytes);
        let mut state = self.lock();
        state.buckets[bucket].0 = state.begun + 1;
        self.begin(state, Job::Sum { bucket, bytes, wire });
    }

    /// Waits for a bucket's sum; nothing where the ranks have failed.
    pub fn finish_sum(&self, bucket: usize, grad: &mut [f32], wire: DType) {
        let number = self.lock().buckets.get(bucket).map_or(0, |bucket| bucket.0);
        let Ok(state) = self.wait(number) else { return };
        decode(&state.buckets[bucket].1, wire, grad);
    }

    /// Begins to gather a span of which each rank has its own part, `part` elements from [`part_start`] on;
    /// [`Collective::finish_gather`] of the same number waits for it.
    pub fn begin_gather(&self, bucket: usize, part: usize, span: &[f32]) {
        let mut bytes = self.lock().spare.pop().unwrap_or_default();
        let own: &[u8] = bytemuck::cast_slice(&span[part_start(self.rank, part, span.len())..][..part]);
        bytes.resize(own.len() * self.size, 0);
        bytes[self.rank * own.len()..][..own.len()].copy_from_slice(own);
        let mut state = self.lock();
        if state.spans.len() <= bucket {
            state.spans.resize_with(bucket + 1, Default::default);
        }
        state.spans[bucket].0 = state.begun + 1;
        self.begin(state, Job::Span { bucket, bytes });
    }

    /// Waits for a span, and sets it to the parts of all ranks; nothing where the ranks have failed.
    pub fn finish_gather(&self, bucket: usize, part: usize, span: &mut [f32]) {
        let number = self.lock().spans.get(bucket).map_or(0, |span| span.0);
        let Ok(mut state) = self.wait(number) else { return };
        let Some((_, bytes)) = state.spans.get_mut(bucket) else { return };
        let bytes = std::mem::take(bytes);
        drop(state);
        for rank in 0..self.size {
            let start = part_start(rank, part, span.len());
            let theirs = &bytes[rank * part * size_of::<f32>()..];
            decode(theirs, DType::F32, &mut span[start..][..part]);
        }
        self.lock().spare.push(bytes);
    }

    /// All ranks' `own`, one behind the other, into `all`. Zeros where the ranks have failed: [`Collective::check`] tells.
    pub fn gather_floats(&self, own: &[f32], all: &mut [f32]) {
        match self.message(Job::Gather(bytemuck::cast_slice(own).to_vec())) {
            Ok(bytes) => bytemuck::cast_slice_mut(all).copy_from_slice(&bytes),
            Err(_) => all.fill(0.0),
        }
    }

    /// All ranks' bytes, one behind the other, which are as many on each rank.
    ///
    /// # Errors
    /// Where a rank has gone.
    pub fn gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        self.message(Job::Gather(own.to_vec()))
    }

    /// All ranks' texts, whatever their lengths.
    ///
    /// # Errors
    /// Where a rank has gone.
    pub fn gather_texts(&self, own: &str) -> Result<Vec<String>> {
        let lens = self.gather(&(own.len() as u64).to_ne_bytes())?;
        let lens: Vec<usize> = lens.chunks_exact(8).map(|len| length(len) as usize).collect();
        let most = lens.iter().copied().max().unwrap_or(0);
        let mut padded = own.as_bytes().to_vec();
        padded.resize(most, 0);
        let all = self.gather(&padded)?;
        let texts = lens.iter().enumerate().map(|(rank, &len)| &all[rank * most..][..len]);
        Ok(texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    /// What rank 0 has, of any length.
    ///
    /// # Errors
    /// Where a rank has gone.
    pub fn broadcast(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
        let len = self.message(Job::Broadcast((bytes.len() as u64).to_ne_bytes().to_vec()))?;
        bytes.resize(length(&len) as usize, 0);
        self.message(Job::Broadcast(bytes))
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// What failed.
    pub fn check(&self) -> Result<()> {
        self.fault.check()?;
        self.lock().failed.as_ref().map_or(Ok(()), |text| Err(Error::Ranks(text.clone())))
    }

    fn message(&self, job: Job) -> Result<Vec<u8>> {
        let number = self.begin(self.lock(), job);
        let mut state = self.wait(number)?;
        Ok(std::mem::take(&mut state.received))
    }

    /// Hands a job over; its number.
    fn begin(&self, mut state: MutexGuard<'_, State>, job: Job) -> u64 {
        state.begun += 1;
        state.jobs.push_back(job);
        self.shared.work.notify_one();
        state.begun
    }

    /// Waits until a job is done.
    fn wait(&self, number: u64) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let begun = state.done < number;
        if begun {
            self.pulse.waits(true);
        }
        while state.done < number && state.failed.is_none() {
            state = self.shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if begun {
            self.pulse.waits(false);
        }
        match &state.failed {
            Some(text) if state.done < number => Err(Error::Ranks(text.clone())),
            _ => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Jobs that were handed over are done first.
impl Drop for Collective {
    fn drop(&mut self) {
        self.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(worker) = self.worker.take() {
            // It panics where a transport does, which has been told then.
            let _ = worker.join();
        }
    }
}

/// The thread that has the transport.
struct Worker {
    transport: Box<dyn Transport>,
    shared: Arc<Shared>,
    /// What the other ranks sent of this rank's chunk.
    received: Vec<u8>,
    /// That chunk's sums.
    sums: Vec<f32>,
}

/// Whoever waits hears of the worker's end, however it comes.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed.get_or_insert_with(|| "what other ranks send is not received any more".to_owned());
        self.0.done.notify_all();
    }
}

impl Worker {
    fn run(mut self) {
        let _ends = Ends(Arc::clone(&self.shared));
        loop {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let job = loop {
                match state.jobs.pop_front() {
                    Some(job) => break job,
                    None if state.closing => return,
                    None => state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(state);
            let done = self.work(job);
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            match done {
                Ok((Place::Received, bytes)) => state.received = bytes,
                Ok((Place::Bucket(bucket), bytes)) => state.buckets[bucket].1 = bytes,
                Ok((Place::Span(bucket), bytes)) => state.spans[bucket].1 = bytes,
                Err(error) => {
                    state.failed = Some(error.to_string());
                    return;
                }
            }
            state.done += 1;
            self.shared.done.notify_all();
        }
    }

    /// Does a job; what came of it, and where it goes.
    fn work(&mut self, job: Job) -> Result<(Place, Vec<u8>)> {
        match job {
            Job::Sum { bucket, mut bytes, wire } => {
                self.sum(&mut bytes, wire)?;
                Ok((Place::Bucket(bucket), bytes))
            }
            Job::Span { bucket, mut bytes } => {
                let (rank, chunk) = (self.transport.rank(), bytes.len() / self.transport.size());
                self.received.clear();
                self.received.extend_from_slice(&bytes[rank * chunk..][..chunk]);
                self.transport.all_gather(&self.received, &mut bytes)?;
                Ok((Place::Span(bucket), bytes))
            }
            Job::Gather(own) => {
                let mut all = vec![0; own.len() * self.transport.size()];
                self.transport.all_gather(&own, &mut all)?;
                Ok((Place::Received, all))
            }
            Job::Broadcast(mut bytes) => {
                self.transport.broadcast(&mut bytes)?;
                Ok((Place::Received, bytes))
            }
        }
    }

    fn sum(&mut self, bytes: &mut [u8], wire: DType) -> Result<()> {
        let Worker { transport, received, sums, .. } = self;
        received.resize(bytes.len(), 0);
        transport.all_to_all(bytes, received)?;
        let chunk = bytes.len() / transport.size();
        sums.clear();
        sums.resize(chunk / wire.size(), 0.0);
        for theirs in received.chunks_exact(chunk.max(1)) {
            add(theirs, wire, sums);
        }
        received.truncate(chunk);
        let len = sums.len();
        encode(sums, 1.0, wire, len, received);
        transport.all_gather(received, bytes)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("eight bytes are a length"))
}

#[cfg(test)]
#[path = "collective_tests.rs"]
mod tests;
