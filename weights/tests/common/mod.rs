//! Writes the files that the tests read, byte for byte as PyTorch writes them, or nearly so.

#![allow(dead_code)] // Each suite uses a part.

pub mod pickle;
pub mod zip;

use std::path::Path;

use resnetc_weights::{Error, Fault, TensorFile};

use pickle::{Pickle, Tensor};
use zip::Entry;

/// Elements as they lie in files.
pub fn bytes(floats: &[f32]) -> Vec<u8> {
    floats.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// What a file of these bytes has in it.
pub fn read(bytes: Vec<u8>) -> Result<TensorFile, Error> {
    TensorFile::from_bytes(Path::new("x.pth"), bytes)
}

/// Why a file of these bytes is refused.
pub fn refused(bytes: Vec<u8>) -> Fault {
    match read(bytes) {
        Err(Error::File { fault, .. }) => fault,
        Err(other) => panic!("{other}"),
        Ok(file) => panic!("read: {:?}", file.list()),
    }
}

/// A dictionary of tensors, each with a storage of its own, as `torch.save` writes it.
pub fn state(tensors: &[Tensor]) -> Vec<u8> {
    Pickle::new().ordered(tensors).stop()
}

/// A file of PyTorch before 1.6 of that object and these storages.
pub fn legacy(object: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let mut file = Pickle::new().long(&[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]).stop();
    file.extend(Pickle::new().int(1001).stop());
    file.extend(Pickle::new().empty_dict().mark().text("little_endian").truth(true).set_items().stop());
    file.extend(object);
    let keys = storages.iter().fold(Pickle::new().empty_list().mark(), |keys, (key, _)| keys.text(key));
    file.extend(keys.append_all().stop());
    for (_, floats) in storages {
        file.extend((floats.len() as u64).to_le_bytes());
        file.extend(bytes(floats));
    }
    file
}

/// A zip archive of PyTorch of that object and these storages.
pub fn archive(object: &[u8], storages: &[(&str, &[f32])]) -> Vec<u8> {
    let mut entries = vec![Entry::new("net/data.pkl", object), Entry::new("net/byteorder", b"little")];
    entries
        .extend(storages.iter().map(|(key, floats)| Entry::new(&format!("net/data/{key}"), &bytes(floats))));
    zip::archive(&entries)
}

/// A safetensors file with that header.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}
