//! Files for TensorBoard: `events.out.tfevents.*`, a sequence of protobuf messages in the framing of TensorFlow's records.
//!
//! A record is its length (8 bytes, little endian), the masked CRC-32C of these, the message, and its masked CRC-32C. Of the messages
//! (`tensorflow/core/util/event.proto` and `summary.proto`) scalars are written, and the marks of a file's and a session's beginning.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::folder::EVENTS;
use crate::error::{Error, Result};

/// What a file says first.
const FILE_VERSION: &str = "brain.Event:2";

/// A file, while its training lasts. Nothing is written before [`EventFile::begin`]; what is told before waits.
#[derive(Debug)]
pub(super) struct EventFile {
    folder: PathBuf,
    path: Option<PathBuf>,
    waiting: Vec<u8>,
    /// Length of the file's whole records.
    written: u64,
}

impl EventFile {
    /// For a training that goes on after so many updates, or begins (0). What earlier files have of later updates TensorBoard then
    /// leaves out.
    pub fn new(folder: &Path, after: usize, now: SystemTime) -> Self {
        let mut waiting = record(&file_version(now));
        if after > 0 {
            waiting.extend(record(&session_start(now, after + 1)));
        }
        EventFile { folder: folder.to_owned(), path: None, waiting, written: 0 }
    }

    /// Makes the file, under a name that sorts behind those of earlier starts.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn begin(&mut self, now: SystemTime) -> Result<()> {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for number in 0.. {
            let path = self.folder.join(format!("{EVENTS}{seconds:010}.resnetc.{number}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => {
                    self.path = Some(path);
                    break;
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(path)(error)),
            }
        }
        self.flush()
    }

    /// Figures after so many updates, which wait for [`EventFile::flush`].
    pub fn scalars(&mut self, step: usize, values: &[(&str, f64)], now: SystemTime) {
        self.waiting.extend(record(&scalars(now, step, values)));
    }

    /// Writes what waits. A file that was taken away is not made anew, for TensorBoard would not read its rest.
    ///
    /// # Errors
    /// Where the file cannot be written; it then ends where it ended before.
    pub fn flush(&mut self) -> Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut file = match OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.waiting.clear();
                return Ok(());
            }
            opened => opened.map_err(Error::io(path))?,
        };
        let written = file.write_all(&self.waiting);
        if written.is_err() {
            // A part of a record would hide all behind it.
            let _ = file.set_len(self.written);
        }
        written.map_err(Error::io(path))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

/// `Event { wall_time = 1, file_version = 3 }`
fn file_version(now: SystemTime) -> Vec<u8> {
    let mut message = wall_time(now);
    bytes(&mut message, 3, FILE_VERSION.as_bytes());
    message
}

/// `Event { wall_time = 1, step = 2, session_log = 7 { status = 1: START = 1 } }`
fn session_start(now: SystemTime, step: usize) -> Vec<u8> {
    let mut message = wall_time(now);
    number(&mut message, 2, step as u64);
    bytes(&mut message, 7, &[1 << 3, 1]);
    message
}

/// `Event { wall_time = 1, step = 2, summary = 5 { value = 1 { tag = 1, simple_value = 2 } ... } }`
fn scalars(now: SystemTime, step: usize, values: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in values {
        let mut one = Vec::new();
        bytes(&mut one, 1, tag.as_bytes());
        one.push(2 << 3 | 5);
        one.extend((*value as f32).to_le_bytes());
        bytes(&mut summary, 1, &one);
    }
    let mut message = wall_time(now);
    number(&mut message, 2, step as u64);
    bytes(&mut message, 5, &summary);
    message
}

fn wall_time(now: SystemTime) -> Vec<u8> {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let mut message = vec![1 << 3 | 1];
    message.extend(seconds.to_le_bytes());
    message
}

/// A field that is a varint.
fn number(message: &mut Vec<u8>, field: u64, value: u64) {
    varint(message, field << 3);
    varint(message, value);
}

/// A field that is a text or a message.
fn bytes(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(message, field << 3 | 2);
    varint(message, content.len() as u64);
    message.extend(content);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(message);
    record.extend(masked(crc32c(message)).to_le_bytes());
    record
}

/// So that the checksum of a record within a record is none of its bytes.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 by Castagnoli's polynomial, reflected (RFC 3720).
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut crc, mut bit) = (byte as u32, 0);
            while bit < 8 {
                crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, &byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    /// `scripts/tensorboard-golden` writes the same events with TensorBoard's own writer.
    #[test]
    fn files_are_those_of_tensorboard() {
        let folder = tempfile::tempdir().expect("temp folder");
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_millis(1_795_899_900_500 + 1000 * seconds);
        let mut file = EventFile::new(folder.path(), 300, at(0));
        file.begin(at(0)).expect("writable");
        file.scalars(301, &[("train/loss", 2.25)], at(1));
        file.scalars(70_000, &[("test/loss", 1.5), ("test/accuracy", 0.1)], at(2));
        file.flush().expect("writable");
        let path = folder.path().join("events.out.tfevents.1795899900.resnetc.0");
        let golden = include_bytes!("../../../../tests/golden/events.tfevents");
        assert_eq!(std::fs::read(path).expect("written"), golden);
    }
}
