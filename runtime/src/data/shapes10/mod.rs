//! `shapes10`: a data set that the program draws itself, for a first training without any download.
//!
//! One of ten shapes per picture, at a random place and size, up to 45 degrees askew, in random colours with stripes,
//! over a striped background, with small discs and lines before and behind it, and noise. No pixel alone says anything about the
//! class, so a linear classifier is lost; a small residual network learns it.
//!
//! Only IEEE additions, multiplications, divisions and square roots are used, so a seed gives the same bytes on every
//! machine and for every number of threads.

mod outline;

use std::sync::{Arc, OnceLock};

use resnetc_compiler::datasets::SHAPES10;

use self::outline::{COUNT, Point, distance};
use super::rng::{Purpose, Stream};
use super::source::{Dataset, Picture, Source};
use crate::error::Result;

/// Rows and columns of a picture.
const SIDE: usize = SHAPES10.input[1];
/// Bytes of a picture.
const IMAGE: usize = SIDE * SIDE * 3;

/// How much to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Training pictures.
    pub train: usize,
    /// Test pictures.
    pub test: usize,
    /// Other seeds give other pictures.
    pub seed: u64,
}

impl Default for Config {
    /// 20,000 + 4,000 pictures.
    fn default() -> Self {
        Config { train: SHAPES10.images, test: 4_000, seed: 0 }
    }
}

/// Both sources.
pub fn generate(config: Config) -> Dataset {
    let drawn = |part, purpose, len| Arc::new(Drawn::new(part, purpose, config.seed, len));
    let train = drawn("train", Purpose::TrainPicture, config.train);
    let test = drawn("test", Purpose::TestPicture, config.test);
    Dataset::new(SHAPES10.name, train, test).expect("both have the ten classes, and labels of these")
}

/// Pictures that are drawn when they are first asked for, by whichever thread asks, and kept. Picture `i` has class `i % 10`.
struct Drawn {
    name: String,
    classes: Vec<String>,
    purpose: Purpose,
    seed: u64,
    pictures: Box<[OnceLock<Box<[u8; IMAGE]>>]>,
}

impl Drawn {
    fn new(part: &str, purpose: Purpose, seed: u64, len: usize) -> Self {
        let name = format!("{}/{part}", SHAPES10.name);
        let pictures = (0..len).map(|_| OnceLock::new()).collect();
        Drawn { name, classes: SHAPES10.labels().map(String::from).collect(), purpose, seed, pictures }
    }
}

impl Source for Drawn {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        (index % COUNT) as u32
    }

    fn picture(&self, index: usize) -> Result<Picture<'_>> {
        let pixels = self.pictures[index].get_or_init(|| {
            let mut pixels = Box::new([0; IMAGE]);
            let stream = Stream::new(self.seed, self.purpose, 0, index as u64);
            draw(index % COUNT, stream, &mut *pixels);
            pixels
        });
        Ok(Picture::new([SIDE, SIDE, 3], &pixels[..]))
    }
}

/// Red, green, blue, `0..255`.
type Colour = [f32; 3];

/// Two colours in stripes.
struct Texture {
    colour: Colour,
    /// Added on the crest of a stripe, taken away in its trough.
    amplitude: Colour,
    /// Stripes per pixel along both axes.
    wave: Point,
    phase: f32,
}

impl Texture {
    fn draw(stream: &mut Stream, colour: Colour) -> Self {
        let frequency = stream.range(0.03, 0.25);
        let direction = stream.direction();
        Texture {
            colour,
            amplitude: std::array::from_fn(|_| stream.range(-15.0, 15.0)),
            wave: direction.map(|d| d * frequency),
            phase: stream.unit(),
        }
    }

    fn at(&self, p: Point) -> Colour {
        let t = p[0] * self.wave[0] + p[1] * self.wave[1] + self.phase;
        // A triangle wave, -1..1.
        let crest = 4.0 * (t - t.floor() - 0.5).abs() - 1.0;
        std::array::from_fn(|c| self.colour[c] + self.amplitude[c] * crest)
    }
}

/// Something small that belongs to no class.
enum Distractor {
    Disc { centre: Point, radius: f32 },
    Line { through: Point, normal: Point, width: f32 },
}

