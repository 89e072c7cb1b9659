//! Any bytes as a log: whole lines that are no records of later epochs stay, byte for byte and in order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use resnetc_runtime::metrics::kept;

fuzz_target!(|input: (u8, &[u8])| {
    let (epochs, text) = input;
    let stays = kept(text, usize::from(epochs));
    assert!(stays.is_empty() || stays.ends_with(b"\n"));
    assert_eq!(kept(&stays, usize::from(epochs)), stays, "cutting again changes nothing");
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    for line in stays.split_inclusive(|&byte| byte == b'\n') {
        assert!(lines.any(|found| found == line), "a line that was not there");
    }
});
