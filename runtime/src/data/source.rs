//! Where pictures come from: one trait, asked picture by picture.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture<'a> {
    size: [usize; 3],
    pixels: Cow<'a, [u8]>,
}

impl<'a> Picture<'a> {
    /// A picture of `[height, width, channels]`, its pixels `[height][width][channels]`: borrowed where they lie in memory.
    ///
    /// # Panics
    /// If there are more or fewer pixels.
    pub fn new(size: [usize; 3], pixels: impl Into<Cow<'a, [u8]>>) -> Self {
        let pixels = pixels.into();
        assert_eq!(pixels.len(), size.iter().product::<usize>(), "bytes of a picture of {size:?}");
        Picture { size, pixels }
    }

    /// `[height, width, channels]`
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// `[height][width][channels]`
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// A list of pictures with their classes: what a network is trained or evaluated on. Worker threads ask it for one picture at a
/// time, so it need not hold more than it likes; every call for an index gives the same picture.
///
/// # Panics
/// An index that is not below `len` may panic.
pub trait Source: Send + Sync {
    /// What messages call it.
    fn name(&self) -> &str;

    /// Number of pictures.
    fn len(&self) -> usize;

    /// Whether there is no picture.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes, in the order of the labels.
    fn classes(&self) -> &[String];

    /// The class of a picture, known without decoding it.
    fn label(&self, index: usize) -> u32;

    /// A picture, of any size.
    ///
    /// # Errors
    /// Where this picture cannot be read; others may still be.
    fn picture(&self, index: usize) -> Result<Picture<'_>>;

    /// This very picture, where [`Source::picture`] may give another in place of one that cannot be read.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn original(&self, index: usize) -> Result<Picture<'_>> {
        self.picture(index)
    }

    /// What messages call a picture.
    fn called(&self, index: usize) -> String {
        format!("image {index} of {}", self.name())
    }

    /// What tables call a picture: its path where it has one, else its number.
    fn identifier(&self, index: usize) -> String {
        index.to_string()
    }

    /// All pictures, `[len][height][width][channels]`, of one size: where they lie in memory so.
    fn pixels(&self) -> Option<([usize; 3], &[u8])> {
        None
    }

    /// Whether pictures have different sizes, so that they are to be framed ([`super::frame`]).
    fn any_size(&self) -> bool {
        false
    }

    /// What tells this source from one that was altered, where pictures take long to decode: in their place.
    fn fingerprint(&self) -> Option<String> {
        None
    }

    /// What could not be read since this was asked last, a line for each picture.
    fn take_faults(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many pictures are looked at to tell this source from one that was altered: a sample, unless all are at hand.
    fn fingerprinted(&self) -> usize {
        self.len().min(512)
    }
}

impl fmt::Debug for dyn Source + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} pictures)", self.name(), self.len())
    }
}

/// What to train on, and what to evaluate on.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What people and checkpoints call it.
    pub name: String,
    /// Trained on.
    pub train: Arc<dyn Source>,
    /// Evaluated on.
    pub test: Arc<dyn Source>,
    /// What was found out about it, a line each, for people.
    pub told: Vec<String>,
}

impl Dataset {
    /// Checks that both sources have the same classes, and no label is of another.
    ///
    /// # Errors
    /// [`Error::Data`] where they have not.
    pub fn new(name: impl Into<String>, train: Arc<dyn Source>, test: Arc<dyn Source>) -> Result<Self> {
        check_labels(&*train)?;
        check_labels(&*test)?;
        if train.classes() != test.classes() {
            let classes =
                |source: &dyn Source| format!("{} has {}", source.name(), source.classes().join(", "));
            let (train, test) = (classes(&*train), classes(&*test));
            return Err(Error::Data(format!("the classes must be the same: {train}; {test}")));
        }
        Ok(Dataset { name: name.into(), train, test, told: Vec::new() })
    }

    /// Names of the classes, in the order of the labels.
    pub fn classes(&self) -> &[String] {
        self.train.classes()
    }
}

fn check_labels(source: &dyn Source) -> Result<()> {
    let classes = source.classes().len();
    match (0..source.len()).find(|&index| source.label(index) as usize >= classes) {
        Some(index) => Err(Error::Data(format!(
            "image {index} has class {}, there are {classes} classes",
            source.label(index)
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Pictures of different sizes: picture `i` is grey `i`, `4 + i` rows by 5 columns, of class `i % 2`.
    pub(crate) struct Odd {
        pub classes: Vec<String>,
        pub len: usize,
        /// A picture that cannot be read.
        pub broken: Option<usize>,
    }

    impl Odd {
        pub fn new(classes: &[&str], len: usize) -> Self {
            Odd { classes: classes.iter().map(|&c| c.to_owned()).collect(), len, broken: None }
        }
    }

    impl Source for Odd {
        fn name(&self) -> &str {
            "odd"
        }

        fn len(&self) -> usize {
            self.len
        }

        fn classes(&self) -> &[String] {
            &self.classes
        }

        fn label(&self, index: usize) -> u32 {
            (index % 2) as u32
        }

        fn picture(&self, index: usize) -> Result<Picture<'_>> {
            if self.broken == Some(index) {
                return Err(Error::Data(format!("odd/{index}.png: cut off")));
            }
            let size = [4 + index, 5, 3];
            Ok(Picture::new(size, vec![index as u8; size.iter().product()]))
        }
    }

    fn dataset(train: Odd, test: Odd) -> Result<Dataset> {
        Dataset::new("pair", Arc::new(train), Arc::new(test))
    }

    #[test]
    fn sources_of_one_data_set_have_the_same_classes() {
        let set = dataset(Odd::new(&["cat", "dog"], 4), Odd::new(&["cat", "dog"], 0)).expect("the same");
        assert_eq!((set.name.as_str(), set.classes()), ("pair", &["cat".to_owned(), "dog".to_owned()][..]));
        assert_eq!(format!("{:?}", set.train), "odd (4 pictures)");
        let error = dataset(Odd::new(&["cat", "dog"], 4), Odd::new(&["ant", "bee"], 4)).expect_err("others");
        assert_eq!(error.to_string(), "the classes must be the same: odd has cat, dog; odd has ant, bee");
    }

    #[test]
    fn a_label_beyond_the_classes_is_named() {
        for (train, test) in [(4, 0), (0, 4)] {
            let error = dataset(Odd::new(&["cat"], train), Odd::new(&["cat"], test)).expect_err("class 1");
            assert_eq!(error.to_string(), "image 1 has class 1, there are 1 classes");
        }
    }

    #[test]
    #[should_panic(expected = "bytes of a picture of [2, 2, 3]")]
    fn a_picture_has_all_its_pixels() {
        Picture::new([2, 2, 3], vec![0; 11]);
    }
}
