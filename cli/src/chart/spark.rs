//! A curve in one line of characters, made while its values come.

/// Characters from the lowest to the highest value.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The same for terminals that show ASCII alone.
const ASCII: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];

/// Values in the order of their coming: means of equally many each, so that a long curve fits into a line.
#[derive(Debug, Clone)]
pub struct Spark {
    /// Most characters.
    width: usize,
    /// Values that one character stands for.
    each: usize,
    means: Vec<f64>,
    /// Sum and number of those that the next character will stand for.
    open: (f64, usize),
}

impl Spark {
    /// Without values; no longer than so many characters, of which there are two at least.
    pub fn new(width: usize) -> Self {
        Spark { width: width.max(2), each: 1, means: Vec::new(), open: (0.0, 0) }
    }

    /// The next value. What is not finite has no place and is left out.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.open = (self.open.0 + value, self.open.1 + 1);
        if self.open.1 < self.each {
            return;
        }
        let (sum, count) = std::mem::take(&mut self.open);
        self.means.push(sum / count as f64);
        if self.means.len() > self.width {
            self.halve();
        }
    }

    /// Makes one of two neighbours; the last one of an odd number is open again.
    fn halve(&mut self) {
        if self.means.len() % 2 == 1
            && let Some(last) = self.means.pop()
        {
            self.open = (last * self.each as f64, self.each);
        }
        self.means = self.means.chunks_exact(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        self.each *= 2;
    }

    /// The line, lowest to highest over all characters; empty before there are two.
    pub fn text(&self, unicode: bool) -> String {
        let marks = if unicode { BLOCKS } else { ASCII };
        let least = self.means.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if self.means.len() < 2 {
            return String::new();
        }
        let span = most - least;
        let level =
            |value: f64| if span > 0.0 { (value - least) / span * (marks.len() - 1) as f64 } else { 0.0 };
        self.means.iter().map(|&value| marks[level(value).round() as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(width: usize, values: impl IntoIterator<Item = f64>) -> Spark {
        let mut spark = Spark::new(width);
        values.into_iter().for_each(|value| spark.push(value));
        spark
    }

    #[test]
    fn the_lowest_and_the_highest_have_the_ends() {
        let spark = line(10, [7.0, 6.0, f64::NAN, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
        assert_eq!(spark.text(true), "█▇▆▅▄▃▂▁");
        assert_eq!(spark.text(false), "#*+=-,._");
        assert_eq!(line(10, [3.0, 3.0]).text(true), "▁▁");
        assert_eq!(line(10, [3.0]).text(true), "");
    }

    #[test]
    fn a_long_curve_keeps_its_shape_and_fits() {
        for count in [8, 9, 100, 1000, 1234] {
            let spark = line(8, (0..count).map(f64::from));
            let text = spark.text(true);
            assert!((4..=8).contains(&text.chars().count()), "{count}: {text}");
            assert!(spark.means.windows(2).all(|pair| pair[0] < pair[1]), "{count}: {text}");
            let held = spark.means.len() * spark.each + spark.open.1;
            assert_eq!(held, count as usize, "no value is lost");
        }
    }
}
