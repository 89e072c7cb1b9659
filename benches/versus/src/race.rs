//! A row's race: everybody once to find who is near the fastest, then those and we in turn.

use crate::args::{Args, say};
use crate::calm::Calm;
use crate::rows::Row;
use crate::run::{self, Sample};

/// Peers within this factor of the fastest in the first round go on: one call may mislead.
const NEAR: f64 = 1.15;

/// What came out.
pub struct Outcome {
    /// What was run.
    pub row: Row,
    /// Our calls, one per round.
    pub ours: Vec<Sample>,
    /// The fastest peer, by its median.
    pub peer: String,
    /// Its calls, one per round.
    pub theirs: Vec<Sample>,
}

impl Outcome {
    /// The peer's time over ours, round by round.
    pub fn ratios(&self) -> Vec<f64> {
        self.theirs.iter().zip(&self.ours).map(|(theirs, ours)| theirs.ms / ours.ms).collect()
    }
}

/// Runs the race. A peer that fails is left out, with a word.
pub fn race(args: &Args, calm: &mut Calm, row: &Row) -> Result<Outcome, String> {
    let near = contenders(args, row)?;
    let mut ours = Vec::new();
    let mut theirs: Vec<Vec<Sample>> = vec![Vec::new(); near.len()];
    for round in 1..=args.rounds {
        let sample = calm.call(|| run::ours(args, row))?;
        let mut line = format!("round {round} of {}: resnetc {:.2} ms", args.rounds, sample.ms);
        ours.push(sample);
        for (name, samples) in near.iter().zip(&mut theirs) {
            let sample = calm.call(|| run::peer(args, row, name))?;
            line += &format!(", {name} {:.2} ms", sample.ms);
            samples.push(sample);
        }
        say(row, &line);
    }
    let times = |samples: &[Sample]| median(&samples.iter().map(|sample| sample.ms).collect::<Vec<_>>());
    let fastest = near.iter().zip(theirs).min_by(|a, b| times(&a.1).total_cmp(&times(&b.1)));
    let (peer, theirs) = fastest.ok_or("no peer ran")?;
    Ok(Outcome { row: *row, ours, peer: (*peer).to_owned(), theirs })
}

/// The peers worth racing against.
fn contenders(args: &Args, row: &Row) -> Result<Vec<&'static str>, String> {
    let mut times: Vec<(&'static str, f64)> = Vec::new();
    let wanted = |name: &str| args.against.is_empty() || args.against.iter().any(|wanted| wanted == name);
    for &name in row.peers().iter().filter(|name| wanted(name)) {
        match run::peer(args, row, name) {
            Ok(sample) => {
                say(row, &format!("heat: {name} {:.2} ms", sample.ms));
                times.push((name, sample.ms));
            }
            Err(fault) => say(row, &format!("heat: {fault}; left out")),
        }
    }
    let fastest = times.iter().map(|&(_, ms)| ms).fold(f64::INFINITY, f64::min);
    times.retain(|&(_, ms)| ms <= fastest * NEAR);
    if times.is_empty() {
        return Err("no peer ran".to_owned());
    }
    Ok(times.into_iter().map(|(name, _)| name).collect())
}

/// The middle one; of an even number the mean of the middle two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
