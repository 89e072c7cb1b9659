//! The segments of a JPEG, and whether it is all there: the decoder fills what is missing with grey and says nothing.

/// Markers (T.81, table B.1).
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Whether the end of the picture stands behind its first scan. A thumbnail, which has an end of its own, lies in a segment
/// before it.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Some(scan) = first_scan(bytes) else { return false };
    // Coded data have no marker but restarts: 0xff is followed by 0 there.
    scan.windows(2).any(|pair| pair == [0xff, END_OF_IMAGE])
}

/// The segments up to the first start of a scan, that one included: marker, where the content begins in the file, content.
pub struct Segments<'b> {
    bytes: &'b [u8],
    at: usize,
    done: bool,
}

impl<'b> Segments<'b> {
    /// Of a file; `None` where it does not begin as one.
    pub fn of(bytes: &'b [u8]) -> Option<Self> {
        bytes.starts_with(&[0xff, START_OF_IMAGE]).then_some(Segments { bytes, at: 2, done: false })
    }
}

impl<'b> Iterator for Segments<'b> {
    type Item = (u8, usize, &'b [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..).filter(|_| !self.done)?;
        // Between segments there may be anything; decoders look for the next marker.
        let found = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
        let marker = rest[found + 1];
        let (start, length) = match marker {
            0x01 | 0xd0..=END_OF_IMAGE => (self.at + found + 2, 0),
            _ => {
                let length = usize::from(u16::from_be_bytes(*rest[found + 2..].first_chunk()?));
                (self.at + found + 4, length.checked_sub(2)?)
            }
        };
        self.at = start + length;
        self.done = marker == START_OF_SCAN;
        Some((marker, start, self.bytes.get(start..self.at)?))
    }
}

/// What follows the first start of a scan.
fn first_scan(bytes: &[u8]) -> Option<&[u8]> {
    let scan = Segments::of(bytes)?.find(|(marker, ..)| *marker == START_OF_SCAN);
    scan.and_then(|(_, start, content)| bytes.get(start + content.len()..))
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn the_end_is_looked_for_behind_the_scan() {
        let head = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 0xff, 0xda];
        let scan = [0xff, 0xda, 0, 2, 1, 2, 0xff, 0, 3];
        let end = [0xff, 0xd9];
        let join = |parts: &[&[u8]]| parts.concat();
        assert!(is_whole(&join(&[&head, &scan, &end])));
        assert!(is_whole(&join(&[&head, &scan, &end, b"trailing bytes"])));
        assert!(!is_whole(&join(&[&head, &scan])), "the thumbnail's end does not count");
        assert!(!is_whole(&head));
        assert!(!is_whole(&[]));
        assert!(!is_whole(&[0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, 0]), "a segment longer than the file");
    }
}
