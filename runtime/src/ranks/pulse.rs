//! What a rank shows of itself to who watches it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far a rank is, and whether it waits for others. Written by the threads that train, read by the one that tells other ranks.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Batches from the training's start.
    step: AtomicU64,
    /// Counts whatever shows that the rank goes on: steps, batches of an evaluation, files.
    beats: AtomicU64,
    /// Whether it waits for what other ranks send.
    waits: AtomicBool,
}

impl Pulse {
    /// A batch is begun, by its number from the training's start.
    pub fn step(&self, step: u64) {
        self.step.store(step, Ordering::Relaxed);
        self.beat();
    }

    /// The rank goes on.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// It begins or ends to wait for other ranks.
    pub fn waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
        self.beat();
    }

    /// Batches, beats, and whether it waits.
    pub fn read(&self) -> (u64, u64, bool) {
        let [step, beats] = [&self.step, &self.beats].map(|number| number.load(Ordering::Relaxed));
        (step, beats, self.waits.load(Ordering::Relaxed))
    }
}
