//! Signals that ask a command to end. It finishes what it began, then ends with the status that the signal stands for; a second
//! Ctrl-C ends the process at once.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};

/// What a shell adds to the number of the signal that ended a process.
const BY_SIGNAL: u8 = 128;
/// How soon the first signal is answered.
const POLL: Duration = Duration::from_millis(50);

/// The signals that are caught, as long as the process lives.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Set by the first of them.
    pub stop: Arc<AtomicBool>,
    /// The latest of them; 0 before any.
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Catches what asks for an end, but for what whoever started the process wants ignored: `nohup` does that with SIGHUP.
    ///
    /// The first of them is answered with these words: what was begun may take long.
    pub fn catch(words: &'static str) -> Result<Self> {
        let signals = Signals::catch_silently()?;
        let answer = signals.clone();
        // Where the system refuses the thread, the end comes without the words before it.
        let _ = std::thread::Builder::new().name("signals".into()).spawn(move || answer.answer(words));
        Ok(signals)
    }

    /// The same without a word: another process says it.
    pub fn catch_silently() -> Result<Self> {
        let signals = Signals::default();
        signals.register().map_err(|error| Failure::Failed(format!("cannot catch Ctrl-C: {error}")))?;
        Ok(signals)
    }

    fn register(&self) -> std::io::Result<()> {
        // Before the flag is registered, or the first signal would find it set.
        flag::register_conditional_shutdown(SIGINT, i32::from(BY_SIGNAL) + SIGINT, Arc::clone(&self.stop))?;
        for signal in asking_for_an_end().into_iter().filter(|&signal| !ignored(signal)) {
            flag::register_usize(signal, Arc::clone(&self.number), signal as usize)?;
            flag::register(signal, Arc::clone(&self.stop))?;
        }
        Ok(())
    }

    /// Says that the first signal was heard.
    fn answer(&self, words: &str) {
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(POLL);
        }
        // Nobody may be there to read it.
        let _ = writeln!(std::io::stderr(), "\n{words}");
    }

    /// The status of a process that a signal ended, if one did.
    pub fn status(&self) -> Option<u8> {
        match self.number.load(Ordering::Relaxed) {
            0 => None,
            number => u8::try_from(number).ok().and_then(|number| BY_SIGNAL.checked_add(number)),
        }
    }

    /// The same of a training that was stopped: where this process got no signal, another rank did, and which one is not told. It may also be on
    /// its way.
    pub fn status_here_or_elsewhere(&self) -> u8 {
        self.status().unwrap_or(BY_SIGNAL + SIGINT as u8)
    }
}

#[cfg(unix)]
fn asking_for_an_end() -> [i32; 3] {
    [SIGINT, SIGTERM, signal_hook::consts::SIGHUP]
}

#[cfg(not(unix))]
fn asking_for_an_end() -> [i32; 2] {
    [SIGINT, SIGTERM]
}

/// Whether the process was started with this signal ignored. Linux tells; elsewhere none counts as ignored.
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
