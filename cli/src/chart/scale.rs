//! How values are spread along an axis, and which of them are written beside it.

/// Ticks that an axis has at least room for.
const TICKS: f64 = 4.0;

/// How values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal differences are equally far apart.
    Linear,
    /// Equal ratios are.
    Log,
}

impl Scale {
    /// Whether a value has a place.
    pub fn has(self, value: f64) -> bool {
        value.is_finite() && (self == Scale::Linear || value > 0.0)
    }

    /// Bounds that are not one value; `zero` lets a linear axis begin at 0 where that is near.
    pub(super) fn widen(self, (least, most): (f64, f64), zero: bool) -> (f64, f64) {
        let near_zero = zero && self == Scale::Linear && least >= 0.0 && least <= most / 2.0;
        let least = if near_zero { 0.0 } else { least };
        match (least < most, self) {
            (true, _) => (least, most),
            (false, Scale::Linear) => (least - least.abs().max(1.0) / 2.0, most + most.abs().max(1.0) / 2.0),
            (false, Scale::Log) => (least / 2.0, most * 2.0),
        }
    }

    /// Where a value lies between bounds, from 0 to 1.
    pub(super) fn place(self, value: f64, (least, most): (f64, f64)) -> f64 {
        match self {
            Scale::Linear => (value - least) / (most - least),
            Scale::Log => (value / least).ln() / (most / least).ln(),
        }
    }

    /// Round values between bounds.
    pub(super) fn ticks(self, (least, most): (f64, f64)) -> Vec<f64> {
        match self {
            Scale::Linear => {
                let step = round_step((most - least) / TICKS);
                let first = (least / step).ceil() as i64;
                // A curve that nearly reaches a tick shall have it.
                let last = (most / step + 0.02).floor() as i64;
                (first..=last).map(|n| n as f64 * step).collect()
            }
            Scale::Log => {
                let (first, last) = (least.log10().ceil() as i32, (most.log10() + 1e-9).floor() as i32);
                let every = ((last - first) / 6).max(0) + 1;
                (first..=last).step_by(every as usize).map(|n| 10f64.powi(n)).collect()
            }
        }
    }
}

/// The least of 1, 2, 5, 10, 20 ... that is no less; likewise below 1.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= step * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

/// A tick in as few characters as say it: `0.05`, `1e-7`, `250`, `20k`.
pub fn text(value: f64) -> String {
    let magnitude = value.abs();
    let short = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match magnitude {
        0.0 => "0".to_owned(),
        m if !(1e-3..1e9).contains(&m) => {
            let text = format!("{value:.2e}");
            match text.split_once('e') {
                Some((digits, power)) => format!("{}e{power}", short(digits.to_owned())),
                None => text,
            }
        }
        m if m >= 1e6 => short(format!("{:.2}", value / 1e6)) + "M",
        m if m >= 1e4 => short(format!("{:.2}", value / 1e3)) + "k",
        m if m >= 10.0 => short(format!("{value:.1}")),
        _ => short(format!("{value:.4}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_between_the_bounds() {
        assert_eq!(Scale::Linear.ticks((0.0, 0.1)).len(), 3);
        assert_eq!(Scale::Linear.ticks((0.0, 100.0)), [0.0, 50.0, 100.0]);
        assert_eq!(Scale::Linear.ticks((3.0, 11.0)), [4.0, 6.0, 8.0, 10.0]);
        assert_eq!(
            Scale::Log.ticks((1e-3, 2.0)),
            [1e-3, 1e-2, 1e-1, 1.0].map(|t: f64| 10f64.powi(t.log10().round() as i32))
        );
        assert_eq!(Scale::Log.ticks((1e-12, 1.0)).len(), 5);
    }

    #[test]
    fn values_have_their_places() {
        assert_eq!(Scale::Linear.place(3.0, (1.0, 5.0)), 0.5);
        assert!((Scale::Log.place(1.0, (0.01, 100.0)) - 0.5).abs() < 1e-12);
        assert!(!Scale::Log.has(0.0) && Scale::Linear.has(0.0) && !Scale::Linear.has(f64::NAN));
        assert_eq!(Scale::Linear.widen((2.0, 2.0), false), (1.0, 3.0));
        assert_eq!(Scale::Linear.widen((1.0, 4.0), true), (0.0, 4.0));
        assert_eq!(Scale::Linear.widen((3.0, 4.0), true), (3.0, 4.0));
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.05, 1e-7, 250.0, 20_000.0, 0.1, 12.5, 1.5e6, -2.5e-5].map(text);
        assert_eq!(texts, ["0", "0.05", "1e-7", "250", "20k", "0.1", "12.5", "1.5M", "-2.5e-5"]);
    }
}
