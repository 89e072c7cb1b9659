//! Safetensors that hold anything but weights: no names of a network are expected in them.

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::array::Array;

/// What images are called in a file of several tensors.
const INPUT: &str = "input";

/// The tensor called `input`, or the only one.
pub fn read(bytes: &[u8]) -> Result<Array, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| format!("no safetensors file: {error}"))?;
    let view = match file.names().as_slice() {
        [] => return Err("it holds no tensor".to_owned()),
        [name] => file.tensor(name).map_err(|error| error.to_string())?,
        names => file.tensor(INPUT).map_err(|_| {
            let mut names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            names.sort_unstable();
            names.truncate(5);
            let count = file.len();
            format!("it holds {count} tensors, none of which is called `{INPUT}`: {}", names.join(", "))
        })?,
    };
    array(&view)
}

/// Named tensors, by their names' order.
pub fn write(tensors: &[(String, Array)]) -> Result<Vec<u8>, String> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, array)| array.data().iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, array), bytes)| {
            TensorView::new(Dtype::F32, array.shape().to_vec(), bytes).map(|view| (name, view))
        })
        .collect();
    views.and_then(|views| safetensors::serialize(views, None)).map_err(|error| error.to_string())
}

fn array(view: &TensorView<'_>) -> Result<Array, String> {
    let data = view.data();
    let data: Vec<f32> = match view.dtype() {
        Dtype::F32 => pieces(data).map(f32::from_le_bytes).collect(),
        Dtype::F64 => pieces(data).map(|bytes| f64::from_le_bytes(bytes) as f32).collect(),
        Dtype::F16 => pieces(data).map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        Dtype::BF16 => pieces(data).map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        other => return Err(format!("its elements are of type {other:?}: save them as F32")),
    };
    Array::new(view.shape().to_vec(), data).ok_or_else(|| "its elements do not fill its shape".to_owned())
}

fn pieces<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N).map(|piece| piece.try_into().expect("N bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<(String, Array)> {
        let array = |i: usize| Array::new(vec![1, 2], vec![i as f32, -1.0]).expect("fits");
        names.iter().enumerate().map(|(i, name)| ((*name).to_owned(), array(i))).collect()
    }

    #[test]
    fn the_only_tensor_or_the_one_called_input_is_read() {
        let first = named(&["a"]).remove(0).1;
        assert_eq!(read(&write(&named(&["whatever"])).expect("written")), Ok(first.clone()));
        let several = named(&["input", "target"]);
        assert_eq!(read(&write(&several).expect("written")), Ok(first));
        let error = read(&write(&named(&["a", "b"])).expect("written")).expect_err("no `input`");
        assert_eq!(error, "it holds 2 tensors, none of which is called `input`: `a`, `b`");
        assert!(read(b"\x93NUMPY").is_err());
    }

    #[test]
    fn halves_are_widened_and_integers_refused() {
        let file = |dtype: Dtype, bytes: &[u8]| {
            let view = TensorView::new(dtype, vec![2], bytes).expect("two elements");
            safetensors::serialize([("x", view)], None).expect("serialised")
        };
        let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        assert_eq!(read(&file(Dtype::F16, &half)).map(Array::into_data), Ok(vec![1.5, -2.0]));
        let short: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
        assert_eq!(read(&file(Dtype::BF16, &short)).map(Array::into_data), Ok(vec![1.5, -2.0]));
        let error = read(&file(Dtype::I64, &[0; 16])).expect_err("integers");
        assert_eq!(error, "its elements are of type I64: save them as F32");
    }
}
