//! Any bytes as a checkpoint: they are read, or refused with a reason. What is read can be written, and is then read the same.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use resnetc_runtime::checkpoint::Checkpoint;
use resnetc_runtime::weights::file;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz.safetensors");
    if let Ok((store, metadata)) = file::from_bytes(path, bytes) {
        let written = file::to_bytes(&store, &metadata).expect("what was read can be written");
        let (again, _) = file::from_bytes(path, &written).expect("what was written can be read");
        assert_eq!(store.len(), again.len());
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("last.safetensors");
    std::fs::write(&path, bytes).expect("writable");
    if let Err(error) = Checkpoint::load(&path) {
        assert!(!error.to_string().is_empty());
    }
});
