//! A driver without a GPU: kernels compiled for the CPU (`host.h`, `library.cpp`), convolutions by the reference.
//!
//! It shows that launches, arguments, sizes, offsets and arithmetic are right, whatever the order of threads and blocks; that
//! barriers and alignment are; that memory is written before it is read (new memory begins as NaNs) and not outside of what was
//! asked for (every piece lies between bytes that must not change). It does not show what only a GPU has: its memory model
//! between blocks, engines of cuDNN, speed.

mod behind;
mod convolve;
mod library;
mod memory;
mod normalise;
mod operand;
mod pins;
mod ranks;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use resnetc_compiler::ir::types::DType;

use super::collectives::Collective;
use super::communicator::{Communicator, Stream, add, gather, scatter, spread};
use super::driver::{Driver, Fetch, Fill, Memory, NAMES_THE_STEP, Preparer, Recording};
use super::launch::{Call, Direction, Launch, NormWays, Place, Prepared, Task, Ways};
use super::normalise::NormTask;
use crate::engines::Engines;
use crate::error::{Error, Result};
use library::Library;
use memory::Piece;
use pins::{ENGINE, Pins};
use ranks::{ByHost, Pending};

/// What the emulation can choose, where a GPU's driver would have its own ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choices {
    /// Orders threads and blocks.
    pub seed: u64,
    /// Whether convolutions take in what comes behind them, as some of cuDNN's engines do.
    pub fuses: bool,
    /// Bytes of its memory; `None` for as many as the process gets.
    pub memory: Option<usize>,
}

/// The emulated GPU.
#[derive(Clone)]
pub struct Emulated {
    state: Arc<State>,
}

struct State {
    library: Library,
    choices: Choices,
    /// The kernel whose launches fail.
    faulty: Option<String>,
    /// Whether one has failed.
    failed: AtomicBool,
    pins: Pins,
    tasks: Mutex<Vec<Task>>,
    /// Whether normalisations are computed at once.
    norms: bool,
    /// Prepared ones.
    norm_tasks: Mutex<Vec<NormTask>>,
    pieces: Mutex<Vec<Arc<Piece>>>,
    communicator: Option<Arc<dyn Communicator>>,
    /// Sums over ranks that are not waited for yet.
    pending: Mutex<Pending>,
    /// Launches so far: each has an order of its own.
    launches: AtomicU64,
    name: String,
}

impl Emulated {
    /// A GPU of the kernels in a library that `library.cpp` was compiled to.
    ///
    /// # Errors
    /// Where the file is no such library.
    pub fn open(library: &Path, choices: Choices) -> Result<Self> {
        let state = State {
            library: Library::open(library)?,
            choices,
            faulty: None,
            failed: AtomicBool::new(false),
            pins: Pins::default(),
            tasks: Mutex::default(),
            norms: false,
            norm_tasks: Mutex::default(),
            pieces: Mutex::default(),
            communicator: None,
            pending: Mutex::default(),
            launches: AtomicU64::new(0),
            name: format!("cuda emulated on the CPU (seed {})", choices.seed),
        };
        Ok(Emulated { state: Arc::new(state) })
    }

