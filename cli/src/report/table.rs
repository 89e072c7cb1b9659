//! Plain text tables.

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table with a head, rows, and rules between them.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Row>,
}

/// Columns that a text has at least, however narrow the terminal is.
const NARROWEST: usize = 12;

#[derive(Debug)]
enum Row {
    Cells(Vec<String>),
    Rule,
}

impl Table {
    /// Named columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Table {
            columns: columns.iter().map(|&(name, align)| (name.to_owned(), align)).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells at the end are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(Row::Cells(cells.into_iter().collect()));
    }

    /// Adds a line across.
    pub fn rule(&mut self) {
        self.rows.push(Row::Rule);
    }

    /// The text, without spaces at the ends of lines. Widths count characters. In so many columns of a terminal, if it can be:
    /// texts are wrapped, the widest ones first; numbers never are.
    pub fn within(&self, columns: Option<usize>) -> String {
        let mut widths = self.widths();
        if let Some(columns) = columns {
            self.narrow(&mut widths, columns);
        }
        let rule = "─".repeat(total(&widths));
        let head: Vec<_> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = self.lines(&head, &widths) + &rule + "\n";
        for row in &self.rows {
            match row {
                Row::Cells(cells) => text += &self.lines(cells, &widths),
                Row::Rule => text += &format!("{rule}\n"),
            }
        }
        text
    }

    /// The table in Markdown. Rules across are left out: it has none.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells = (0..self.columns.len()).map(|at| cells.get(at).map_or("", String::as_str));
            format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | "))
        };
        let heads: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let sides = self.columns.iter().map(|(_, align)| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        });
        let mut text = line(&heads) + &line(&sides.collect::<Vec<_>>());
        for row in &self.rows {
            match row {
                Row::Cells(cells) => text += &line(cells),
                Row::Rule => {}
            }
        }
        text
    }

    /// Takes from the widest text until all is narrow enough, or nothing is left to take.
    fn narrow(&self, widths: &mut [usize], columns: usize) {
        while total(widths) > columns {
            let texts = widths.iter_mut().zip(&self.columns).filter(|(_, (_, align))| *align == Align::Left);
            match texts.map(|(width, _)| width).max() {
                Some(width) if *width > NARROWEST => *width -= 1,
                _ => return,
            }
        }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<_> = self.columns.iter().map(|(name, _)| name.chars().count()).collect();
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(cell.chars().count());
                }
            }
        }
        widths
    }

    /// A row, in as many lines as its cell with the most.
    fn lines(&self, cells: &[String], widths: &[usize]) -> String {
        let wrapped: Vec<Vec<String>> =
            widths.iter().zip(cells).map(|(&width, cell)| wrapped(cell, width)).collect();
        let count = wrapped.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let line = |i: usize| -> Vec<String> {
            wrapped.iter().map(|lines| lines.get(i).cloned().unwrap_or_default()).collect()
        };
        (0..count).map(|i| self.line(&line(i), widths)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let set = |(i, &width): (usize, &usize)| {
            let cell = cells.get(i).map_or("", String::as_str);
            match self.columns[i].1 {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        };
        let line: Vec<_> = widths.iter().enumerate().map(set).collect();
        line.join("  ").trim_end().to_owned() + "\n"
    }
}

/// Columns of a table whose cells are so wide.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

/// A text in lines of at most so many characters, broken at spaces where there are some.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = lines.last_mut().expect("there is one from the start");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        let letters: Vec<char> = word.chars().collect();
        lines.extend(letters.chunks(width.max(1)).map(|part| part.iter().collect::<String>()));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::{Align, Table};

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("name", Align::Left), ("count", Align::Right), ("note", Align::Left)]);
        table.row(["a".into(), "1".into()]);
        table.rule();
        table.row(["total".into(), "1,234".into(), "×".into()]);
        let expected = "\
name   count  note
──────────────────
a          1
──────────────────
total  1,234  ×
";
        assert_eq!(table.within(None), expected);
    }

    #[test]
    fn texts_are_wrapped_where_the_terminal_is_narrow() {
        let mut table = Table::new(&[("name", Align::Left), ("count", Align::Right), ("about", Align::Left)]);
        table.row(["a".into(), "1,234,567".into(), "what it is, in several words".into()]);
        table.row(["b".into(), "8".into(), "averyveryverylongword".into()]);
        let expected = "\
name      count  about
────────────────────────────────
a     1,234,567  what it is, in
                 several words
b             8  averyveryverylo
                 ngword
";
        assert_eq!(table.within(Some(32)), expected);
        assert_eq!(table.within(Some(200)), table.within(None));
        let least = table.within(Some(1));
        assert!(least.lines().all(|line| line.chars().count() <= 29), "{least}");
    }
}
