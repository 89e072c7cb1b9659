//! Any bytes as records of CIFAR-10: pictures with labels of its ten classes, or a reason.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resnetc_runtime::data::cifar::{CIFAR10, decode_records};

fuzz_target!(|bytes: &[u8]| {
    let records = bytes.len().div_ceil(3073);
    match decode_records(&CIFAR10, bytes, records) {
        Ok((pixels, labels)) => {
            assert_eq!((pixels.len(), labels.len()), (records * 3072, records));
            assert!(labels.iter().all(|&label| label < 10));
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
});
