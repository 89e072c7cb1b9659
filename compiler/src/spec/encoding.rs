//! The bytes of a file as the text of a spec. Specs are UTF-8. Other files are refused by what they probably are.

use std::fmt;

/// Why bytes are no text of a spec, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    reason: String,
    help: &'static str,
}

impl fmt::Display for NotText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.help)
    }
}

impl std::error::Error for NotText {}

const UTF_16: &str = "save it as UTF-8, or convert it: `iconv -f UTF-16 -t UTF-8 OLD > NEW`";
const LATIN_1: &str =
    "save it as UTF-8, or convert it, here from Latin-1: `iconv -f LATIN1 -t UTF-8 OLD > NEW`";
const NO_TEXT: &str = "a spec is a text file in YAML";

/// The text. Bytes behind a character that `cut` has torn apart at the end are left out.
///
/// # Errors
/// What the bytes are instead.
pub fn decode(bytes: Vec<u8>, cut: bool) -> Result<String, NotText> {
    if let Some(reason) = wide(&bytes) {
        return Err(NotText { reason, help: UTF_16 });
    }
    if bytes.contains(&0) {
        return Err(NotText {
            reason: "it has bytes that are 0, which no text has".to_owned(),
            help: NO_TEXT,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let fault = error.utf8_error();
            let valid = fault.valid_up_to();
            let mut bytes = error.into_bytes();
            if cut && fault.error_len().is_none() {
                bytes.truncate(valid);
                return decode(bytes, false);
            }
            let before = String::from_utf8_lossy(&bytes[..valid]).into_owned();
            let (line, column) = (
                before.matches('\n').count() + 1,
                before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
            );
            let byte = bytes[valid];
            let reason = format!("the byte 0x{byte:02X} in line {line}, column {column} is not UTF-8");
            Err(NotText { reason, help: LATIN_1 })
        }
    }
}

/// What a text is that takes two or four bytes for a letter: by its first bytes, or as every second one is 0.
fn wide(bytes: &[u8]) -> Option<String> {
    let marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let head = &bytes[..bytes.len().min(64)];
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|&&byte| byte == 0).count();
    let half = head.len() / 2;
    let alternate = half >= 2 && (zeros(0) * 4 >= half * 3 || zeros(1) * 4 >= half * 3);
    (marked || alternate).then(|| "it is UTF-16, not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn told(bytes: &[u8]) -> String {
        decode(bytes.to_vec(), false).expect_err("no text").to_string()
    }

    #[test]
    fn other_encodings_are_named_with_the_way_out() {
        let wide: Vec<u8> = "name: a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "name: a\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [wide.clone(), big, [&[0xff, 0xfe][..], &wide].concat()] {
            assert!(told(&bytes).starts_with("it is UTF-16"), "{bytes:?}");
            assert!(told(&bytes).contains("iconv -f UTF-16"), "{bytes:?}");
        }
        let latin = told(b"name: a\nstem: gr\xf6sse");
        assert!(latin.starts_with("the byte 0xF6 in line 2, column 9 is not UTF-8"), "{latin}");
        assert!(latin.contains("iconv -f LATIN1"), "{latin}");
        assert!(told(b"\x7fELF\x02\x01\x01\0\0\0abcdefgh").contains("bytes that are 0"));
    }

    #[test]
    fn utf_8_is_taken_with_or_without_its_mark() {
        assert_eq!(decode("größe".into(), false).as_deref(), Ok("größe"));
        assert_eq!(decode(Vec::new(), false).as_deref(), Ok(""));
        assert!(decode("\u{feff}name: a".into(), false).is_ok());
    }

    /// A file that is longer than the limit is read up to it, which may be within a character.
    #[test]
    fn a_character_that_the_limit_cuts_is_no_fault() {
        let cut = "größe".as_bytes()[..3].to_vec();
        assert_eq!(decode(cut.clone(), true).as_deref(), Ok("gr"));
        assert!(decode(cut, false).is_err());
    }
}
