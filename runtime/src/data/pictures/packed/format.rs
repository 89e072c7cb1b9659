//! What a file of decoded pictures consists of: a head, pixels, an index. All numbers are little-endian; `docs/packed.md` says the same
//! for those who write or read such files elsewhere.

use sha2::{Digest, Sha256};

/// Begins a file.
pub(super) const MAGIC: [u8; 8] = *b"RESNETCP";
/// Version of the format.
pub(super) const VERSION: u32 = 1;
/// Bytes of the head: numbers, then the checksum.
pub(super) const HEAD: usize = NUMBERS + 32;
/// Bytes of the head that the checksum covers, with the index.
const NUMBERS: usize = 40;
/// Bytes of a picture's entry.
const ENTRY: usize = 20;
/// Channels of all pictures.
pub(super) const CHANNELS: usize = 3;

/// A picture of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The byte that its pixels begin with, `[row][column][channel]`.
    pub start: u64,
    pub height: u32,
    pub width: u32,
    pub label: u32,
}

impl Entry {
    /// Bytes of its pixels.
    pub fn bytes(&self) -> u64 {
        u64::from(self.height).saturating_mul(u64::from(self.width)).saturating_mul(CHANNELS as u64)
    }
}

/// What the index says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// Whether pictures are to be framed, or have the network's size by themselves.
    pub any_size: bool,
    pub classes: Vec<String>,
    pub train: Vec<Entry>,
    pub test: Vec<Entry>,
}

impl Index {
    /// Head and index of a file whose pixels end at that byte.
    pub fn to_bytes(&self, end: u64) -> ([u8; HEAD], Vec<u8>) {
        let mut index = Vec::new();
        for count in [self.classes.len(), self.train.len(), self.test.len()] {
            index.extend((count as u32).to_le_bytes());
        }
        for class in &self.classes {
            index.extend((class.len() as u32).to_le_bytes());
            index.extend(class.as_bytes());
        }
        for entry in self.train.iter().chain(&self.test) {
            index.extend(entry.start.to_le_bytes());
            [entry.height, entry.width, entry.label]
                .iter()
                .for_each(|number| index.extend(number.to_le_bytes()));
        }
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&u32::from(self.any_size).to_le_bytes());
        let size = index.len() as u64;
        for (at, number) in [(16, end + size), (24, end), (32, size)] {
            head[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let sum = checksum(&head, &index);
        head[NUMBERS..].copy_from_slice(&sum);
        (head, index)
    }

    /// The index of a file. Nothing it says is believed before the checksum is right and every picture lies within the file.
    ///
    /// # Errors
    /// What is wrong.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        let cut = "it ends within its head: it is cut off";
        let head = file.first_chunk::<HEAD>().ok_or(cut)?;
        let short = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        if head[..8] != MAGIC {
            return Err("it is no file of `resnetc data pack`".into());
        }
        if short(8) != VERSION {
            return Err(format!(
                "it is of version {} of the format, this program reads {VERSION}: pack it anew",
                short(8)
            ));
        }
        if long(16) != file.len() as u64 {
            return Err(format!(
                "it has {} bytes and should have {}: it is cut off, or not whole",
                file.len(),
                long(16)
            ));
        }
        let place = |at: u64| usize::try_from(at).ok();
        let range = place(long(24)).zip(place(long(32)));
        let range = range.and_then(|(start, size)| Some(start..start.checked_add(size)?));
        let index = range.and_then(|range| file.get(range)).ok_or("its index lies outside of it")?;
        if head[NUMBERS..] != checksum(head, index) {
            return Err("the checksum of its index is wrong: it is damaged".into());
        }
        let found = Fields(index).index(short(12) & 1 == 1).ok_or("its index ends early: it is damaged")?;
        found.check(long(24))?;
        Ok(found)
    }

    /// All pictures lie between head and index, and are of a class.
    fn check(&self, end: u64) -> Result<(), String> {
        for (index, entry) in self.train.iter().chain(&self.test).enumerate() {
            let last = entry.start.checked_add(entry.bytes());
            let inside =
                entry.start >= HEAD as u64 && last.is_some_and(|last| last <= end) && entry.bytes() > 0;
            if !inside || entry.label as usize >= self.classes.len() {
                return Err(format!("picture {index} lies outside of it, or has no class: it is damaged"));
            }
        }
        Ok(())
    }
}

/// SHA-256 of the head's numbers and of the index.
fn checksum(head: &[u8; HEAD], index: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&head[..NUMBERS]);
    hash.update(index);
    hash.finalize().into()
}

/// What is left of an index.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn entry(&mut self) -> Option<Entry> {
        let (start, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        let start = u64::from_le_bytes(*start);
        Some(Entry { start, height: self.number()?, width: self.number()?, label: self.number()? })
    }

    fn index(mut self, any_size: bool) -> Option<Index> {
        let [classes, train, test] =
            [self.number()?, self.number()?, self.number()?].map(|count| count as usize);
        // Each takes room in the index: no more are made than it has.
        let room = classes.checked_mul(4)?.checked_add(train.checked_add(test)?.checked_mul(ENTRY)?)?;
        if room > self.0.len() {
            return None;
        }
        let classes = (0..classes).map(|_| self.text()).collect::<Option<_>>()?;
        let train = (0..train).map(|_| self.entry()).collect::<Option<_>>()?;
        let test = (0..test).map(|_| self.entry()).collect::<Option<_>>()?;
        self.0.is_empty().then_some(Index { any_size, classes, train, test })
    }
}
