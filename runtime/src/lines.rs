//! Files of lines that a training appends to, and cuts back to its checkpoint when it goes on.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::weights::file::write_atomic;

/// More than such a file of any training.
const LARGEST: u64 = 1 << 28;

/// A file of lines. Nothing is read or written before [`Lines::begin`]; lines wait until then.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    /// All lines: of the file, from [`Lines::begin`] on, and behind them those that wait to be written.
    text: Vec<u8>,
    /// How much of the text the file holds.
    written: usize,
    begun: bool,
    /// A write has failed, so that the file may end within a line.
    torn: bool,
}

impl Lines {
    pub fn new(path: &Path) -> Self {
        Lines { path: path.to_path_buf(), text: Vec::new(), written: 0, begun: false, torn: false }
    }

    /// Keeps of the file what `kept` says, and writes what waited behind it.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn begin(&mut self, kept: impl Fn(&[u8]) -> Vec<u8>) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        let found = match files::read_bytes(&self.path, LARGEST) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(&self.path)(error)),
        };
        let mut text = kept(found.as_deref().unwrap_or_default());
        text.append(&mut self.text);
        if found.is_none_or(|found| found != text) {
            write_atomic(&self.path, &text)?;
        }
        (self.written, self.text, self.begun) = (text.len(), text, true);
        Ok(())
    }

    /// A line more, which waits for [`Lines::flush`].
    pub fn push(&mut self, line: &str) {
        self.text.extend(line.as_bytes());
        self.text.push(b'\n');
    }

    /// Writes what waits in one write and, where `sync` says so, waits until it is on the disk. A file that was taken away is
    /// written anew, and so is one that an earlier write may have left half a line in.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush(&mut self, sync: bool) -> Result<()> {
        if !self.begun || self.written == self.text.len() {
            return Ok(());
        }
        let anew = match OpenOptions::new().append(true).open(&self.path) {
            Ok(mut file) if !self.torn => {
                let written = file.write_all(&self.text[self.written..]);
                let written = written.and_then(|()| if sync { file.sync_data() } else { Ok(()) });
                self.torn = written.is_err();
                written.map_err(Error::io(&self.path))?;
                false
            }
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(Error::io(&self.path)(error)),
        };
        if anew {
            write_atomic(&self.path, &self.text)?;
        }
        (self.written, self.torn) = (self.text.len(), false);
        Ok(())
    }
}

/// The whole lines of a text that `keep` wants.
pub(crate) fn whole(text: &[u8], keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.filter(|line| keep(line)).flatten().copied().collect()
}
