//! PyTorch's zip archives: `NAME/data.pkl`, and `NAME/data/KEY` for each storage.

use std::collections::BTreeMap;
use std::ops::Range;

use super::state::{self, State};
use super::storages::Storages;
use super::{globals::WEIGHTS, zip};
use crate::dtype::DType;
use crate::error::Fault;
use crate::pickle;
use crate::tensor::Storage;

/// The pickle's name in its folder.
const PICKLE: &str = "data.pkl";

/// The tensors in an archive.
pub(super) fn read(bytes: &[u8]) -> Result<State, Fault> {
    let entries = zip::entries(bytes)?;
    let named = |entry: &str| entry.rsplit('/').next() == Some(PICKLE);
    let Some((name, range)) = entries.iter().find(|(name, _)| named(name)) else {
        let some: Vec<&str> = entries.keys().take(3).map(String::as_str).collect();
        return Err(Fault::Zip(format!("there is no `{PICKLE}` in it, but {}", some.join(", "))));
    };
    let folder = name.strip_suffix(PICKLE).unwrap_or_default().to_owned();
    if entries.contains_key(&format!("{folder}constants.pkl")) {
        return Err(Fault::NoTensors("it is a TorchScript program: save the model's `state_dict()`".into()));
    }
    let order = entries.get(&format!("{folder}byteorder")).map(|range| &bytes[range.clone()]);
    if order.is_some_and(|order| order != b"little") {
        return Err(Fault::NoTensors("its numbers are big-endian, which is not read".into()));
    }
    let pickled = pickle::read(&bytes[range.clone()], 0, &WEIGHTS)?;
    state::state(&pickled, &Archive { folder, entries: &entries })
}

struct Archive<'a> {
    folder: String,
    entries: &'a BTreeMap<String, Range<usize>>,
}

impl Storages for Archive<'_> {
    fn find(&self, key: &str, dtype: DType, elements: usize) -> Result<Storage, String> {
        let name = format!("{}data/{key}", self.folder);
        let range = self.entries.get(&name).ok_or_else(|| format!("there is no `{name}` in the archive"))?;
        let there = range.len() / dtype.size();
        if there < elements {
            return Err(format!("its storage `{name}` has {there} elements, not {elements}"));
        }
        Ok(Storage { content: 0, dtype, start: range.start, elements })
    }
}
