//! Which of several ways is taken: measured where there is time, else the one that the heuristics name first.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Time for measurements, shared by all works of a network: each has an equal part of what the others before have left.
pub struct Budget {
    left: Duration,
    /// Works that still come.
    works: u32,
    /// What is left for the present one.
    share: Duration,
    now: Box<dyn Fn() -> Duration + Send>,
}

/// Seconds that measurements take in all where nobody says otherwise.
pub const DEFAULT: Duration = Duration::from_secs(10);

impl Budget {
    /// So much by the clock, for so many works.
    pub fn new(time: Duration, works: usize) -> Self {
        let start = Instant::now();
        Budget::by(time, works, move || start.elapsed())
    }

    /// So much by another clock: `now` says what has passed since some point.
    pub fn by(time: Duration, works: usize, now: impl Fn() -> Duration + Send + 'static) -> Self {
        let works = u32::try_from(works).unwrap_or(u32::MAX);
        Budget { left: time, works, share: Duration::ZERO, now: Box::new(now) }
    }

    /// Nothing.
    pub fn none() -> Self {
        Budget::by(Duration::ZERO, 0, || Duration::ZERO)
    }

    /// What is left in all.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// The next work begins.
    fn begin(&mut self) {
        self.share = self.left / self.works.max(1);
        self.works = self.works.saturating_sub(1);
    }

    /// Whether the present work has had its part.
    fn is_spent(&self) -> bool {
        self.share.is_zero()
    }

    /// Does something on this time.
    pub(super) fn spend<T>(&mut self, doing: impl FnOnce() -> T) -> T {
        let before = (self.now)();
        let done = doing();
        let passed = (self.now)().saturating_sub(before);
        self.left = self.left.saturating_sub(passed);
        self.share = self.share.saturating_sub(passed);
        done
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} left", self.left)
    }
}

/// What was taken, and why.
#[derive(Debug)]
pub struct Choice<P> {
    /// The plan to run.
    pub plan: P,
    /// Its number among the candidates.
    pub index: usize,
    /// Measured seconds, by number; those that were not measured are missing.
    pub seconds: Vec<(usize, f64)>,
    /// What could not be made or run, by number, and why.
    pub refused: Vec<(usize, String)>,
    /// Whether the choice stands: each had its turn, or at least two within the time, or there is only one.
    pub settled: bool,
}

impl<P> Choice<P> {
    /// Measured seconds of what was taken.
    pub fn time(&self) -> Option<f64> {
        self.seconds.iter().find(|(index, _)| *index == self.index).map(|(_, seconds)| *seconds)
    }
}

/// Makes `count` plans, by their numbers, and times them, as long as there is time; takes the fastest. The first that can be made is
/// taken where none was timed. `time` answers with the seconds of a run.
///
/// # Errors
/// Where none of them can be made; each reason is told.
pub fn fastest<P>(
    count: usize,
    mut make: impl FnMut(usize) -> Result<P>,
    time: &mut dyn FnMut(&P) -> Result<f64>,
    budget: &mut Budget,
) -> Result<Choice<P>> {
    let mut best: Option<(usize, P, Option<f64>)> = None;
    let (mut seconds, mut refused) = (Vec::new(), Vec::new());
    let mut all = true;
    budget.begin();
    for index in 0..count {
        if best.is_some() && budget.is_spent() {
            all = false;
            break;
        }
        let made = budget.spend(|| make(index));
        let timed = made.and_then(|plan| {
            // With one candidate there is nothing to find out.
            if count == 1 || budget.is_spent() {
                return Ok((plan, None));
            }
            let time = budget.spend(|| time(&plan)).and_then(sensible)?;
            Ok((plan, Some(time)))
        });
        let (plan, measured) = match timed {
            Ok(timed) => timed,
            Err(error) => {
                refused.push((index, error.to_string()));
                continue;
            }
        };
        all &= count == 1 || measured.is_some();
        seconds.extend(measured.map(|time| (index, time)));
        if best.as_ref().is_none_or(|(_, _, before)| is_faster(measured, *before)) {
            best = Some((index, plan, measured));
        }
    }
    let settled = all || seconds.len() > 1;
    match best {
        Some((index, plan, _)) => Ok(Choice { plan, index, seconds, refused, settled }),
        None => Err(none(count, &refused)),
    }
}

/// Whether one is taken for another that was met before; what was not measured is as slow as can be.
fn is_faster(time: Option<f64>, before: Option<f64>) -> bool {
    time.is_some_and(|time| before.is_none_or(|before| time < before))
}

/// A time that can be compared.
fn sensible(seconds: f64) -> Result<f64> {
    if seconds.is_finite() && seconds > 0.0 {
        return Ok(seconds);
    }
    Err(Error::Device(format!("a run that took {seconds} seconds was not timed")))
}

