//! Safetensors: a header in JSON, then the elements; in one file, or in several with an index.

use std::collections::BTreeMap;

use safetensors::tensor::Metadata as Header;
use serde::Deserialize;

use crate::dtype::DType;
use crate::error::Fault;
use crate::tensor::{Place, Storage};

/// Bytes of the number before the header, which says how long that is.
const START: usize = 8;
/// Most bytes of a header, as safetensors itself has it.
const LONGEST: u64 = 100_000_000;
/// Most bytes of an index.
pub(crate) const LONGEST_INDEX: u64 = 16 << 20;
/// Most files of one set of weights.
const MOST_FILES: usize = 4096;

/// Tensors by name, and the facts beside them.
pub(crate) type Parts = (BTreeMap<String, Place>, BTreeMap<String, String>);

/// Whether bytes begin as such a file does.
pub(crate) fn is_safetensors(bytes: &[u8]) -> bool {
    let start = bytes.first_chunk::<START>().map(|start| u64::from_le_bytes(*start));
    start.is_some_and(|length| length <= LONGEST && bytes.get(START) == Some(&b'{'))
}

/// The tensors of a file, which is number `content` of the set.
pub(crate) fn read(bytes: &[u8], content: usize) -> Result<Parts, Fault> {
    let start = bytes.first_chunk::<START>().ok_or(Fault::Truncated("the length of its header"))?;
    let length = u64::from_le_bytes(*start);
    if length > LONGEST {
        return Err(Fault::Safetensors(format!("its header cannot be {length} bytes long")));
    }
    let data = START + length as usize;
    let json = bytes.get(START..data).ok_or(Fault::Truncated("its header"))?;
    // That tensors lie side by side, and have the sizes that their shapes say, is checked there.
    let header: Header = serde_json::from_slice(json).map_err(|e| Fault::Safetensors(e.to_string()))?;
    let expected = (data as u64).checked_add(header.data_len() as u64);
    if expected != Some(bytes.len() as u64) {
        let (found, expected) = (bytes.len(), expected.unwrap_or(u64::MAX));
        let reason = format!("it has {found} bytes, by its header {expected}: cut off, or damaged");
        return Err(Fault::Safetensors(reason));
    }
    let mut tensors = BTreeMap::new();
    for (name, info) in header.tensors() {
        let wrong = |reason: String| Fault::tensor(&name, reason);
        let dtype = DType::of_safetensors(info.dtype);
        let dtype = dtype.ok_or_else(|| wrong(format!("no weights are of type {:?}", info.dtype)))?;
        let (first, end) = info.data_offsets;
        let elements = (end - first) / dtype.size();
        let storage = Storage { content, dtype, start: data + first, elements };
        let place = Place::contiguous(storage, info.shape.clone()).map_err(wrong)?;
        tensors.insert(name.clone(), place);
    }
    let metadata = header.metadata().as_ref().map(|facts| facts.clone().into_iter().collect());
    Ok((tensors, metadata.unwrap_or_default()))
}

/// Which tensor is in which file.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names, each with its tensors.
pub(crate) fn index(bytes: &[u8]) -> Result<BTreeMap<String, Vec<String>>, Fault> {
    if bytes.len() as u64 > LONGEST_INDEX {
        return Err(Fault::Index(format!("it has {} bytes, at most {LONGEST_INDEX} are read", bytes.len())));
    }
    let index: Index = serde_json::from_slice(bytes).map_err(|e| Fault::Index(e.to_string()))?;
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        // They lie beside the index: one that leads elsewhere asks for files that nobody named.
        if file.is_empty() || file.contains(['/', '\\', ':']) || file == ".." || file == "." {
            return Err(Fault::Index(format!(
                "`{tensor}` is in {file:?}, which is no name of a file beside it"
            )));
        }
        files.entry(file).or_default().push(tensor);
    }
    if files.len() > MOST_FILES {
        return Err(Fault::Index(format!("it names {} files, at most {MOST_FILES} are read", files.len())));
    }
    Ok(files)
}
