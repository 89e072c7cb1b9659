//! The driver of a real GPU. Candle owns the device: its context, its stream, its memory; cuDNN computes convolutions, and normalisations where it is faster, own kernels all
//! else, all of it on that stream.

mod bench;
mod engines;
mod fault;
mod functions;
mod norms;
mod options;
mod peers;
mod ranges;
mod staging;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use candle_core::CudaDevice as Candle;
use candle_core::cuda_backend::cudarc::driver::{CudaGraph, CudaSlice, CudaStream, DevicePtr, result, sys};

use super::collectives::Collective;
use super::communicator::{Communicator, Piece, Span};
use super::driver::{Driver, Fetch, Fill, Memory, Preparer, Recording};
use super::find_nccl;
use super::launch::{Call, Launch, NormWays, Prepared, Task, Ways};
use super::nccl::{Library, Nccl};
use super::search::Search;
use crate::engines::Engines as Pins;
use crate::error::{Error, Result};
use crate::ranks::Collective as Ranks;
use engines::Engines;
use fault::{broken, fault};
use functions::Functions;
pub use options::Options;
use peers::Peers;
use ranges::Ranges;
use staging::{Returning, Returns, Staging};

/// A GPU.
#[derive(Clone)]
pub struct Card {
    state: Arc<State>,
}

struct State {
    candle: Candle,
    stream: Arc<CudaStream>,
    functions: Functions,
    engines: Mutex<Engines>,
    /// In order with calls.
    staging: Mutex<Staging>,
    /// On a stream of their own.
    copies: Mutex<Staging>,
    returns: Returns,
    /// The other ranks of a training.
    peers: Option<Peers>,
    /// What tells a profiler which step is which.
    ranges: Option<Ranges>,
    name: String,
}

impl Card {
    /// Opens a GPU. The libraries have to be loaded (`loader`): where one is missing, Candle and cudarc end the thread.
    ///
    /// # Errors
    /// Where there is no such GPU, or no kernels for it.
    pub fn open(options: &Options) -> Result<Self> {
        let candle = Candle::new_with_stream(options.ordinal)?;
        // SAFETY: what calls read and write, they do on one stream, whose order is all that memory needs; copies on the other one
        // are put in order by `feed`.
        unsafe { candle.disable_event_tracking() };
        let stream = candle.cuda_stream();
        let context = stream.context();
        let text = |what: &str, e: result::DriverError| fault(what, &e);
        let gpu = context.name().map_err(|e| text("its name", e))?;
        let functions = Functions::load(context)?;
        let engines = Engines::new(&stream, options)?;
        let name = format!("cuda:{} ({gpu}, cuDNN {})", options.ordinal, engines.version());
        let staging = Mutex::new(Staging::new(Arc::clone(&stream)));
        let copies = context.new_stream().map_err(|e| text("a stream for copies", e))?;
        let (copies, engines) = (Mutex::new(Staging::new(copies)), Mutex::new(engines));
        let (returns, peers, ranges) = (Returns::default(), None, Ranges::find());
        let state =
            State { candle, stream, functions, engines, staging, copies, returns, peers, ranges, name };
        Ok(Card { state: Arc::new(state) })
    }

    /// With the GPUs of the other ranks of a training, by NCCL. All ranks call this at the same time.
    ///
    /// # Errors
    /// Where there is no NCCL, a rank does not come, or two of them have the same GPU.
    pub fn with_ranks(mut self, search: &Search, ranks: Arc<Ranks>) -> Result<Self> {
        self.bind()?;
        let found = find_nccl(search)?;
        let ways: Arc<dyn Communicator> = Arc::new(Nccl::connect(Library::open(&found.path)?, ranks)?);
        let state = Arc::get_mut(&mut self.state).ok_or_else(broken)?;
        let stream =
            state.stream.context().new_stream().map_err(|e| fault("a stream for other ranks", &e))?;
        state.name = format!("{}, {}", state.name, ways.describe());
        state.peers = Some(Peers::new(ways, stream));
        self.meet()?;
        Ok(self)
    }

    /// Sends each rank a few bytes. NCCL connects two ranks at their first message: one that is out of reach is told before anything is trained.
    fn meet(&self) -> Result<()> {
        const BYTES: usize = 256;
        let Some(peers) = &self.state.peers else { return Ok(()) };
        let ranks = peers.ways.size();
        let memory = self.allocate(2 * ranks * BYTES, Fill::Zeros)?;
        self.wait()?;
        let piece = |peer: usize| {
            let span = |slot: usize| Span { address: memory.address + (slot * BYTES) as u64, bytes: BYTES };
            Piece { peer, sent: span(peer), received: span(ranks + peer) }
        };
        let pieces: Vec<Piece> = (0..ranks).map(piece).collect();
        peers.ways.exchange(&pieces, peers.handle())?;
        peers.waiting(|| peers.synchronize())
    }