fn none(count: usize, refused: &[(usize, String)]) -> Error {
    let mut reasons: Vec<&str> = refused.iter().map(|(_, reason)| reason.as_str()).collect();
    reasons.dedup();
    let reasons = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
    Error::Device(format!("none of the {count} ways that cuDNN offers can be taken{reasons}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A clock that runs only when it is told to, and a budget by it.
    fn clock(time: u64) -> (Arc<AtomicU64>, Budget) {
        let clock = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&clock);
        let budget = Budget::by(Duration::from_secs(time), 1, move || {
            Duration::from_secs(now.load(Ordering::Relaxed))
        });
        (clock, budget)
    }

    /// Times of plans, each of which takes a second to make and one to measure.
    fn chosen(times: &[f64], time: u64) -> Result<Choice<usize>> {
        let (clock, mut budget) = clock(time);
        let pass = || clock.fetch_add(1, Ordering::Relaxed);
        let make = |index: usize| {
            pass();
            if times[index] < 0.0 { Err(Error::Device(format!("plan {index} fails"))) } else { Ok(index) }
        };
        let mut measure = |index: &usize| {
            pass();
            Ok(times[*index])
        };
        fastest(times.len(), make, &mut measure, &mut budget)
    }

    #[test]
    fn the_fastest_is_taken() {
        let choice = chosen(&[3.0, 1.0, 2.0], 100).expect("one of them");
        assert_eq!((choice.plan, choice.index, choice.time()), (1, 1, Some(1.0)));
        assert_eq!(choice.seconds, [(0, 3.0), (1, 1.0), (2, 2.0)]);
        assert!(choice.settled);
    }

    #[test]
    fn of_one_nothing_is_measured() {
        let choice = chosen(&[3.0], 100).expect("the one");
        assert_eq!((choice.plan, choice.time(), choice.settled), (0, None, true));
    }

    #[test]
    fn what_cannot_be_made_or_timed_is_told() {
        let choice = chosen(&[-1.0, f64::NAN, 2.0, 0.0], 100).expect("one of them");
        assert_eq!((choice.plan, choice.time()), (2, Some(2.0)));
        let refused: Vec<usize> = choice.refused.iter().map(|(index, _)| *index).collect();
        assert_eq!(refused, [0, 1, 3]);
        let error = chosen(&[-1.0, -1.0], 100).expect_err("none").to_string();
        assert_eq!(error, "none of the 2 ways that cuDNN offers can be taken: plan 0 fails; plan 1 fails");
        let error = chosen(&[], 100).expect_err("none").to_string();
        assert_eq!(error, "none of the 0 ways that cuDNN offers can be taken");
    }

    #[test]
    fn when_the_time_is_spent_nothing_more_is_tried() {
        // Two seconds for each: the third is not made.
        let choice = chosen(&[3.0, 2.0, 1.0], 4).expect("one of them");
        assert_eq!((choice.plan, choice.seconds.len(), choice.settled), (1, 2, true));
        // The second is made, but there is no time to measure it.
        let choice = chosen(&[3.0, 2.0, 1.0], 3).expect("one of them");
        assert_eq!((choice.plan, choice.seconds.len(), choice.settled), (0, 1, false));
    }

    #[test]
    fn without_time_the_first_that_can_be_made_is_taken() {
        let choice = chosen(&[-1.0, 2.0, 1.0], 0).expect("one of them");
        assert_eq!((choice.plan, choice.time(), choice.settled), (1, None, false));
    }

    #[test]
    fn works_share_the_time_and_leave_each_other_what_they_do_not_need() {
        let now = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now);
        let mut budget = Budget::by(Duration::from_secs(12), 3, move || {
            Duration::from_secs(clock.load(Ordering::Relaxed))
        });
        // Each plan takes a second to make and one to measure.
        let mut measured = |plans: usize| {
            let pass = || now.fetch_add(1, Ordering::Relaxed);
            let make = |index: usize| {
                pass();
                Ok(index)
            };
            let mut time = |_: &usize| {
                pass();
                Ok(1.0)
            };
            let choice = fastest(plans, make, &mut time, &mut budget).expect("one of them");
            now.fetch_add(100, Ordering::Relaxed); // What others do is not counted.
            choice.seconds.len()
        };
        // 4 of 12 seconds; then 4 of 8, of which 2 are made use of; then all that is left.
        assert_eq!([measured(9), measured(2), measured(9)], [2, 2, 2]);
        assert_eq!(budget.left(), Duration::ZERO);
        let mut budget = Budget::by(Duration::from_secs(12), 2, || Duration::ZERO);
        budget.begin();
        assert_eq!(budget.share, Duration::from_secs(6));
        budget.begin();
        assert_eq!(budget.share, Duration::from_secs(12), "nothing was spent");
    }
}
