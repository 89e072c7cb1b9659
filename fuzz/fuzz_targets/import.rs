//! Any bytes as another program's network, ONNX, Darknet or Caffe as they look: the spec that is made of it has been compiled and
//! compared; all else is refused with a reason.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resnetc_import::{Format, Options, import};

fuzz_target!(|bytes: &[u8]| {
    let format = match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_start().starts_with(['[', '#']) => Format::Darknet,
        Ok(_) => Format::Caffe,
        Err(_) => Format::Onnx,
    };
    let options = Options { name: "fuzz", origin: "fuzz", input: Some([3, 32, 32]), weights: None };
    match import(format, bytes, &options) {
        Ok(imported) => assert!(imported.spec.contains("name: fuzz")),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
});