    /// Waits, where that may be for other ranks, too.
    fn waiting<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        match &self.state.peers {
            Some(peers) => peers.waiting(wait),
            None => wait(),
        }
    }

    /// A graph of calls.
    fn capture(&self, calls: &[Call<u64>]) -> Result<CudaGraph> {
        let stream = &self.state.stream;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        stream.begin_capture(mode).map_err(|e| fault("the recording of a step", &e))?;
        let played = self.play(calls);
        // The capture ends whether or not all calls were taken, or the stream could not be used again.
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = stream.end_capture(flags);
        played?;
        let graph = graph.map_err(|e| fault("the recording of a step", &e))?;
        let graph = graph.ok_or_else(|| Error::Device("cuda: an empty step was recorded".to_owned()))?;
        graph.upload().map_err(|e| fault("the recording of a step", &e))?;
        Ok(graph)
    }

    fn collective(&self, collective: &Collective<u64>) -> Result<()> {
        let peers = self.state.peers.as_ref();
        let peers = peers.ok_or_else(|| Error::Device("cuda: there are no other ranks".to_owned()))?;
        let launch = |launch: &Launch<u64>, stream: &CudaStream| self.launch(launch, stream);
        peers.carry_out(collective, &self.state.stream, &launch)
    }

    /// Candle's device: tensors made on it live beside the plan's memory, in order with its work.
    pub fn candle(&self) -> &Candle {
        &self.state.candle
    }

    fn engines(&self) -> Result<MutexGuard<'_, Engines>> {
        self.state.engines.lock().map_err(|_| broken())
    }

    fn bind(&self) -> Result<()> {
        self.state.stream.context().bind_to_thread().map_err(|e| fault("this thread", &e))
    }

    fn call(&self, engines: &Engines, call: &Call<u64>) -> Result<()> {
        match call {
            Call::Launch(launch) => self.launch(launch, &self.state.stream),
            Call::Convolve(conv) => engines.run(conv),
            Call::Normalise(norm) => engines.run_norm(norm),
            Call::Collective(collective) => self.collective(collective),
        }
    }

    fn launch(&self, launch: &Launch<u64>, stream: &CudaStream) -> Result<()> {
        let function = self.state.functions.get(&launch.function)?;
        let mut slots: Vec<u64> = launch.args.iter().map(super::launch::Arg::slot).collect();
        let mut pointers: Vec<_> = slots.iter_mut().map(|slot| std::ptr::from_mut(slot).cast()).collect();
        let ([gx, gy, gz], [bx, by, bz]) = (launch.grid, launch.block);
        // SAFETY: the function lives as long as its module, which `functions` holds; the slots are as many and of the kinds that the
        // kernel takes (the emulation compares every launch with the kernels' own parameters), and pointers are to operands with
        // the sizes that the arguments tell.
        let done = unsafe {
            let stream = stream.cu_stream();
            result::launch_kernel(function, (gx, gy, gz), (bx, by, bz), launch.shared, stream, &mut pointers)
        };
        done.map_err(|e| fault(&format!("the launch of {}", launch.function), &e))
    }
}

impl Preparer for Card {
    fn check(&self, function: &str, _signature: &str) -> Result<()> {
        self.state.functions.get(function).map(|_| ())
    }

    fn prepare(&self, task: &Task) -> Result<Option<Prepared>> {
        self.bind()?;
        Card::engines(self)?.prepare(task, &self.state.candle)
    }

    fn prepare_fused(&self, ways: &Ways) -> Result<Option<Prepared>> {
        self.bind()?;
        let launch = |launch: &Launch<u64>| self.launch(launch, &self.state.stream);
        Card::engines(self)?.prepare_fused(ways, &self.state.candle, &launch)
    }

    fn prepare_norm(&self, ways: &NormWays) -> Result<Option<Prepared>> {
        self.bind()?;
        let launch = |launch: &Launch<u64>| self.launch(launch, &self.state.stream);
        Card::engines(self)?.prepare_norm(ways, &self.state.candle, &launch)
    }
}

impl Driver for Card {
    fn describe(&self) -> String {
        self.state.name.clone()
    }

    fn ordinal(&self) -> usize {
        self.state.stream.context().ordinal()
    }

    fn ranks(&self) -> usize {
        self.state.peers.as_ref().map_or(1, |peers| peers.ways.size())
    }

    fn engine(&self, id: usize) -> (&'static str, String) {
        ("cudnn", Card::engines(self).ok().and_then(|engines| engines.describe(id)).unwrap_or_default())
    }

    fn engines(&self) -> Result<Pins> {
        Ok(Card::engines(self)?.chosen())
    }

    fn large(&self) -> usize {
        4096
    }