impl Distractor {
    fn draw(stream: &mut Stream) -> Self {
        let point = [stream.range(0.0, SIDE as f32), stream.range(0.0, SIDE as f32)];
        if stream.chance(0.6) {
            Distractor::Disc { centre: point, radius: stream.range(0.8, 2.2) }
        } else {
            Distractor::Line { through: point, normal: stream.direction(), width: stream.range(0.3, 0.6) }
        }
    }

    /// Signed distance in pixels.
    fn distance(&self, p: Point) -> f32 {
        match self {
            Distractor::Disc { centre, radius } => {
                let [x, y] = [p[0] - centre[0], p[1] - centre[1]];
                (x * x + y * y).sqrt() - radius
            }
            Distractor::Line { through, normal, width } => {
                ((p[0] - through[0]) * normal[0] + (p[1] - through[1]) * normal[1]).abs() - width
            }
        }
    }
}

/// Where a shape lies: `local = rotate(pixel - centre) / radius`.
struct Pose {
    centre: Point,
    radius: f32,
    direction: [f32; 2],
}

impl Pose {
    fn draw(stream: &mut Stream) -> Self {
        let radius = stream.range(9.0, 14.0);
        let mut place = || stream.range(radius, SIDE as f32 - radius);
        let centre = [place(), place()];
        // At most 45 degrees to either side: the cosine is the larger of the two.
        let [x, y] = stream.direction();
        let (cos, sin) = (x.abs().max(y.abs()), if x.abs() > y.abs() { y } else { x });
        Pose { centre, radius, direction: [cos, sin] }
    }

    /// Signed distance in pixels from the outline of a class.
    fn distance(&self, class: usize, p: Point) -> f32 {
        let [x, y] = [(p[0] - self.centre[0]) / self.radius, (p[1] - self.centre[1]) / self.radius];
        let square = x * x + y * y;
        if square > 1.5 {
            // Outside the disc that holds all shapes: too far to matter.
            return self.radius * (square.sqrt() - 1.07);
        }
        let [cos, sin] = self.direction;
        self.radius * distance(class, [cos * x + sin * y, cos * y - sin * x])
    }
}

fn any_colour(stream: &mut Stream) -> Colour {
    std::array::from_fn(|_| stream.range(20.0, 235.0))
}

/// A colour that stands out from another: the sum of the channels' differences is at least 240.
fn contrasting(stream: &mut Stream, other: Colour) -> Colour {
    loop {
        let colour = any_colour(stream);
        let difference: f32 = colour.iter().zip(other).map(|(a, b)| (a - b).abs()).sum();
        if difference >= 240.0 {
            return colour;
        }
    }
}

/// Paints over a pixel where the distance is negative, partly within half a pixel of the edge.
fn paint(pixel: &mut Colour, colour: Colour, distance: f32) {
    let cover = (0.5 - distance).clamp(0.0, 1.0);
    for (p, c) in pixel.iter_mut().zip(colour) {
        *p += cover * (c - *p);
    }
}

/// Draws one picture, `[row][column][channel]`.
fn draw(class: usize, mut stream: Stream, picture: &mut [u8]) {
    let ground_colour = any_colour(&mut stream);
    let shape_colour = contrasting(&mut stream, ground_colour);
    let ground = Texture::draw(&mut stream, ground_colour);
    let shape = Texture::draw(&mut stream, shape_colour);
    let pose = Pose::draw(&mut stream);
    let mut clutter = |most: u32| -> Vec<(Distractor, Colour)> {
        let count = stream.below(most + 1);
        (0..count).map(|_| (Distractor::draw(&mut stream), any_colour(&mut stream))).collect()
    };
    let (behind, before) = (clutter(3), clutter(1));
    let noise_level = stream.range(2.0, 16.0) / 128.0;
    let mut noise = [0u8; IMAGE];
    stream.fill(&mut noise);
    for (i, (out, noise)) in picture.chunks_exact_mut(3).zip(noise.chunks_exact(3)).enumerate() {
        let p = [(i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5];
        let mut pixel = ground.at(p);
        for (thing, colour) in &behind {
            paint(&mut pixel, *colour, thing.distance(p));
        }
        let d = pose.distance(class, p);
        if d < 0.5 {
            paint(&mut pixel, shape.at(p), d);
        }
        for (thing, colour) in &before {
            paint(&mut pixel, *colour, thing.distance(p));
        }
        for c in 0..3 {
            let value = pixel[c] + (f32::from(noise[c]) - 127.5) * noise_level;
            out[c] = value.clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests;
