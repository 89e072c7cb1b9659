//! Whether a JPEG is all there. The decoder fills what is missing with grey and says nothing.

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

/// What follows the first start of a scan.
fn first_scan(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(&[0xff, START_OF_IMAGE])?;
    loop {
        // Between segments there may be anything; decoders look for the next marker.
        let at = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
        let (marker, after) = (rest[at + 1], &rest[at + 2..]);
        let length = match marker {
            0x01 | 0xd0..=END_OF_IMAGE => 0,
            _ => usize::from(u16::from_be_bytes(*after.first_chunk()?)),
        };
        rest = after.get(length..)?;
        if marker == START_OF_SCAN {
            return Some(rest);
        }
    }
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
