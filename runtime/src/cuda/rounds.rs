//! Submitted runs. Several of them are one launch where they are short: their inputs go up together, a recording has all their calls, and
//! what they keep comes back together. While one such round runs, the next is filled: nobody waits for anybody.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use resnetc_compiler::plan::BufferId;

use super::driver::{Driver, Fetch, Fill, Memory, Recording};
use super::feed::Slot;
use crate::device::{Inputs, ProgramId, Until};
use crate::error::{Error, Result};

/// Rounds that have memory of their own: one that runs, one behind it, one that is filled.
pub(super) const LANES: usize = 3;
/// Most runs of a round: all of them end before a signal is heard.
const MOST: usize = 8;
/// What a launch is to last at least, so that handing it over is not what takes the time.
const LAUNCH: Duration = Duration::from_millis(1);
const WORD: usize = size_of::<f32>();

/// Who knows the calls of a program, and where its buffers lie.
pub(super) trait Recorder {
    fn driver(&self) -> &dyn Driver;

    /// A recording of runs whose inputs lie in such slots, and which keep buffers at such places.
    ///
    /// # Errors
    /// The driver's.
    fn record(&self, run: &Shape, places: &[(u64, u64)]) -> Result<Box<dyn Recording>>;

    /// What has to be done before runs that were recorded are replayed, so many of them.
    ///
    /// # Errors
    /// Where the program is not open; the driver's.
    fn ready(&self, program: ProgramId, runs: u64) -> Result<()>;
}

/// What runs of one recording have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub program: ProgramId,
    pub slot: Slot,
    /// Buffers with their bytes.
    pub keep: Vec<(BufferId, usize)>,
}

impl Shape {
    fn kept(&self) -> usize {
        self.keep.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// A round that is filled.
struct Pending {
    shape: Shape,
    runs: usize,
    bytes: Vec<u8>,
}

/// Runs of a round that have one recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    program: usize,
    /// The first one's number in the round.
    first: usize,
    runs: usize,
}

/// The memory of a round.
#[derive(Default)]
struct Lane {
    slots: Option<Memory>,
    kept: Option<Memory>,
    recordings: BTreeMap<Part, (Shape, Box<dyn Recording>)>,
    under_way: Option<(Box<dyn Fetch>, usize)>,
}

/// How many runs of a program make a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Not known: one, and so many have been handed over.
    Unknown(usize),
    Runs(usize),
}

/// Submitted runs of a session.
pub(super) struct Rounds {
    lanes: Vec<Lane>,
    /// Lanes that are under way, the oldest first.
    order: VecDeque<usize>,
    next: usize,
    pending: Option<Pending>,
    paces: BTreeMap<usize, Pace>,
    /// Runs of a round, where that is not to be measured.
    fixed: Option<usize>,
    /// What was kept by rounds that are done and not collected.
    done: Vec<f32>,
}

impl Rounds {
    /// Of so many runs each, or as many as are found to be good.
    pub fn new(fixed: Option<usize>) -> Self {
        let fixed = fixed.map(|runs| runs.clamp(1, MOST));
        let lanes = (0..LANES).map(|_| Lane::default()).collect();
        let (order, paces) = (VecDeque::new(), BTreeMap::new());
        Rounds { lanes, order, next: 0, pending: None, paces, fixed, done: Vec::new() }
    }

    /// Runs that may be submitted and not collected.
    pub fn depth(&self) -> usize {
        let runs = |pace: &Pace| if let Pace::Runs(runs) = pace { *runs } else { 1 };
        LANES * self.fixed.unwrap_or_else(|| self.paces.values().map(runs).max().unwrap_or(1))
    }

    /// Whether something was submitted and not collected.
    pub fn is_idle(&self) -> bool {
        self.pending.is_none() && self.order.is_empty() && self.done.is_empty()
    }

