//! How long a training step takes on several ranks, from what its steps take on one and from what joins the ranks.
//!
//! A rank computes one step after the other; beside it one thread sends what other ranks need, in the order in which it is asked for.
//! So the model runs the plan on two clocks, which meet where the plan waits. It knows nothing of ranks that are slower than others,
//! of links that others use too, and of the core time that sending takes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::ir::types::DType;
use crate::plan::{Kernel, Plan, Step};

/// Seconds until a message's first byte is there, where nobody says it: TCP between hosts at one switch.
const LATENCY: f64 = 30e-6;

/// Seconds that each message takes of who sends it, where nobody says it: a system call and its part of the network's code.
const MESSAGE: f64 = 5e-6;

/// Bytes that ranks tell each other of a batch behind each step: loss, hits, images, whether to stop.
const SHARES: usize = 16;

/// What joins a rank to the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Link {
    /// Bytes a second, in each direction, of one rank: of several on a host, its part of the host's.
    pub bytes_per_second: f64,
    /// Seconds until a message's first byte is there.
    pub latency: f64,
    /// Seconds of the sender for each message.
    pub message: f64,
}

impl Link {
    /// One of that speed, with TCP's latency.
    pub fn new(bytes_per_second: f64) -> Self {
        Link { bytes_per_second, latency: LATENCY, message: MESSAGE }
    }

    /// Seconds in which each of so many ranks sends so many bytes to each other.
    fn exchange(&self, ranks: usize, bytes: usize) -> f64 {
        let others = ranks.saturating_sub(1) as f64;
        if others == 0.0 {
            return 0.0;
        }
        self.latency + others * (self.message + bytes as f64 / self.bytes_per_second)
    }

    /// Seconds of a sum: parts are sent to who sums them, sums to all (Thakur, Rabenseifner and Gropp 2005).
    fn sum(&self, ranks: usize, bytes: usize) -> f64 {
        2.0 * self.exchange(ranks, bytes.div_ceil(ranks.max(1)))
    }
}

/// `25Gbit`, `12.5GB/s`, with latency and time of a message behind it: `100Mbit,1ms,10us`.
impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "a speed is needed, as `25Gbit` or `12.5GB/s`; a latency and the sender's time for a message may follow: \
             `25Gbit,30us,5us`"
                .to_owned()
        };
        let mut parts = text.split(',').map(str::trim);
        let rate = parts.next().and_then(speed).filter(|&rate| rate > 0.0).ok_or_else(wrong)?;
        let mut link = Link::new(rate);
        for place in [&mut link.latency, &mut link.message] {
            if let Some(part) = parts.next() {
                *place = seconds(part).ok_or_else(wrong)?;
            }
        }
        parts.next().map_or(Ok(link), |_| Err(wrong()))
    }
}

/// `3.125 GB/s each way, 30 µs until a message is there, 5 µs to send one`
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, unit) = match self.bytes_per_second {
            rate if rate >= 1e9 => (rate / 1e9, "GB/s"),
            rate => (rate / 1e6, "MB/s"),
        };
        // Of numbers that people write, so many digits are all.
        let short = |value: f64| (value * 1e4).round() / 1e4;
        let [rate, latency, message] = [rate, self.latency * 1e6, self.message * 1e6].map(short);
        write!(f, "{rate} {unit} each way, {latency} µs until a message is there, {message} µs to send one")
    }
}

/// Bytes a second of `25Gbit`, `100 Mbit/s`, `12.5GB/s`.
fn speed(text: &str) -> Option<f64> {
    let units = [("bit", 0.125), ("bit/s", 0.125), ("bps", 0.125), ("B/s", 1.0)];
    let scales = [("", 1.0), ("K", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)];
    let (number, unit) = amount(text)?;
    scales.iter().find_map(|(prefix, scale)| {
        let rest = unit.strip_prefix(prefix).or_else(|| unit.strip_prefix(&prefix.to_lowercase()))?;
        let (_, factor) = units.iter().find(|(name, _)| *name == rest)?;
        Some(number * scale * factor)
    })
}

/// Seconds of a time as people write it: `250ms`, `30us`, `1.5 s`.
pub fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = amount(text)?;
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    Some(number * scale)
}

/// A number and what stands behind it.
fn amount(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

/// What a step is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prediction {
    /// Ranks.
    pub ranks: usize,
    /// Seconds of a step.
    pub seconds: f64,
    /// Seconds of them that are computed: those of a rank that is alone.
    pub compute: f64,
    /// Seconds in which something is sent.
    pub sending: f64,
    /// Seconds in which nothing is computed, as what is sent is waited for.
    pub waiting: f64,
    /// Bytes that a rank sends.
    pub sent: usize,
}

impl Prediction {
    /// Share of the time that is computed: what each rank does of what it did alone (weak scaling).
    pub fn efficiency(&self) -> f64 {
        self.compute / self.seconds
    }