    /// With engines that convolutions have to be computed by, where these have to be deterministic.
    ///
    /// # Errors
    /// Where they are a real GPU's.
    pub fn with_engines(mut self, pinned: Engines) -> Result<Self> {
        let pins = Pins::new(pinned)?;
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.pins = pins;
        }
        Ok(self)
    }

    /// With a kernel, of any type, whose launches fail as they do on a GPU: what waits for them is told, not who launches, and nothing runs
    /// any more.
    #[must_use]
    pub fn with_fault(mut self, function: &str) -> Self {
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.faulty = Some(function.to_owned());
        }
        self
    }

    /// With an engine for each normalisation, which computes it at once.
    #[must_use]
    pub fn with_norms(mut self) -> Self {
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.norms = true;
        }
        self
    }

    /// With the GPUs of the other ranks of a training, whose bytes go the way of the processes' own.
    #[must_use]
    pub fn with_ranks(self, ranks: Arc<crate::ranks::Collective>) -> Self {
        self.with_communicator(Arc::new(ByHost::new(ranks)))
    }

    /// With the GPUs of other ranks, however their bytes go.
    #[must_use]
    pub fn with_communicator(mut self, communicator: Arc<dyn Communicator>) -> Self {
        if let Some(state) = Arc::get_mut(&mut self.state) {
            state.communicator = Some(communicator);
        }
        self
    }

    /// What waits for calls is told of one that has failed.
    fn told(&self) -> Result<()> {
        match self.state.failed.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Device(format!(
                "cuda emulated: work that was under way has failed; {NAMES_THE_STEP}"
            ))),
        }
    }

    /// Launches so far.
    pub fn launches(&self) -> u64 {
        self.state.launches.load(Ordering::Relaxed)
    }

    fn call(&self, call: &Call<u64>) -> Result<()> {
        let faulty =
            |function: &str| self.state.faulty.as_ref().is_some_and(|faulty| function.starts_with(faulty));
        let fails = matches!(call, Call::Launch(launch) if faulty(&launch.function));
        if self.state.failed.fetch_or(fails, Ordering::Relaxed) || fails {
            return Ok(());
        }
        match call {
            Call::Launch(launch) => self.launch(launch),
            Call::Collective(collective) => self.collective(collective),
            Call::Convolve(conv) => {
                let task = self.tasks()?[conv.id];
                memory::bytes_mut(conv.workspace, WORKSPACE).fill(0xff);
                convolve::convolve(&task, conv)?;
                self.check_pieces("a convolution")
            }
            Call::Normalise(norm) => {
                let task = self.norm_tasks()?[norm.id];
                memory::bytes_mut(norm.workspace, WORKSPACE).fill(0xff);
                normalise::normalise(&task, norm)?;
                self.check_pieces("a normalisation")
            }
        }
    }

    fn launch(&self, launch: &Launch<u64>) -> Result<()> {
        let count = self.state.launches.fetch_add(1, Ordering::Relaxed);
        self.state.library.launch(launch, self.state.choices.seed.wrapping_add(count))?;
        self.check_pieces(&launch.function)
    }

    /// What a GPU does beside its calls is done at once here.
    fn collective(&self, collective: &Collective<u64>) -> Result<()> {
        let alone = || Error::Device("cuda emulated: there are no other ranks".to_owned());
        let ways = self.state.communicator.as_deref().ok_or_else(alone)?;
        let (rank, ranks, stream) = (ways.rank(), ways.size(), Stream(0));
        match collective {
            Collective::AllReduce(sum) => {
                ways.exchange(&scatter(sum, rank, ranks), stream)?;
                add(sum, rank, ranks)?.map_or(Ok(()), |launch| self.launch(&launch))?;
                ways.exchange(&spread(sum, rank, ranks), stream)?;
                self.state.pending.lock().map_err(|_| broken())?.keep(sum);
            }
            Collective::AllReduceWait(bucket) => {
                self.state.pending.lock().map_err(|_| broken())?.give(*bucket)?;
            }
            Collective::AllGather(gathered) => ways.exchange(&gather(gathered, ranks), stream)?,
        }
        self.check_pieces("what other ranks sent")
    }

    /// Whether a task is done in one, as its pin says where it has one.
    fn has_engine(&self, task: &Task) -> Result<bool> {
        let can = !task.has_epilogue() || self.state.choices.fuses;
        if task.deterministic { self.state.pins.has(convolve::describe(task), can) } else { Ok(can) }
    }

    /// Runs launches all of whose operands lie in scratch memory, by themselves.
    fn try_out(&self, calls: &[Call<Place>], scratch: usize) -> Result<()> {
        let memory = self.allocate(scratch, Fill::Zeros)?;
        for call in calls {
            if let Call::Launch(launch) = call.resolve(&|place| memory.address + place.offset as u64) {
                self.check(&launch.function, &launch.signature())?;
                self.state.library.launch(&launch, self.state.choices.seed)?;
                self.check_pieces(&launch.function)?;
            }
        }
        Ok(())
    }

    fn norm_tasks(&self) -> Result<std::sync::MutexGuard<'_, Vec<NormTask>>> {
        self.state.norm_tasks.lock().map_err(|_| broken())
    }

    fn tasks(&self) -> Result<std::sync::MutexGuard<'_, Vec<Task>>> {
        self.state.tasks.lock().map_err(|_| broken())
    }

    /// Whether something was written outside of all memory.
    fn check_pieces(&self, by: &str) -> Result<()> {
        let mut pieces = self.state.pieces.lock().map_err(|_| broken())?;
        pieces.retain(|piece| Arc::strong_count(piece) > 1);
        match pieces.iter().all(|piece| piece.intact()) {
            true => Ok(()),
            false => Err(Error::Device(format!("cuda emulated: {by} has written outside of its memory"))),
        }
    }
}

/// Bytes that the emulated convolutions ask for, though they need none: they are spoiled, as a workspace is.
const WORKSPACE: usize = 64;

fn broken() -> Error {
    Error::Device("cuda emulated: a thread has failed".to_owned())
}

impl Preparer for Emulated {
    fn check(&self, function: &str, signature: &str) -> Result<()> {
        let known = self.state.library.signature(function);
        match known.as_deref() {
            Some(known) if known == signature => Ok(()),
            Some(known) => Err(Error::Device(format!(
                "cuda: the kernel {function} takes arguments {known}, it is given {signature}"
            ))),
            None => Err(Error::Device(format!("cuda: there is no kernel {function}"))),
        }
    }

