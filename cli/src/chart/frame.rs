//! What stands around curves in text: axes with their ticks, and what they measure.

use super::Axis;
use super::scale::text;

/// Most columns of a curve: wider ones are no easier to read.
const MOST_COLUMNS: usize = 72;
/// Fewest, however narrow the terminal is.
const FEWEST_COLUMNS: usize = 16;

/// Axes around some rows of text.
pub(super) struct Frame<'c> {
    /// Across.
    pub x: &'c Axis,
    /// Upwards.
    pub y: &'c Axis,
    /// Least and most of both.
    pub bounds: [(f64, f64); 2],
    /// Rows of text.
    pub rows: usize,
}

impl Frame<'_> {
    /// Rows that have a tick, with its text.
    fn ticks(&self) -> Vec<(usize, String)> {
        let [_, y] = self.bounds;
        let row = |tick| ((1.0 - self.y.scale.place(tick, y)) * (self.rows - 1) as f64).round() as usize;
        self.y.scale.ticks(y).into_iter().map(|tick| (row(tick), text(tick))).collect()
    }

    /// Columns that the texts of ticks take.
    fn margin(&self) -> usize {
        self.ticks().iter().map(|(_, text)| text.len()).max().unwrap_or(0)
    }

    /// Columns that are left for curves, of so many.
    pub fn width(&self, columns: usize) -> usize {
        columns.saturating_sub(self.margin() + 2).clamp(FEWEST_COLUMNS, MOST_COLUMNS)
    }

    /// The rows, so wide, with their axes.
    pub fn around(&self, rows: impl Iterator<Item = String>, width: usize) -> String {
        let (ticks, margin) = (self.ticks(), self.margin());
        let mut out = format!("{:margin$}  {}\n", "", self.y.label);
        for (row, line) in rows.enumerate() {
            let tick = ticks.iter().find(|(at, _)| *at == row).map_or("", |(_, text)| text);
            let bar = if tick.is_empty() { '│' } else { '┤' };
            out += format!("{tick:>margin$} {bar}{line}").trim_end();
            out.push('\n');
        }
        out + &self.across(margin, width)
    }

    /// The axis below, with its ticks, and what it measures.
    fn across(&self, margin: usize, width: usize) -> String {
        let (mut line, mut labels): (Vec<char>, Vec<char>) = (vec!['─'; width], vec![' '; width + margin]);
        let ([bounds, _], mut free) = (self.bounds, 0);
        for tick in self.x.scale.ticks(bounds) {
            let at = (self.x.scale.place(tick, bounds) * (width - 1) as f64).round() as usize;
            let label = text(tick);
            let begin = at.saturating_sub(label.len() / 2);
            if begin < free || begin + label.len() > labels.len() {
                continue;
            }
            line[at.min(width - 1)] = '┬';
            for (to, c) in labels[begin..].iter_mut().zip(label.chars()) {
                *to = c;
            }
            free = begin + label.len() + 1;
        }
        let [line, labels] = [line, labels].map(|chars| chars.into_iter().collect::<String>());
        let (empty, labels) = ("", labels.trim_end());
        format!("{empty:margin$} └{line}\n{empty:margin$}  {labels}  {}\n", self.x.label)
    }
}
