//! All that keeps a file's tensors from being a network's, as one table.

use std::fmt;

/// Most rows that are shown of the network's tensors, and of those that only the file has.
pub(crate) const ROWS: usize = 12;

/// A tensor that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What the network calls it; empty where it has none.
    pub ours: String,
    /// What the dialect calls it, or the file.
    pub theirs: String,
    /// Sizes in the network.
    pub wanted: Option<Vec<usize>>,
    /// Sizes in the file.
    pub found: Option<Vec<usize>>,
    /// What else may be said: the type of what is no float, the nearest name.
    pub note: String,
}

/// How tensors of a file and of a network differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The network.
    pub network: String,
    /// The dialect by whose names they were compared: the one that fits best.
    pub dialect: String,
    /// Tensors that fit.
    pub fitting: usize,
    /// Tensors of the network.
    pub of: usize,
    /// All others.
    pub rows: Vec<Row>,
    /// What to try.
    pub advice: String,
}

/// `64x3x7x7`
pub fn sizes(shape: &[usize]) -> String {
    match shape {
        [] => "scalar".to_owned(),
        shape => shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
    }
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let shape = |shape: &Option<Vec<usize>>| shape.as_ref().map_or("-".to_owned(), |shape| sizes(shape));
        let ours = if self.ours.is_empty() { "-" } else { &self.ours };
        [ours.to_owned(), self.theirs.clone(), shape(&self.wanted), shape(&self.found), self.note.clone()]
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Misfit { network, dialect, fitting, of, rows, advice } = self;
        writeln!(
            f,
            "its tensors are not those of network `{network}`: by the names of {dialect}, {fitting} of {of} fit"
        )?;
        let head = ["in the network", "in the file", "network", "file", ""].map(str::to_owned);
        let (wanted, extra): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.wanted.is_some());
        let shown = wanted.iter().take(ROWS).chain(extra.iter().take(ROWS)).map(|row| row.cells());
        let shown: Vec<[String; 5]> = std::iter::once(head).chain(shown).collect();
        let width = |column: usize| shown.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        for row in &shown {
            let [ours, theirs, wanted, found, note] = row;
            let [a, b, c, d] = widths;
            let line = format!("  {ours:a$}  {theirs:b$}  {wanted:c$}  {found:d$}  {note}");
            writeln!(f, "{}", line.trim_end())?;
        }
        let more = (rows.len() + 1).saturating_sub(shown.len());
        if more > 0 {
            writeln!(f, "  and {more} more")?;
        }
        f.write_str(advice)
    }
}