    fn prepare(&self, task: &Task) -> Result<Option<Prepared>> {
        if !self.has_engine(task)? {
            return Ok(None);
        }
        let mut tasks = self.tasks()?;
        tasks.push(*task);
        let result = if task.direction == Direction::BackwardFilter { DType::F32 } else { task.element };
        Ok(Some(Prepared { id: tasks.len() - 1, workspace: WORKSPACE, result }))
    }

    /// It has no times to go by, so that all is fused that can be. What would be measured is run nevertheless.
    fn prepare_fused(&self, ways: &Ways) -> Result<Option<Prepared>> {
        self.try_out(&ways.behind_plain, ways.scratch)?;
        self.try_out(&ways.behind_fused, ways.scratch)?;
        let [fused, plain] = [&ways.fused, &ways.plain].map(convolve::describe);
        if ways.fused.deterministic && self.state.pins.is_in_parts(&fused, &plain) {
            self.state.pins.take(fused, false);
            return Ok(None);
        }
        self.prepare(&ways.fused)
    }

    /// As with convolutions, all that can be is computed at once.
    fn prepare_norm(&self, ways: &NormWays) -> Result<Option<Prepared>> {
        self.try_out(&ways.parts, ways.scratch)?;
        let NormTask { element, deterministic, .. } = ways.fused;
        let (name, can) = (ways.fused.to_string(), self.state.norms);
        let has = if deterministic { self.state.pins.has_norm(name, can)? } else { can };
        if !has {
            return Ok(None);
        }
        let mut tasks = self.norm_tasks()?;
        tasks.push(ways.fused);
        Ok(Some(Prepared { id: tasks.len() - 1, workspace: WORKSPACE, result: element }))
    }
}

impl Driver for Emulated {
    fn describe(&self) -> String {
        self.state.name.clone()
    }

    fn ordinal(&self) -> usize {
        0
    }

    fn ranks(&self) -> usize {
        self.state.communicator.as_ref().map_or(1, |ways| ways.size())
    }

    fn engine(&self, _id: usize) -> (&'static str, String) {
        ("reference", ENGINE.to_owned())
    }

    fn engines(&self) -> Result<Engines> {
        Ok(self.state.pins.chosen())
    }

    fn large(&self) -> usize {
        64
    }

    fn allocate(&self, bytes: usize, fill: Fill) -> Result<Memory> {
        let piece = Arc::new(Piece::new(bytes, fill)?);
        let address = piece.address();
        self.state.pieces.lock().map_err(|_| broken())?.push(Arc::clone(&piece));
        Ok(Memory { address, bytes, owner: Box::new(piece) })
    }

    fn free(&self) -> Result<usize> {
        let Some(memory) = self.state.choices.memory else { return Ok(usize::MAX) };
        let pieces = self.state.pieces.lock().map_err(|_| broken())?;
        let taken = pieces.iter().filter(|piece| Arc::strong_count(piece) > 1).map(|piece| piece.len());
        Ok(memory.saturating_sub(taken.sum()))
    }

    fn upload(&self, address: u64, bytes: &[u8]) -> Result<()> {
        memory::bytes_mut(address, bytes.len()).copy_from_slice(bytes);
        Ok(())
    }

    fn download(&self, address: u64, bytes: &mut [u8]) -> Result<()> {
        self.told()?;
        bytes.copy_from_slice(memory::bytes(address, bytes.len()));
        Ok(())
    }

    fn feed(&self, address: u64, bytes: &[u8]) -> Result<()> {
        self.upload(address, bytes)
    }

    fn fetch(&self, address: u64, bytes: usize) -> Result<Box<dyn Fetch>> {
        Ok(Box::new(Fetched(self.told().map(|()| memory::bytes(address, bytes).to_vec()))))
    }

    fn play(&self, calls: &[Call<u64>]) -> Result<()> {
        calls.iter().try_for_each(|call| self.call(call))
    }

    fn record(&self, calls: &[Call<u64>]) -> Result<Box<dyn Recording>> {
        Ok(Box::new(Tape { driver: self.clone(), calls: calls.to_vec() }))
    }

    fn wait(&self) -> Result<()> {
        self.told()
    }
}

/// Bytes as they were when they were asked for.
struct Fetched(Result<Vec<u8>>);

impl Fetch for Fetched {
    fn take(self: Box<Self>, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.0?);
        Ok(())
    }
}

/// Calls, with the arguments that they had when they were recorded.
struct Tape {
    driver: Emulated,
    calls: Vec<Call<u64>>,
}

impl Recording for Tape {
    fn replay(&self) -> Result<()> {
        self.driver.play(&self.calls)
    }
}
