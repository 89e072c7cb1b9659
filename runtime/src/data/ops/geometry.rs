//! Affine maps of pictures: Pillow's `Image.transform`.

/// How a pixel is read between others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The one that it lies in.
    Nearest,
    /// Of the four around it, by their distances.
    Bilinear,
}

/// Fraction of Pillow's fixed point numbers.
const ONE: f64 = 65536.0;

/// The matrix of Pillow's `rotate`: from a pixel of the result to one of the picture, counter-clockwise around the middle.
pub(super) fn rotation(degrees: f64, [height, width]: [usize; 2]) -> [f64; 6] {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    // To 15 decimal digits, so that quarters of a turn are exact.
    let round = |x: f64| format!("{x:.15}").parse::<f64>().expect("a number as it was just written");
    let (cos, sin) = (round(angle.cos()), round(angle.sin()));
    let [x, y] = [width as f64 / 2.0, height as f64 / 2.0];
    [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y]
}

/// The slope of a shear as torchvision hands it on: by an angle in degrees, which costs it the last bit.
pub(super) fn slope(m: f64) -> f64 {
    m.atan().to_degrees().to_radians().tan()
}

/// The pixel at `(x, y)` is that at `(a x + b y + c, d x + e y + f)`, of pixels' middles; black from beyond the border.
pub(super) fn affine(size: [usize; 3], from: &[u8], matrix: &[f64; 6], by: Interpolation) -> Vec<u8> {
    let [height, width, channels] = size;
    let mut to = vec![0; from.len()];
    let mut out = to.chunks_exact_mut(channels);
    let nearest = Nearest::new(matrix);
    for y in 0..height {
        for x in 0..width {
            let out = out.next().expect("as many pixels as the picture has");
            match by {
                Interpolation::Nearest => {
                    if let Some(at) = nearest.find(x, y, [height, width]) {
                        out.copy_from_slice(&from[at * channels..][..channels]);
                    }
                }
                Interpolation::Bilinear => bilinear(size, from, place(matrix, x, y), out),
            }
        }
    }
    to
}

/// Where the middle of a pixel lies in the picture.
fn place(&[a, b, c, d, e, f]: &[f64; 6], x: usize, y: usize) -> [f64; 2] {
    let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
    [a * x + b * y + c, d * x + e * y + f]
}

/// The matrix as Pillow takes it for whole pixels.
enum Nearest {
    /// Of a pure translation, in floating point.
    Plain([f64; 6]),
    /// Of others, in 16 bits of fraction; the last of each row is that of the first pixel's middle.
    Fixed([i64; 6]),
}

impl Nearest {
    fn new(matrix: &[f64; 6]) -> Self {
        let &[a, b, c, d, e, f] = matrix;
        if b == 0.0 && d == 0.0 {
            return Nearest::Plain(*matrix);
        }
        let fixed = |v: f64| (v * ONE + 0.5).floor() as i64;
        Nearest::Fixed([a, b, c + a * 0.5 + b * 0.5, d, e, f + d * 0.5 + e * 0.5].map(fixed))
    }

    /// The number of a pixel of the picture.
    fn find(&self, x: usize, y: usize, [height, width]: [usize; 2]) -> Option<usize> {
        let [column, row] = match self {
            Nearest::Plain(matrix) => place(matrix, x, y).map(|v| if v < 0.0 { -1 } else { v as i64 }),
            &Nearest::Fixed([a, b, c, d, e, f]) => {
                let (x, y) = (x as i64, y as i64);
                [c + a * x + b * y, f + d * x + e * y].map(|v| v >> 16)
            }
        };
        let inside = (0..width as i64).contains(&column) && (0..height as i64).contains(&row);
        inside.then(|| row as usize * width + column as usize)
    }
}

/// Between the four pixels around a place, whose fraction is cut off; at the border they are the nearest there are.
fn bilinear([height, width, channels]: [usize; 3], from: &[u8], [x, y]: [f64; 2], out: &mut [u8]) {
    if !(0.0..width as f64).contains(&x) || !(0.0..height as f64).contains(&y) {
        return;
    }
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let clip = |v: f64, len: usize| (v.max(0.0) as usize).min(len - 1);
    let [x0, x1] = [left, left + 1.0].map(|v| clip(v, width));
    let [y0, y1] = [top, top + 1.0].map(|v| clip(v, height));
    let between = |a: f64, b: f64, d: f64| a + (b - a) * d;
    for (c, out) in out.iter_mut().enumerate() {
        let at = |y: usize, x: usize| f64::from(from[(y * width + x) * channels + c]);
        let row = |y: usize| between(at(y, x0), at(y, x1), dx);
        *out = between(row(y0), row(y1), dy) as u8;
    }
}
