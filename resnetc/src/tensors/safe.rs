//! Safetensors that hold anything but weights: no names of a network are expected in them.

use std::borrow::Cow;
use std::path::Path;

use resnetc_weights::write::{Written, safetensors};

use super::Array;
use crate::error::{Error, Result};
use crate::weights;

/// What images are called in a file of several tensors.
const INPUT: &str = "input";

/// The tensor called `input`, or the only one.
pub fn read(path: &Path) -> Result<Array> {
    let file = weights::open(path)?;
    let mut listing = file.list();
    let name = match listing.keys().collect::<Vec<_>>()[..] {
        [] => return Err(Error::tensors(path, "it holds no tensor")),
        [only] => only.clone(),
        _ if listing.contains_key(INPUT) => INPUT.to_owned(),
        ref several => {
            let count = several.len();
            let shown: Vec<_> = several.iter().take(5).map(|name| format!("`{name}`")).collect();
            let shown = shown.join(", ");
            let reason = format!("it holds {count} tensors, none of which is called `{INPUT}`: {shown}");
            return Err(Error::tensors(path, reason));
        }
    };
    let listed = listing.remove(&name).expect("one of its names");
    let array = file.floats(&name).and_then(|data| Array::new(listed.shape, data.into_owned()));
    array.ok_or_else(|| {
        Error::tensors(path, format!("its elements are of type {}: save them as F32", listed.dtype))
    })
}

/// Named tensors.
pub fn write(tensors: &[(String, Array)]) -> Result<Vec<u8>, String> {
    let each = tensors.iter();
    let each = each.map(|(name, array)| (name.clone(), array.shape().to_vec(), Cow::Borrowed(array.data())));
    safetensors(&each.collect::<Vec<Written<'_>>>())
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use safetensors::tensor::{Dtype, TensorView};

    use super::*;

    fn named(names: &[&str]) -> Vec<(String, Array)> {
        let array = |i: usize| Array::new(vec![1, 2], vec![i as f32, -1.0]).expect("fits");
        names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), array(i))).collect()
    }

    /// What a file with these bytes is read as.
    fn read_bytes(bytes: &[u8]) -> Result<Array> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        read(file.path())
    }

    #[test]
    fn the_only_tensor_or_the_one_called_input_is_read() {
        let first = named(&["a"]).remove(0).1;
        let only = read_bytes(&write(&named(&["whatever"])).expect("written"));
        assert_eq!(only.expect("one"), first);
        let several = named(&["input", "target"]);
        assert_eq!(read_bytes(&write(&several).expect("written")).expect("`input`"), first);
        let error = read_bytes(&write(&named(&["a", "b"])).expect("written")).expect_err("no `input`");
        assert!(error.to_string().ends_with("it holds 2 tensors, none of which is called `input`: `a`, `b`"));
        assert!(read_bytes(b"\x93NUMPY").is_err());
    }

    #[test]
    fn halves_are_widened_and_integers_refused() {
        let file = |dtype: Dtype, bytes: &[u8]| {
            let view = TensorView::new(dtype, vec![2], bytes).expect("two elements");
            safetensors::serialize([("x", view)], None).expect("serialised")
        };
        let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let read = |bytes: &[u8]| read_bytes(bytes).map(Array::into_data).expect("floats");
        assert_eq!(read(&file(Dtype::F16, &half)), [1.5, -2.0]);
        let short: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
        assert_eq!(read(&file(Dtype::BF16, &short)), [1.5, -2.0]);
        let error = read_bytes(&file(Dtype::I64, &[0; 16])).expect_err("integers").to_string();
        assert!(error.ends_with("its elements are of type i64: save them as F32"), "{error}");
    }
}
