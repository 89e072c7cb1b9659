//! Any bytes as a file of weights: safetensors, or PyTorch's with its pickle. They are read, or refused with a reason; what is read
//! has as many elements as its shape says.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use resnetc_weights::TensorFile;

fuzz_target!(|bytes: &[u8]| {
    match TensorFile::from_bytes(Path::new("fuzz.pth"), bytes.to_vec()) {
        Ok(file) => {
            for (name, listed) in file.list() {
                let numel: usize = listed.shape.iter().product();
                assert!(file.floats(&name).is_none_or(|floats| floats.len() == numel));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
