//! Files that may be packed by gzip, as files that can be read at any place.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::files;

/// Most bytes that a packed file may have when it is unpacked.
pub(super) const UNPACKED: u64 = 1 << 36;

/// The file with its size; a packed one's content, unpacked to a file without a name beside other temporary ones.
///
/// # Errors
/// Those of the system, damaged packing, and what is too large unpacked.
pub(super) fn plain(path: &Path) -> io::Result<(File, u64)> {
    let (mut file, size) = files::open(path)?;
    let mut magic = [0; 2];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    match magic[..read] == [0x1f, 0x8b] {
        true => spill(&mut MultiGzDecoder::new(BufReader::new(file))),
        false => Ok((file, size)),
    }
}

/// What a reader gives, in a file without a name, and its size.
///
/// # Errors
/// Those of the reader and of the system, and what is too large.
pub(super) fn spill(from: &mut impl Read) -> io::Result<(File, u64)> {
    let mut plain = tempfile::tempfile()?;
    let size = io::copy(&mut from.take(UNPACKED + 1), &mut plain)?;
    if size > UNPACKED {
        let text = format!("unpacked, it has more than {UNPACKED} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    plain.rewind()?;
    Ok((plain, size))
}
