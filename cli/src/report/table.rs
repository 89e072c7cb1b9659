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

    /// The text, without spaces at the ends of lines. Widths count characters.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len().saturating_sub(1)));
        let head: Vec<_> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = self.line(&head, &widths) + &rule + "\n";
        for row in &self.rows {
            match row {
                Row::Cells(cells) => text += &self.line(cells, &widths),
                Row::Rule => text += &format!("{rule}\n"),
            }
        }
        text
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
        assert_eq!(table.render(), expected);
    }
}
