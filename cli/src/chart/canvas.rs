//! Dots on a terminal: braille characters have two across and four down.

/// Dots of one character, across and down.
const DOTS: [usize; 2] = [2, 4];
/// The bit of each dot in a braille character, by row and column (Unicode's block of braille patterns).
const BITS: [[u8; DOTS[0]]; DOTS[1]] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Dots, all of them off at first.
pub struct Canvas {
    columns: usize,
    cells: Vec<u8>,
}

impl Canvas {
    /// Of so many characters.
    pub fn new(columns: usize, rows: usize) -> Self {
        Canvas { columns, cells: vec![0; columns * rows] }
    }

    /// Dots across and down.
    pub fn size(&self) -> [usize; 2] {
        [self.columns * DOTS[0], self.cells.len() / self.columns.max(1) * DOTS[1]]
    }

    /// Sets the dots of a straight line between two of them, both included (Bresenham's algorithm).
    pub fn line(&mut self, from: [usize; 2], to: [usize; 2]) {
        let [mut x, mut y] = from.map(|at| at as isize);
        let [to_x, to_y] = to.map(|at| at as isize);
        let (across, down) = ((to_x - x).abs(), -(to_y - y).abs());
        let (step_x, step_y) = ((to_x - x).signum(), (to_y - y).signum());
        let mut error = across + down;
        loop {
            self.set(x as usize, y as usize);
            if [x, y] == [to_x, to_y] {
                return;
            }
            let twice = 2 * error;
            if twice >= down {
                error += down;
                x += step_x;
            }
            if twice <= across {
                error += across;
                y += step_y;
            }
        }
    }

    fn set(&mut self, x: usize, y: usize) {
        let at = y / DOTS[1] * self.columns + x / DOTS[0];
        if let Some(cell) = self.cells.get_mut(at).filter(|_| x / DOTS[0] < self.columns) {
            *cell |= BITS[y % DOTS[1]][x % DOTS[0]];
        }
    }

    /// The lines of text, without spaces at their ends.
    pub fn rows(&self) -> impl Iterator<Item = String> + '_ {
        self.cells.chunks(self.columns.max(1)).map(|row| {
            let of = |&bits: &u8| match bits {
                0 => ' ',
                bits => char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' '),
            };
            row.iter().map(of).collect::<String>().trim_end().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Canvas;

    #[test]
    fn lines_are_dots_from_end_to_end() {
        let mut canvas = Canvas::new(3, 1);
        assert_eq!(canvas.size(), [6, 4]);
        canvas.line([0, 3], [5, 0]);
        let mut mirrored = Canvas::new(3, 1);
        mirrored.line([5, 0], [0, 3]);
        assert_eq!(canvas.rows().collect::<Vec<_>>(), ["⡠⠔⠊"]);
        assert_eq!(mirrored.rows().collect::<Vec<_>>(), ["⡠⠔⠊"]);
        let mut point = Canvas::new(2, 2);
        point.line([0, 7], [0, 7]);
        point.line([9, 9], [9, 9]);
        assert_eq!(point.rows().collect::<Vec<_>>(), ["", "⡀"]);
    }
}
