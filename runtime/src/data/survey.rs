//! What a set of pictures consists of: sizes, statistics, what is broken, and what stands in it twice.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use resnetc_pictures::stream::{Crew, ordered};
use sha2::{Digest, Sha256};

use super::source::{Picture, Source};
use crate::error::Result;

/// What was found in a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// Pictures of each class, broken ones included.
    pub counts: Vec<usize>,
    /// How often each size occurs, `[height, width]`.
    pub sizes: BTreeMap<[usize; 2], usize>,
    /// Mean of each channel over all pixels, from `0..1`.
    pub mean: Vec<f64>,
    /// Standard deviation likewise.
    pub std: Vec<f64>,
    /// Why pictures cannot be read, a line each.
    pub broken: Vec<String>,
    /// Pictures with the same pixels, by their digests: numbers of pictures, in the order of the first.
    pub content: Content,
}

/// Numbers of the pictures that have a content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content(HashMap<[u8; 32], Vec<usize>>);

impl Content {
    /// Groups of pictures with the same pixels.
    pub fn alike(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<_> = self.0.values().filter(|group| group.len() > 1).cloned().collect();
        groups.sort();
        groups
    }

    /// Pairs of pictures with the same pixels, of this source and of another one: the first of each.
    pub fn shared(&self, other: &Content) -> Vec<(usize, usize)> {
        let pair = |(digest, group): (&[u8; 32], &Vec<usize>)| Some((group[0], other.0.get(digest)?[0]));
        let mut pairs: Vec<_> = self.0.iter().filter_map(pair).collect();
        pairs.sort_unstable();
        pairs
    }
}

/// Sums over pixels. Whole numbers: they do not depend on the order.
#[derive(Default)]
struct Sums {
    pixels: u64,
    /// Sum and sum of squares of each channel.
    channels: Vec<[u128; 2]>,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.pixels += other.pixels;
        self.channels.resize(self.channels.len().max(other.channels.len()), [0; 2]);
        for (sums, more) in self.channels.iter_mut().zip(other.channels) {
            sums[0] += more[0];
            sums[1] += more[1];
        }
    }

    /// Mean and standard deviation of each channel.
    fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let of = |[sum, squares]: &[u128; 2]| {
            let (count, sum, squares) = (self.pixels.max(1) as f64, *sum as f64, *squares as f64);
            let mean = sum / count;
            (mean / 255.0, (squares / count - mean * mean).max(0.0).sqrt() / 255.0)
        };
        self.channels.iter().map(of).unzip()
    }
}

/// What is found in one picture.
struct Finding {
    size: [usize; 2],
    digest: [u8; 32],
    sums: Sums,
}

impl Finding {
    fn of(picture: &Picture<'_>) -> Self {
        let [height, width, channels] = picture.size();
        let mut hash = Sha256::new();
        picture.size().iter().for_each(|side| hash.update(side.to_le_bytes()));
        hash.update(picture.pixels());
        let mut sums = vec![[0u64; 2]; channels];
        for pixel in picture.pixels().chunks_exact(channels) {
            for (sums, &byte) in sums.iter_mut().zip(pixel) {
                let byte = u64::from(byte);
                sums[0] += byte;
                sums[1] += byte * byte;
            }
        }
        let channels = sums.into_iter().map(|sums| sums.map(u128::from)).collect();
        let sums = Sums { pixels: (height * width) as u64, channels };
        Finding { size: [height, width], digest: hash.finalize().into(), sums }
    }
}

/// Reads all pictures of a source, on threads. `progress` hears how many are done.
pub fn survey(source: &dyn Source, threads: usize, progress: &mut dyn FnMut(usize)) -> Survey {
    let mut found = Survey { counts: vec![0; source.classes().len()], ..Survey::default() };
    let mut sums = Sums::default();
    let work = |(): &mut (), index: usize| -> Result<Finding> { Ok(Finding::of(&source.original(index)?)) };
    ordered(
        source.len(),
        Crew { threads, ahead: 4 * threads.max(1) },
        || (),
        work,
        |index, finding| {
            found.counts[source.label(index) as usize] += 1;
            match finding {
                Ok(finding) => {
                    *found.sizes.entry(finding.size).or_default() += 1;
                    found.content.0.entry(finding.digest).or_default().push(index);
                    sums.add(finding.sums);
                }
                Err(error) => found.broken.push(error.to_string()),
            }
            progress(index + 1);
            ControlFlow::Continue(())
        },
    );
    (found.mean, found.std) = sums.statistics();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::tests::Odd;

    #[test]
    fn sums_are_the_pixels_and_what_is_broken_is_told() {
        // Pictures of grey 0, 1, 2 and 3 with 20, 25, 30 and 35 pixels; the third cannot be read.
        let source = Odd { broken: Some(2), ..Odd::new(&["cat", "dog"], 4) };
        for threads in [1, 3] {
            let mut heard = 0;
            let found = survey(&source, threads, &mut |done| heard = done);
            assert_eq!((heard, &found.counts[..]), (4, &[2, 2][..]));
            assert_eq!(found.broken, ["odd/2.png: cut off"]);
            assert_eq!(found.sizes.keys().copied().collect::<Vec<_>>(), [[4, 5], [5, 5], [7, 5]]);
            let mean = (25.0 + 3.0 * 35.0) / 80.0;
            let square = (25.0 + 9.0 * 35.0) / 80.0;
            assert!(found.mean.iter().all(|is| (is * 255.0 - mean).abs() < 1e-12), "{:?}", found.mean);
            let deviation = f64::sqrt(square - mean * mean);
            assert!(found.std.iter().all(|is| (is * 255.0 - deviation).abs() < 1e-12), "{:?}", found.std);
            assert_eq!(found.content.alike(), Vec::<Vec<usize>>::new());
            assert_eq!(found.content.shared(&found.content), [(0, 0), (1, 1), (3, 3)]);
        }
    }
}