    /// With what takes place behind every so many steps, of which each step has its part.
    #[must_use]
    pub fn with(self, every: usize, other: Prediction) -> Prediction {
        let part = |time: f64| time / every.max(1) as f64;
        Prediction {
            ranks: self.ranks,
            seconds: self.seconds + part(other.seconds),
            compute: self.compute + part(other.compute),
            sending: self.sending + part(other.sending),
            waiting: self.waiting + part(other.waiting),
            sent: self.sent + other.sent / every.max(1),
        }
    }

    /// Share of the sending that is hidden behind computing; all of nothing.
    pub fn hidden(&self) -> f64 {
        if self.sending > 0.0 { 1.0 - self.waiting / self.sending } else { 1.0 }
    }
}

/// The two clocks of a rank.
struct Clocks {
    link: Link,
    ranks: usize,
    /// When the next step can begin.
    now: f64,
    /// When the next message can begin.
    free: f64,
    computed: f64,
    sending: f64,
    waiting: f64,
    sent: usize,
}

impl Clocks {
    fn compute(&mut self, time: f64) {
        self.computed += time;
        self.now += time;
    }

    /// Begins to send; when that is done.
    fn send(&mut self, time: f64, bytes: usize) -> f64 {
        self.free = self.free.max(self.now) + time;
        self.sending += time;
        self.sent += bytes * self.ranks.saturating_sub(1);
        self.free
    }

    fn wait(&mut self, until: f64) {
        self.waiting += (until - self.now).max(0.0);
        self.now = self.now.max(until);
    }

    /// Sends so many bytes to each other rank, and waits for theirs.
    fn gather(&mut self, bytes: usize) {
        let until = self.send(self.link.exchange(self.ranks, bytes), bytes);
        self.wait(until);
    }

    /// Begins the sum of so many bytes; when it is done.
    fn sum(&mut self, bytes: usize) -> f64 {
        let chunk = bytes.div_ceil(self.ranks.max(1));
        self.send(self.link.sum(self.ranks, bytes), 2 * chunk)
    }
}

/// Whether a step only sends, or waits for what is sent.
fn sends(step: &Step) -> bool {
    matches!(
        step.kernel,
        Kernel::AllReduce(_) | Kernel::AllReduceWait(_) | Kernel::AllGather(_) | Kernel::AllGatherWait(_)
    )
}

/// The steps of a plan that compute something. Plans of one network for two ranks and for more have the same ones.
pub fn computing(plan: &Plan) -> impl Iterator<Item = (usize, &Step)> {
    plan.steps.iter().enumerate().filter(|(_, step)| !sends(step))
}

/// What a plan takes on its ranks, from the seconds of each of its steps that compute something.
///
/// # Panics
/// Where there is not a time for each of them.
pub fn predict(plan: &Plan, times: &[f64], link: Link) -> Prediction {
    let ranks = plan.ranks.map_or(1, |ranks| ranks.count);
    let mut clocks =
        Clocks { link, ranks, now: 0.0, free: 0.0, computed: 0.0, sending: 0.0, waiting: 0.0, sent: 0 };
    // When a bucket's sum is there, and the parameters of a span.
    let (mut sums, mut params) = (BTreeMap::new(), BTreeMap::new());
    let mut times = times.iter();
    for step in &plan.steps {
        match step.kernel {
            Kernel::AllReduce(k) => {
                sums.insert(k.bucket, clocks.sum(k.len * k.wire.size()));
            }
            Kernel::AllReduceWait(k) => clocks.wait(sums[&k.bucket]),
            Kernel::AllGather(k) => {
                let bytes = k.part * DType::F32.size();
                params.insert(k.bucket, clocks.send(link.exchange(ranks, bytes), bytes));
            }
            Kernel::AllGatherWait(k) => clocks.wait(params[&k.bucket]),
            // Two numbers for the rows, or one for the share, and two vectors.
            Kernel::BnCombine(k) => clocks.gather(4 * (2 + 2 * k.channels)),
            Kernel::BnCombineSums(k) => clocks.gather(4 * (1 + 2 * k.channels)),
            _ => {}
        }
        if !sends(step) {
            clocks.compute(*times.next().expect("a step has its time"));
        }
    }
    assert!(times.next().is_none(), "a time has its step");
    clocks.gather(SHARES);
    let Clocks { now, computed, sending, waiting, sent, .. } = clocks;
    Prediction { ranks, seconds: now, compute: computed, sending, waiting, sent }
}

/// Spreads a time over the steps of a plan that compute something, by their work: multiply-accumulates or bytes, whichever takes longer
/// where `macs_per_byte` of the first go with one of the second.
pub fn spread(plan: &Plan, seconds: f64, macs_per_byte: f64) -> Vec<f64> {
    let work = |(_, step): (usize, &Step)| {
        (step.kernel.flops() as f64 / 2.0 / macs_per_byte).max(plan.traffic(step) as f64)
    };
    let weights: Vec<f64> = computing(plan).map(work).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| seconds * weight / total.max(f64::MIN_POSITIVE)).collect()
}

#[cfg(test)]
mod tests;
