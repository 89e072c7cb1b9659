//! Tensors as other programs exchange them: files of NumPy (`.npy`) and safetensors.

mod array;
mod npy;
mod safe;

use std::path::Path;

use resnetc_runtime::files;

pub use array::Array;
use resnetc_weights::sizes;

use crate::error::{Error, Result};

/// Most bytes of a `.npy`, which is read whole: what is larger is split.
const MOST: u64 = 1 << 34;

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One array, as `numpy.save` writes it.
    Npy,
    /// Any number of tensors with names.
    Safetensors,
}

impl Format {
    /// The one that a file's name ends with.
    ///
    /// # Errors
    /// Where it is another one.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("npy") => Ok(Format::Npy),
            Some("safetensors") => Ok(Format::Safetensors),
            _ => Err(Error::tensors(path, "a file of tensors is a .npy or a .safetensors")),
        }
    }
}

/// The images in a file, `[n, channels, height, width]`, for a network of images `[channels, height, width]`. In a file of
/// several tensors they are the one that is called `input`.
///
/// # Errors
/// Where the file cannot be read, or holds something else.
pub fn read_images(path: &Path, image: [usize; 3]) -> Result<Array> {
    let array = match Format::of(path)? {
        Format::Npy => {
            let bytes = files::read_bytes(path, MOST).map_err(|error| Error::tensors(path, error))?;
            npy::read(&bytes).map_err(|reason| Error::tensors(path, reason))?
        }
        Format::Safetensors => safe::read(path)?,
    };
    check(array.shape(), image).map_err(|reason| Error::tensors(path, reason))?;
    Ok(array)
}

/// The bytes of a file with named tensors; a `.npy` holds one, without its name. Equal tensors give equal bytes.
///
/// # Errors
/// Where the format does not hold so many.
pub fn to_bytes(path: &Path, tensors: &[(String, Array)]) -> Result<Vec<u8>> {
    match (Format::of(path)?, tensors) {
        (Format::Npy, [(_, array)]) => Ok(npy::write(array)),
        (Format::Npy, several) => {
            let count = several.len();
            let reason = format!("a .npy holds one tensor, these are {count}: write a .safetensors");
            Err(Error::tensors(path, reason))
        }
        (Format::Safetensors, tensors) => safe::write(tensors).map_err(|reason| Error::tensors(path, reason)),
    }
}

/// Refuses what is no batch of such images.
fn check(shape: &[usize], image: [usize; 3]) -> Result<(), String> {
    let [channels, height, width] = image;
    let hint = match *shape {
        [n, c, h, w] if n > 0 && [c, h, w] == image => return Ok(()),
        [0, ..] => "there are none",
        [c, h, w] if [c, h, w] == image => "a batch of one has a first size of 1",
        [_, h, w, c] if [c, h, w] == image => "transpose its channels: `x.transpose(0, 3, 1, 2)`",
        [_, c, _, _] if c == channels => "scale or crop the images, or change the network's `input`",
        _ => "see the network's `input`",
    };
    let found = sizes(shape);
    Err(format!("its shape is {found}, the network takes N x {channels} x {height} x {width}: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_shapes_are_refused_with_a_way_out() {
        let image = [3, 32, 24];
        assert_eq!(check(&[2, 3, 32, 24], image), Ok(()));
        let refused = |shape: &[usize], hint: &str| {
            let reason = check(shape, image).expect_err(hint);
            assert!(reason.contains("takes N x 3 x 32 x 24"), "{reason}");
            assert!(reason.ends_with(hint), "{reason}");
        };
        refused(&[0, 3, 32, 24], "there are none");
        refused(&[3, 32, 24], "a first size of 1");
        refused(&[2, 32, 24, 3], "`x.transpose(0, 3, 1, 2)`");
        refused(&[2, 3, 224, 224], "change the network's `input`");
        refused(&[], "see the network's `input`");
    }

    #[test]
    fn the_name_says_the_format() {
        assert_eq!(Format::of(Path::new("a/x.npy")).ok(), Some(Format::Npy));
        assert_eq!(Format::of(Path::new("x.safetensors")).ok(), Some(Format::Safetensors));
        assert!(Format::of(Path::new("x.npz")).is_err());
        let array = Array::new(vec![1], vec![2.0]).expect("fits");
        let two = [("a".to_owned(), array.clone()), ("b".to_owned(), array)];
        let error = to_bytes(Path::new("y.npy"), &two).expect_err("two tensors").to_string();
        assert_eq!(error, "y.npy: a .npy holds one tensor, these are 2: write a .safetensors");
    }
}
