//! The zip archives that PyTorch writes: entries that are stored, not compressed, and read where they lie.
//!
//! Nothing is ever unpacked, so no archive is larger than its file. An entry that is compressed is refused; PyTorch writes none.
//! The format is APPNOTE.TXT of PKWARE, of which this reads the central directory (4.3.12), with its 64-bit form.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::Fault;

/// Begins an entry.
const LOCAL: u32 = 0x0403_4b50;
/// Begins an entry of the directory.
const CENTRAL: u32 = 0x0201_4b50;
/// Begins the end of the directory.
const END: u32 = 0x0605_4b50;
/// Begins the place of that end in its 64-bit form.
const LOCATOR64: u32 = 0x0706_4b50;
/// Begins that end.
const END64: u32 = 0x0606_4b50;
/// Bytes of the end, without a comment, and most bytes of that.
const END_SIZE: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;
/// Most entries: a storage for each tensor of the largest networks, many times over.
const MOST_ENTRIES: u64 = 1 << 20;

/// Whether bytes begin as such an archive does.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    number::<4>(bytes, 0) == Some(u64::from(LOCAL))
}

fn fault(reason: impl Into<String>) -> Fault {
    Fault::Zip(reason.into())
}

/// A number of so many bytes; `None` beyond the end.
fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let found = bytes.get(at..at.checked_add(BYTES)?)?;
    Some(found.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Where each entry's bytes lie, by name. No two share any.
pub(super) fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Range<usize>>, Fault> {
    let (count, start) = directory(bytes)?;
    if count > MOST_ENTRIES {
        return Err(fault(format!("it has {count} entries, at most {MOST_ENTRIES} are read")));
    }
    let mut at = usize::try_from(start).map_err(|_| fault("its directory lies outside of it"))?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let entry = Entry::read(bytes, at).ok_or(Fault::Truncated("its directory"))??;
        at = entry.next;
        let name = entry.name.clone();
        let range = entry.range(bytes)?;
        if entries.insert(name.clone(), range).is_some() {
            return Err(fault(format!("it has two entries `{name}`")));
        }
    }
    apart(&entries)?;
    Ok(entries)
}

/// Overlapping entries make much of a small file.
fn apart(entries: &BTreeMap<String, Range<usize>>) -> Result<(), Fault> {
    let mut ranges: Vec<_> = entries.iter().filter(|(_, range)| !range.is_empty()).collect();
    ranges.sort_by_key(|(_, range)| range.start);
    match ranges.windows(2).find(|pair| pair[0].1.end > pair[1].1.start) {
        Some(pair) => Err(fault(format!("its entries `{}` and `{}` overlap", pair[0].0, pair[1].0))),
        None => Ok(()),
    }
}

/// Number of entries, and the byte where the directory begins.
fn directory(bytes: &[u8]) -> Result<(u64, u64), Fault> {
    let last = bytes.len().checked_sub(END_SIZE).ok_or(Fault::Truncated("its directory"))?;
    let first = last.saturating_sub(LONGEST_COMMENT);
    let mut places = (first..=last).rev();
    let end = places.find(|&at| number::<4>(bytes, at) == Some(u64::from(END)));
    let end = end.ok_or(Fault::Truncated("its directory"))?;
    let wide = end.checked_sub(20).filter(|&at| number::<4>(bytes, at) == Some(u64::from(LOCATOR64)));
    let found = match wide {
        Some(locator) => {
            let place = number::<8>(bytes, locator + 8).and_then(|at| usize::try_from(at).ok());
            let place = place.filter(|&at| number::<4>(bytes, at) == Some(u64::from(END64)));
            place.and_then(|at| Some((number::<8>(bytes, at + 32)?, number::<8>(bytes, at + 48)?)))
        }
        None => number::<2>(bytes, end + 10).zip(number::<4>(bytes, end + 16)),
    };
    found.ok_or_else(|| fault("the end of its directory leads nowhere"))
}

/// An entry of the directory.
struct Entry {
    name: String,
    method: u64,
    encrypted: bool,
    packed: u64,
    size: u64,
    header: u64,
    /// Where the next one begins.
    next: usize,
}

impl Entry {
    /// `None` where the file ends.
    fn read(bytes: &[u8], at: usize) -> Option<Result<Self, Fault>> {
        let word = |offset: usize| number::<2>(bytes, at.checked_add(offset)?);
        let long = |offset: usize| number::<4>(bytes, at.checked_add(offset)?);
        if long(0)? != u64::from(CENTRAL) {
            return Some(Err(fault(format!("there is no entry of its directory at byte {at}"))));
        }
        let (name, extra, comment) = (word(28)? as usize, word(30)? as usize, word(32)? as usize);
        let names = at.checked_add(46)?;
        let fields = bytes.get(names + name..names + name + extra)?;
        let mut entry = Entry {
            name: String::from_utf8_lossy(bytes.get(names..names + name)?).into_owned(),
            method: word(10)?,
            encrypted: word(8)? & 1 == 1,
            packed: long(20)?,
            size: long(24)?,
            header: long(42)?,
            next: names + name + extra + comment,
        };
        entry.widen(fields);
        Some(Ok(entry))
    }

    /// Takes the numbers that need 64 bits from the extra fields: those that are all ones, in this order.
    fn widen(&mut self, mut fields: &[u8]) {
        while let (Some(id), Some(size)) = (number::<2>(fields, 0), number::<2>(fields, 2)) {
            let end = 4 + size as usize;
            let Some(field) = fields.get(4..end) else { return };
            if id == 1 {
                let wide = [&mut self.size, &mut self.packed, &mut self.header];
                for (i, value) in wide.into_iter().filter(|value| **value == 0xffff_ffff).enumerate() {
                    *value = number::<8>(field, i * 8).unwrap_or(*value);
                }
            }
            fields = &fields[end..];
        }
    }

    /// The bytes of its content.
    fn range(&self, bytes: &[u8]) -> Result<Range<usize>, Fault> {
        let Entry { name, method, encrypted, packed, size, header, .. } = self;
        if *method != 0 || packed != size || *encrypted {
            return Err(fault(format!(
                "`{name}` is compressed or encrypted: unpack the archive and pack it anew without compression (`zip -0`)"
            )));
        }
        let inside = || {
            let at = usize::try_from(*header).ok()?;
            let names = number::<2>(bytes, at.checked_add(26)?)? + number::<2>(bytes, at.checked_add(28)?)?;
            let start = at.checked_add(30 + names as usize)?;
            let end = start.checked_add(usize::try_from(*size).ok()?)?;
            let here = number::<4>(bytes, at) == Some(u64::from(LOCAL));
            (here && end <= bytes.len()).then_some(start..end)
        };
        inside().ok_or_else(|| fault(format!("its entry `{name}` lies outside of the file")))
    }
}
