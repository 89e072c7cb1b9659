//! Writes weights as other programs expect them: a plain safetensors file.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};

/// A tensor to write: its name, sizes, and elements, row-major.
pub type Written<'t> = (String, Vec<usize>, Cow<'t, [f32]>);

/// The bytes of a safetensors file, with the note that PyTorch's readers ask for (`format: pt`).
///
/// # Errors
/// Where a tensor's elements are not as many as its sizes say.
pub fn safetensors(tensors: &[Written<'_>]) -> Result<Vec<u8>, String> {
    let views = tensors.iter().map(|(name, shape, data)| {
        let bytes = little_endian(data);
        (name, Piece { shape: shape.clone(), bytes })
    });
    let pieces: Vec<_> = views.collect();
    let views = pieces.iter().map(|(name, piece)| {
        let view = TensorView::new(Dtype::F32, piece.shape.clone(), &piece.bytes);
        view.map(|view| (*name, view)).map_err(|e| format!("`{name}`: {e}"))
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let note = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(note)).map_err(|e| e.to_string())
}

struct Piece<'t> {
    shape: Vec<usize>,
    bytes: Cow<'t, [u8]>,
}

/// The bytes of the elements as the file has them; on most machines those that they have in memory.
fn little_endian<'t>(data: &'t [f32]) -> Cow<'t, [u8]> {
    match cfg!(target_endian = "little") {
        true => Cow::Borrowed(bytemuck::cast_slice(data)),
        false => Cow::Owned(data.iter().flat_map(|x| x.to_le_bytes()).collect()),
    }
}
