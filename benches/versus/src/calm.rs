//! Whether the machine is idle: on one that others use too, its speed is measured before and after each call.

use std::thread::sleep;
use std::time::{Duration, Instant};

use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::roofline::Arithmetic;

/// Part of the highest speed measured so far from which on the machine counts as idle.
const IDLE: f64 = 0.85;

/// Measurements of a probe, and the time between them: what comes and goes shows in some of them.
const MEASUREMENTS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(10);

/// Time between probes while the machine is in use.
const PAUSE: Duration = Duration::from_millis(500);

/// Most calls that are made until one begins and ends on an idle machine.
const TRIES: usize = 3;

/// Probes of the machine's arithmetic, vectors and, where it is, bf16: nothing of it depends on who is called.
pub struct Calm {
    threads: usize,
    patience: Duration,
    best: [f64; 2],
    /// Calls that began and ended on an idle machine.
    pub idle: usize,
    /// Calls that count although they did not.
    pub disturbed: usize,
    /// Calls that were made again.
    pub repeated: usize,
}

impl Calm {
    /// A probe on so many threads, which waits that long for an idle machine, per call.
    pub fn new(threads: u16, patience: Duration) -> Self {
        Calm { threads: threads.into(), patience, best: [0.0; 2], idle: 0, disturbed: 0, repeated: 0 }
    }

    /// Makes a call on an idle machine: waits for it, and calls again if it was none afterwards. Without patience, or where it does
    /// not last, it calls once.
    pub fn call<T>(&mut self, mut call: impl FnMut() -> Result<T, String>) -> Result<T, String> {
        if self.patience.is_zero() {
            return call();
        }
        for left in (0..TRIES).rev() {
            let before = self.wait()?;
            let result = call()?;
            if before && self.is_idle()? {
                self.idle += 1;
                return Ok(result);
            }
            // A machine that did not become idle will not do so for the next call.
            if left == 0 || !before {
                self.disturbed += 1;
                return Ok(result);
            }
            self.repeated += 1;
        }
        unreachable!("the last call is the result")
    }

    /// Waits until the machine is idle; whether it is.
    fn wait(&mut self) -> Result<bool, String> {
        let start = Instant::now();
        while !self.is_idle()? {
            if start.elapsed() >= self.patience {
                return Ok(false);
            }
            sleep(PAUSE);
        }
        Ok(true)
    }

    /// Whether the slowest of some measurements is close to the fastest ever.
    fn is_idle(&mut self) -> Result<bool, String> {
        let device = CpuDevice::new(Some(self.threads)).map_err(|fault| fault.to_string())?;
        let mut slowest = [f64::INFINITY; 2];
        for _ in 0..MEASUREMENTS {
            let Arithmetic { gflops, bf16, .. } = device.arithmetic().map_err(|fault| fault.to_string())?;
            let found = [gflops, bf16.map_or(0.0, |ceiling| ceiling.gflops)];
            for i in 0..found.len() {
                self.best[i] = self.best[i].max(found[i]);
                slowest[i] = slowest[i].min(found[i]);
            }
            sleep(BETWEEN);
        }
        Ok((0..slowest.len()).all(|i| slowest[i] >= IDLE * self.best[i]))
    }

    /// What came of it, in a sentence; nothing where nobody asked.
    pub fn sentence(&self) -> String {
        if self.patience.is_zero() {
            return String::new();
        }
        format!(
            " The machine's arithmetic was measured before and after each call: {} calls began and ended at {:.0} % or more of its \
             best ({:.0} GFLOP/s of vectors, {:.0} in bf16), {} count although they did not, {} were made again.",
            self.idle,
            IDLE * 100.0,
            self.best[0],
            self.best[1],
            self.disturbed,
            self.repeated,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_patience_calls_are_made_once() {
        let mut calls = 0;
        let mut calm = Calm::new(1, Duration::ZERO);
        let made = calm.call(|| {
            calls += 1;
            Ok(())
        });
        assert_eq!((made, calls, calm.sentence().as_str()), (Ok(()), 1, ""));
    }

    #[test]
    fn every_call_made_is_counted() {
        let mut calls = 0;
        let mut calm = Calm::new(1, Duration::from_millis(1));
        calm.call(|| {
            calls += 1;
            Ok(())
        })
        .expect("it succeeds");
        assert_eq!(calm.idle + calm.disturbed + calm.repeated, calls);
        assert_eq!(calm.idle + calm.disturbed, 1);
        assert!(calls <= TRIES && calm.sentence().contains("calls began"));
    }

    #[test]
    fn failures_are_not_repeated() {
        let mut calm = Calm::new(1, Duration::from_millis(1));
        assert_eq!(calm.call(|| Err::<(), _>("no".to_owned())), Err("no".to_owned()));
        assert_eq!(calm.repeated, 0);
    }
}
