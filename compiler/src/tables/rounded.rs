//! Counts as papers print them: `0.27M`.

use std::fmt;

use crate::spec::digits::grouped;

/// A count that may be rounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounded {
    text: String,
    value: f64,
    /// Half of the last digit; 0 of a count that is not rounded.
    half: f64,
}

/// What letters behind a number stand for.
const UNITS: [(char, f64); 3] = [('K', 1e3), ('M', 1e6), ('B', 1e9)];

impl Rounded {
    /// A count to its last digit.
    pub fn exact(count: u64) -> Self {
        Rounded { text: grouped(count), value: count as f64, half: 0.0 }
    }

    /// A number with a unit: `0.27M`, `850K`, `1.0B`; `None` of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, factor) = UNITS.into_iter().find(|&(unit, _)| text.ends_with(unit))?;
        let digits = text.strip_suffix(unit)?;
        if !digits.starts_with(|c: char| c.is_ascii_digit())
            || !digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        {
            return None;
        }
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let value = digits.parse::<f64>().ok()? * factor;
        Some(Rounded { text: text.to_owned(), value, half: 0.5 * factor / 10_f64.powi(decimals as i32) })
    }

    /// Whether a count becomes this one when it is rounded alike.
    pub fn holds(&self, count: u64) -> bool {
        // What rounds to even, or away from zero, is either side's: `1.25M` is 1.2M and 1.3M.
        (count as f64 - self.value).abs() <= self.half * (1.0 + 1e-9)
    }
}

/// As it was written.
impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Rounded;

    #[test]
    fn a_count_holds_within_half_of_the_last_digit() {
        let holds = |text: &str, count| Rounded::parse(text).expect("a count").holds(count);
        assert!(holds("0.27M", 269_722) && holds("1.7M", 1_727_962) && holds("850K", 849_500));
        assert!(holds("1.2M", 1_250_000) && holds("1.3M", 1_250_000));
        assert!(!holds("0.27M", 275_001) && !holds("3.8M", 3_904_446) && !holds("850K", 849_499));
        assert!(Rounded::exact(7).holds(7) && !Rounded::exact(7).holds(8));
    }

    #[test]
    fn what_is_no_count_is_none() {
        for text in ["", "M", "1.7", "-1M", "1e3M", "1.7 M", "1.7MB", ".5M", "1.2.3M"] {
            assert_eq!(Rounded::parse(text), None, "{text}");
        }
    }
}