    /// Forgets recordings: memory that their calls name has moved. Nothing is under way.
    pub fn forget(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.recordings.clear());
    }

    /// Takes a run in, and starts its round where that is full.
    pub fn submit(&mut self, recorder: &dyn Recorder, shape: Shape, inputs: &Inputs<'_>) -> Result<()> {
        if self.pending.as_ref().is_some_and(|pending| pending.shape != shape) {
            self.start(recorder)?;
        }
        let pace = self.pace(shape.program);
        let empty = || Pending { shape: shape.clone(), runs: 0, bytes: Vec::new() };
        let pending = self.pending.get_or_insert_with(empty);
        shape.slot.fill(inputs, &mut pending.bytes);
        pending.runs += 1;
        if pending.runs >= pace { self.start(recorder) } else { Ok(()) }
    }

    /// Waits, and appends what was kept.
    pub fn collect(&mut self, recorder: &dyn Recorder, until: Until, kept: &mut Vec<f32>) -> Result<()> {
        if until == Until::All {
            self.start(recorder)?;
            while !self.order.is_empty() {
                self.finish_oldest()?;
            }
        } else if self.order.len() >= LANES {
            self.finish_oldest()?;
        }
        kept.append(&mut self.done);
        Ok(())
    }

    fn pace(&self, program: ProgramId) -> usize {
        match (self.fixed, self.paces.get(&program.0)) {
            (Some(runs), _) | (None, Some(&Pace::Runs(runs))) => runs,
            _ => 1,
        }
    }

    /// Hands the pending round over.
    fn start(&mut self, recorder: &dyn Recorder) -> Result<()> {
        let Some(Pending { shape, runs, bytes }) = self.pending.take() else { return Ok(()) };
        if self.order.len() >= LANES {
            self.finish_oldest()?;
        }
        let full = self.pace(shape.program).max(runs);
        let lane = &mut self.lanes[self.next];
        lane.reserve(recorder.driver(), full, &shape)?;
        recorder.driver().feed(lane.slots_at(), &bytes)?;
        // A round that is not full has a recording for each of its runs, which other such rounds share.
        let part = |first, runs| Part { program: shape.program.0, first, runs };
        let parts: Vec<Part> =
            if runs == full { vec![part(0, runs)] } else { (0..runs).map(|run| part(run, 1)).collect() };
        recorder.ready(shape.program, runs as u64)?;
        let start = self.paces.get(&shape.program.0).is_some_and(|pace| *pace == Pace::Unknown(1));
        let start = start.then(|| recorder.driver().wait().map(|()| Instant::now())).transpose()?;
        for part in parts {
            lane.replay(recorder, &shape, part)?;
        }
        let bytes = runs * shape.kept();
        lane.under_way = Some((recorder.driver().fetch(lane.kept_at(), bytes)?, bytes / WORD));
        self.order.push_back(self.next);
        self.next = (self.next + 1) % LANES;
        self.learn(recorder, shape.program, start)
    }

    /// The first run has what only first runs have; the second one's time tells how many make a round.
    fn learn(&mut self, recorder: &dyn Recorder, program: ProgramId, start: Option<Instant>) -> Result<()> {
        if self.fixed.is_some() {
            return Ok(());
        }
        if let Some(start) = start {
            recorder.driver().wait()?;
            self.paces.insert(program.0, Pace::Runs(runs_of(start.elapsed())));
        } else if let Pace::Unknown(runs) = self.paces.entry(program.0).or_insert(Pace::Unknown(0)) {
            *runs += 1;
        }
        Ok(())
    }

    fn finish_oldest(&mut self) -> Result<()> {
        let lane = self.order.pop_front().map(|lane| &mut self.lanes[lane]);
        if let Some((fetch, count)) = lane.and_then(|lane| lane.under_way.take()) {
            let before = self.done.len();
            self.done.resize(before + count, 0.0);
            fetch.take(bytemuck::cast_slice_mut(&mut self.done[before..]))?;
        }
        Ok(())
    }
}

/// How many runs of such a time make a round.
fn runs_of(time: Duration) -> usize {
    let runs = LAUNCH.as_secs_f64() / time.as_secs_f64().max(1e-6);
    (runs.ceil() as usize).clamp(1, MOST)
}

impl Lane {
    fn slots_at(&self) -> u64 {
        self.slots.as_ref().map_or(0, |memory| memory.address)
    }

    fn kept_at(&self) -> u64 {
        self.kept.as_ref().map_or(0, |memory| memory.address)
    }

    /// Makes room for so many runs. Nothing of the lane is under way.
    fn reserve(&mut self, driver: &dyn Driver, runs: usize, shape: &Shape) -> Result<()> {
        let wanted = [runs * shape.slot.bytes, runs * shape.kept()];
        for (memory, bytes) in [&mut self.slots, &mut self.kept].into_iter().zip(wanted) {
            if memory.as_ref().is_none_or(|memory| memory.bytes < bytes) {
                *memory = None;
                *memory = Some(driver.allocate(bytes, Fill::Anything)?);
                // Inputs do not come in order with the calls that memory is made by.
                driver.wait()?;
                self.recordings.clear();
            }
        }
        Ok(())
    }

    fn replay(&mut self, recorder: &dyn Recorder, shape: &Shape, part: Part) -> Result<()> {
        if self.recordings.get(&part).is_none_or(|(of, _)| of != shape) {
            let place = |run: usize| {
                let (slot, kept) = (run * shape.slot.bytes, run * shape.kept());
                (self.slots_at() + slot as u64, self.kept_at() + kept as u64)
            };
            let places: Vec<(u64, u64)> = (part.first..part.first + part.runs).map(place).collect();
            let recording = recorder.record(shape, &places)?;
            self.recordings.insert(part, (shape.clone(), recording));
        }
        match self.recordings.get(&part) {
            Some((_, recording)) => recording.replay(),
            None => Err(Error::Device("cuda: a recording is missing".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_share_a_launch() {
        let runs = |micros| runs_of(Duration::from_micros(micros));
        assert_eq!([runs(0), runs(100), runs(130), runs(400), runs(1000), runs(50_000)], [8, 8, 8, 3, 1, 1]);
    }
}
