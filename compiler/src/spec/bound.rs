//! Bounds of measured figures: `< 5`, `<= 5`.

use std::fmt;

/// What a bound looks like, as a regular expression of JSON schemas.
pub(crate) const PATTERN: &str = "^ *<=? *[0-9]+(\\.[0-9]+)? *$";

/// What a figure is to stay below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The figure.
    pub limit: f64,
    /// Whether it may be reached.
    pub reached: bool,
}

impl Bound {
    /// A bound above 0; `None` of what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix('<')?;
        let (reached, number) = match rest.strip_prefix('=') {
            Some(number) => (true, number.trim()),
            None => (false, rest.trim()),
        };
        let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.')
            && number.starts_with(|c: char| c.is_ascii_digit())
            && !number.ends_with('.');
        let limit = number.parse().ok().filter(|&limit: &f64| plain && limit > 0.0 && limit.is_finite())?;
        Some(Bound { limit, reached })
    }

    /// Whether a figure keeps to it.
    pub fn holds(&self, figure: f64) -> bool {
        figure < self.limit || (self.reached && figure == self.limit)
    }
}

/// As [`Bound::parse`] reads it.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.reached { "<=" } else { "<" }, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::Bound;

    #[test]
    fn bounds_are_read_as_they_are_written() {
        for (text, again) in [("< 5", "< 5"), ("<=2.50", "<= 2.5"), ("  <0.1 ", "< 0.1")] {
            let bound = Bound::parse(text).expect("a bound");
            assert_eq!(bound.to_string(), again);
            assert_eq!(Bound::parse(again), Some(bound));
        }
        for wrong in ["5", "> 5", "< 0", "< -1", "< 5ms", "<", "< 1e9", "< 5.", "< .5", "<< 5"] {
            assert_eq!(Bound::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_bound_may_be_reached_or_not() {
        let holds = |text: &str, figure| Bound::parse(text).expect("a bound").holds(figure);
        assert!(holds("< 5", 4.99) && !holds("< 5", 5.0) && holds("<= 5", 5.0) && !holds("<= 5", 5.01));
        assert!(!holds("< 5", f64::NAN));
    }
}
