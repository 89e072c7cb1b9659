//! Sizes of memory as people write them: `4GiB`, `800 MB`.

/// Units and their bytes, largest first; the powers of 1024 before those of 1000.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// What a size looks like, as a regular expression of JSON schemas.
pub(crate) const PATTERN: &str = "^ *[0-9]+(\\.[0-9]+)? *([KMGTkmgt]i?)?[Bb] *$";

/// Bytes of a size; `None` where it is none, is zero, or has no unit: a bare number may mean anything.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let (_, bytes) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let number = number.trim_end();
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.')
        && number.starts_with(|c: char| c.is_ascii_digit());
    let number: f64 = number.parse().ok().filter(|_| plain)?;
    let size = number * *bytes as f64;
    (size >= 1.0 && size < (1u64 << 53) as f64).then_some(size as u64)
}

/// A size that [`parse`] reads as the same bytes: `4GiB`, `1500MB`.
pub(crate) fn text(bytes: u64) -> String {
    let whole = UNITS.iter().filter(|(_, unit)| bytes.is_multiple_of(*unit));
    let (name, unit) = whole.min_by_key(|(_, unit)| bytes / unit).expect("one byte divides all");
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse("4GiB"), Some(4 << 30));
        assert_eq!(parse(" 1.5 gib "), Some(3 << 29));
        assert_eq!(parse("800 MB"), Some(800_000_000));
        assert_eq!(parse("12B"), Some(12));
        for wrong in [
            "4",
            "",
            "GiB",
            "-1GiB",
            "4 Gib x",
            "1e3MB",
            "inf GB",
            "0MB",
            "0.1B",
            "4GiBs",
            "99999999TB",
            "١GB",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for bytes in [1, 999, 1000, 1024, 4 << 30, 800_000_000, 5_000_000_001, (1 << 53) - 1] {
            assert_eq!(parse(&text(bytes)), Some(bytes), "{}", text(bytes));
        }
        assert_eq!(text(4 << 30), "4GiB");
        assert_eq!(text(800_000_000), "800MB");
    }
}
