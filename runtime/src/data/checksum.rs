//! Checksums that publishers name, and whether a file has them.

use std::io::{self, Read};

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// A checksum in lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum<'a> {
    /// All digits of an MD5.
    Md5(&'a str),
    /// The first digits of a SHA-256, or all of them.
    Sha256(&'a str),
    /// None is known.
    Unknown,
}

impl Checksum<'_> {
    /// What is wrong with what a reader gives, if anything is.
    ///
    /// # Errors
    /// The reader's.
    pub(super) fn fault(&self, reader: &mut dyn Read) -> io::Result<Option<String>> {
        let (kind, wanted, found) = match self {
            Checksum::Md5(digits) => ("MD5", digits, hex(digest::<Md5>(reader)?)),
            Checksum::Sha256(digits) => ("SHA-256", digits, hex(digest::<Sha256>(reader)?)),
            Checksum::Unknown => return Ok(None),
        };
        let wrong = !found.starts_with(wanted);
        Ok(wrong.then(|| format!("its {kind} is {found}, {wanted} was expected")))
    }
}

fn digest<D: Digest>(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut hash = D::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hash.finalize().to_vec()),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of FIPS 180-2's and RFC 1321's examples.
    #[test]
    fn known_digests() {
        let fault = |checksum: Checksum<'_>| checksum.fault(&mut &b"abc"[..]).expect("bytes in memory");
        assert_eq!(fault(Checksum::Md5("900150983cd24fb0d6963f7d28e17f72")), None);
        assert_eq!(fault(Checksum::Sha256("ba7816bf")), None);
        assert_eq!(fault(Checksum::Unknown), None);
        let wrong = fault(Checksum::Sha256("ba7816be")).expect("another digit");
        assert!(
            wrong.starts_with("its SHA-256 is ba7816bf") && wrong.ends_with("ba7816be was expected"),
            "{wrong}"
        );
    }
}
