//! Files of PyTorch before 1.6: a magic number, a version, facts of the system, the object, the keys of the storages, each a
//! pickle; then every storage, its number of elements before it.

use std::collections::HashMap;

use super::globals::WEIGHTS;
use super::state::{self, State};
use crate::error::Fault;
use crate::pickle::{self, Id, Pickled, Value};
use crate::tensor::Storage;

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Of the layout.
const VERSION: i64 = 1001;

/// The tensors in a file.
pub(super) fn read(bytes: &[u8]) -> Result<State, Fault> {
    let magic = pickle::read(bytes, 0, &WEIGHTS)?;
    if !matches!(magic.root(), Value::Long(MAGIC)) {
        let reason =
            "it is a pickle, but not of `torch.save`: save the `state_dict()` with that, or as safetensors";
        return Err(Fault::NoTensors(reason.into()));
    }
    let version = pickle::read(bytes, magic.end, &WEIGHTS)?;
    if !matches!(version.root(), Value::Int(VERSION)) {
        return Err(Fault::NoTensors(format!("its version is not {VERSION}")));
    }
    let system = pickle::read(bytes, version.end, &WEIGHTS)?;
    if is_big_endian(&system) {
        return Err(Fault::NoTensors("its numbers are big-endian, which is not read".into()));
    }
    let object = pickle::read(bytes, system.end, &WEIGHTS)?;
    let keys = pickle::read(bytes, object.end, &WEIGHTS)?;
    let storages = storages(bytes, &object, &keys)?;
    state::state(&object, &storages)
}

fn is_big_endian(system: &Pickled<'_>) -> bool {
    let Value::Dict(facts) = system.root() else { return false };
    let is_order = |key: Id| matches!(system.value(key), Value::Text("little_endian"));
    facts.iter().any(|&(key, value)| is_order(key) && matches!(system.value(value), Value::Bool(false)))
}

/// Walks over the storages, in the order of their keys.
fn storages<'p>(
    bytes: &[u8],
    object: &Pickled<'p>,
    keys: &Pickled<'p>,
) -> Result<HashMap<&'p str, Storage>, Fault> {
    let types = object.storages();
    let Value::List(order) = keys.root() else {
        return Err(Fault::NoTensors("there is no list of its storages".into()));
    };
    let mut places = HashMap::new();
    let mut at = keys.end;
    for &key in order {
        let &Value::Text(key) = keys.value(key) else {
            return Err(Fault::NoTensors("the name of a storage is no text".into()));
        };
        let Some(&(dtype, said)) = types.get(key) else {
            return Err(Fault::NoTensors(format!("its storage `{key}` is of no type")));
        };
        let count = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>);
        let count = u64::from_le_bytes(*count.ok_or(Fault::Truncated("its storages"))?);
        let elements = usize::try_from(count).ok().filter(|&elements| elements == said);
        let Some(elements) = elements else {
            return Err(Fault::NoTensors(format!("its storage `{key}` has {count} elements, not {said}")));
        };
        let start = at + 8;
        let end = elements.checked_mul(dtype.size()).and_then(|size| start.checked_add(size));
        at = end.filter(|&end| end <= bytes.len()).ok_or(Fault::Truncated("its storages"))?;
        if places.insert(key, Storage { content: 0, dtype, start, elements }).is_some() {
            return Err(Fault::NoTensors(format!("its storage `{key}` is there twice")));
        }
    }
    Ok(places)
}
