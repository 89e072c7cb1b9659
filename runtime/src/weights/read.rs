//! Reads safetensors files: first what is in them, then tensor by tensor.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use half::{bf16, f16};
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::spec::limits::Limits;
use safetensors::tensor::{Dtype, Metadata as Header, TensorInfo};

use super::digest::{self, Digest, Digesting};
use super::layout::elements;
use super::store::ParamStore;
use crate::error::{Error, Result};

/// Facts beside the tensors: network, epoch, versions.
pub type Metadata = BTreeMap<String, String>;

/// The one entry of the file's own metadata: a JSON object in it keeps its keys in order, so that equal stores make
/// equal files.
pub(super) const METADATA_KEY: &str = "resnetc";

/// Bytes of the number before the header, which says how long that is.
const START: u64 = 8;
/// Most bytes of a header, as safetensors itself has it.
const LONGEST: u64 = 100_000_000;
/// Bytes read at a time: whole elements of any type.
const PIECE: usize = 1 << 20;

/// The store in a safetensors file of that size. Header and size are checked before a tensor is read. Tensors of whole numbers are
/// left out: PyTorch counts steps in one beside each batch normalisation, and networks have none.
pub(super) fn read(path: &Path, content: impl Read, size: u64) -> Result<(ParamStore, Metadata)> {
    let (store, mut metadata, digest) = contents(content, size).map_err(failed(path))?;
    match metadata.remove(digest::KEY) {
        Some(written) if digest.finish(&metadata) != written => {
            let reason =
                "it is damaged: its content has not the checksum that it was written with".to_owned();
            Err(Error::Checkpoint { path: path.to_owned(), reason })
        }
        _ => Ok((store, metadata)),
    }
}

/// Floating-point numbers in such a file. No tensor is read.
pub(super) fn numbers(path: &Path, mut content: impl Read, size: u64) -> Result<usize> {
    let header = header(&mut content, size).map_err(failed(path))?;
    Ok(count(&header))
}

/// The facts beside the tensors of such a file. No tensor is read, so no checksum is looked at.
pub(super) fn metadata(path: &Path, mut content: impl Read, size: u64) -> Result<Metadata> {
    let header = header(&mut content, size).map_err(failed(path))?;
    facts(&header).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(String) -> Error {
    |reason| Error::NotSafetensors { path: path.to_owned(), reason }
}

fn contents(mut content: impl Read, size: u64) -> Result<(ParamStore, Metadata, Digest), String> {
    let header = header(&mut content, size)?;
    let mut content = Digesting { content, digest: Digest::default() };
    // Asked for and given back: no more is touched than what is read.
    let numbers = count(&header);
    let room = Vec::<f32>::new().try_reserve_exact(numbers);
    room.map_err(|_| format!("there is no memory for its {numbers} numbers"))?;
    let mut store = ParamStore::new();
    for name in header.offset_keys() {
        let info = header.info(&name).expect("the header's own name");
        let at = |e: io::Error| format!("`{name}`: {e}");
        content.digest.tensor(&name, &info.shape);
        if is_integer(info.dtype) {
            let (start, end) = info.data_offsets;
            let bytes = (end - start) as u64;
            io::copy(&mut content.by_ref().take(bytes), &mut io::sink()).map_err(at)?;
            store.leave_out(name, format!("{:?}", info.dtype));
        } else {
            let data = floats(&mut content, info).map_err(at)?;
            store.insert(today(&name), Shape(info.shape.clone()), data);
        }
    }
    Ok((store, facts(&header)?, content.digest))
}

/// The program's own entry in a file's metadata.
fn facts(header: &Header) -> Result<Metadata, String> {
    match header.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)) {
        Some(text) => serde_json::from_str(text).map_err(|e| format!("its metadata: {e}")),
        None => Ok(Metadata::new()),
    }
}

/// What is in the file: tensors that lie side by side, up to its end, no more of them than networks have.
fn header(content: &mut impl Read, size: u64) -> Result<Header, String> {
    let mut start = [0; START as usize];
    content.read_exact(&mut start).map_err(|_| format!("it has {size} bytes, too few for a header"))?;
    let length = u64::from_le_bytes(start);
    if length > LONGEST.min(size.saturating_sub(START)) {
        return Err(format!("its header cannot be {length} bytes long"));
    }
    let mut json = vec![0; length as usize];
    content.read_exact(&mut json).map_err(|e| format!("its header: {e}"))?;
    let header: Header = serde_json::from_slice(&json).map_err(|e| format!("its header: {e}"))?;
    let expected = START + length + header.data_len() as u64;
    if size != expected {
        return Err(format!("it has {size} bytes, by its header {expected}: cut off, or damaged"));
    }
    for (name, info) in header.tensors() {
        check_type(info.dtype).map_err(|reason| format!("`{name}` {reason}"))?;
    }
    let numbers = count(&header);
    // Beside each parameter, two tensors of an optimizer.
    let most = Limits::default().parameters * 3;
    if numbers > most {
        return Err(format!(
            "it has {numbers} numbers, the largest networks have {most} with all of their state"
        ));
    }
    Ok(header)
}

fn count(header: &Header) -> usize {
    let tensors = header.tensors();
    let floats = tensors.values().filter(|info| !is_integer(info.dtype));
    floats.fold(0, |sum, info| sum.saturating_add(info.shape.iter().product()))
}

/// The name by which a tensor goes today: at first, a normalisation's `weight` was called `scale`, its `bias` `shift`.
fn today(name: &str) -> String {
    let renamed = [(".scale", ".weight"), (".shift", ".bias")];
    let stem = |(before, now): (&str, &str)| name.strip_suffix(before).map(|stem| format!("{stem}{now}"));
    renamed.into_iter().find_map(stem).unwrap_or_else(|| name.to_owned())
}

fn is_integer(dtype: Dtype) -> bool {
    use Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

fn check_type(dtype: Dtype) -> Result<(), String> {
    match dtype {
        Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16 => Ok(()),
        integer if is_integer(integer) => Ok(()),
        other => Err(format!("is of type {other:?}")),
    }
}

/// The next tensor, in pieces.
fn floats(content: &mut impl Read, info: &TensorInfo) -> io::Result<Vec<f32>> {
    let (start, end) = info.data_offsets;
    let mut left = end - start;
    let mut data = Vec::with_capacity(info.shape.iter().product());
    let mut piece = vec![0; left.min(PIECE)];
    while left > 0 {
        let bytes = &mut piece[..left.min(PIECE)];
        content.read_exact(bytes)?;
        left -= bytes.len();
        match info.dtype {
            Dtype::F64 => data.extend(elements::<f64>(bytes).iter().map(|&x| x as f32)),
            Dtype::F16 => data.extend(elements::<f16>(bytes).iter().map(|x| x.to_f32())),
            Dtype::BF16 => data.extend(elements::<bf16>(bytes).iter().map(|x| x.to_f32())),
            _ => data.extend(elements::<f32>(bytes)),
        }
    }
    Ok(data)
}