    fn allocate(&self, bytes: usize, fill: Fill) -> Result<Memory> {
        self.bind()?;
        let bytes_there = bytes.max(1);
        let slice: CudaSlice<u8> = match fill {
            Fill::Zeros => self.state.candle.alloc_zeros(bytes_there)?,
            // SAFETY: whoever asks for `Anything` writes the memory before it is read.
            Fill::Anything => unsafe { self.state.candle.alloc(bytes_there) }?,
        };
        let address = slice.device_ptr(&self.state.stream).0;
        Ok(Memory { address, bytes, owner: Box::new(slice) })
    }

    fn free(&self) -> Result<usize> {
        self.bind()?;
        let (free, _) =
            self.state.stream.context().mem_get_info().map_err(|e| fault("its free memory", &e))?;
        Ok(free)
    }

    fn upload(&self, address: u64, bytes: &[u8]) -> Result<()> {
        self.bind()?;
        self.state.staging.lock().map_err(|_| broken())?.upload(address, bytes)
    }

    fn download(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        self.bind()?;
        // SAFETY: the address is of memory that a device or session holds, with so many bytes; `bytes` outlives the wait below.
        unsafe { result::memcpy_dtoh_async(bytes, address, self.state.stream.cu_stream()) }
            .map_err(|e| fault("a copy from the GPU", &e))?;
        self.wait()
    }

    fn feed(&self, address: u64, bytes: &[u8]) -> Result<()> {
        self.bind()?;
        let mut copies = self.state.copies.lock().map_err(|_| broken())?;
        copies.upload(address, bytes)?;
        let copied = copies.stream().record_event(None).map_err(|e| fault("an event", &e))?;
        self.state.stream.wait(&copied).map_err(|e| fault("an event", &e))
    }

    fn fetch(&self, address: u64, bytes: usize) -> Result<Box<dyn Fetch>> {
        self.bind()?;
        let returning = self.state.returns.fetch(&self.state.stream, address, bytes)?;
        Ok(Box::new(Fetched { returning, card: self.clone() }))
    }

    fn play(&self, calls: &[Call<u64>]) -> Result<()> {
        self.bind()?;
        let engines = Card::engines(self)?;
        calls.iter().try_for_each(|call| self.call(&engines, call))
    }

    fn record(&self, calls: &[Call<u64>]) -> Result<Box<dyn Recording>> {
        self.bind()?;
        let is_collective = |call: &Call<u64>| matches!(call, Call::Collective(_));
        let parts = calls.chunk_by(|one, next| !is_collective(one) && !is_collective(next));
        let parts = parts.map(|part| match part {
            [Call::Collective(collective)] => Ok(Part::Collective(*collective)),
            calls => self.capture(calls).map(Part::Graph),
        });
        Ok(Box::new(Recorded { parts: parts.collect::<Result<_>>()?, card: self.clone() }))
    }

    fn wait(&self) -> Result<()> {
        self.waiting(|| self.state.stream.synchronize().map_err(|e| fault("a wait", &e)))
    }

    fn time(&self, name: &str, calls: &[Call<u64>]) -> Result<Duration> {
        self.bind()?;
        let _range = self.state.ranges.as_ref().and_then(|ranges| ranges.begin(name));
        let event = || {
            let timed = sys::CUevent_flags::CU_EVENT_DEFAULT;
            let event = self.state.stream.record_event(Some(timed));
            event.map_err(|e| fault("an event", &e))
        };
        let start = event()?;
        self.play(calls)?;
        let end = event()?;
        self.wait()?;
        let milliseconds = start.elapsed_ms(&end).map_err(|e| fault("an event", &e))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds) / 1e3))
    }
}

/// Bytes on their way back, for which other ranks may be waited.
struct Fetched {
    returning: Returning,
    card: Card,
}

impl Fetch for Fetched {
    fn take(self: Box<Self>, bytes: &mut [u8]) -> Result<()> {
        let Fetched { returning, card } = *self;
        card.waiting(|| Box::new(returning).take(bytes))
    }
}

/// A part of a step that is handed over at once.
enum Part {
    Graph(CudaGraph),
    Collective(Collective<u64>),
}

/// A recorded step: one graph, where other ranks have no part in it.
struct Recorded {
    parts: Vec<Part>,
    card: Card,
}

// SAFETY: a graph is not synchronised by itself: it is reached through its session alone, which one thread uses at a time.
unsafe impl Send for Recorded {}

impl Recording for Recorded {
    fn replay(&self) -> Result<()> {
        self.card.bind()?;
        self.parts.iter().try_for_each(|part| match part {
            Part::Graph(graph) => graph.launch().map_err(|e| fault("a recorded step", &e)),
            Part::Collective(collective) => self.card.collective(collective),
        })
    }
}
