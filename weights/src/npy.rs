//! Headers of NumPy's files of one array, versions 1 to 3 (`numpy.lib.format`).

use std::io::Read;

/// What such files begin with.
pub const MAGIC: &[u8] = b"\x93NUMPY";
/// Most bytes of a header, as NumPy itself reads them from strangers.
const LONGEST: usize = 10_000;
/// Most dimensions of an array, as NumPy has them.
const MOST_DIMENSIONS: usize = 64;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type of the elements, as NumPy spells it: `<f4`, `|u1`.
    pub descr: String,
    /// Whether the first index runs fastest.
    pub fortran: bool,
    /// Sizes, the slowest index first.
    pub shape: Vec<usize>,
    /// The byte that the elements begin with.
    pub start: usize,
}

impl Header {
    /// Reads a header, and nothing behind it.
    ///
    /// # Errors
    /// What is wrong with the bytes, and what to save instead.
    pub fn read(file: &mut impl Read) -> Result<Self, String> {
        let cut = |_| "it ends within its header".to_owned();
        let mut magic = [0; MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != *MAGIC {
            return Err("it is no file of NumPy: those begin with \\x93NUMPY".into());
        }
        let mut version = [0; 2];
        file.read_exact(&mut version).map_err(cut)?;
        let width = match version[0] {
            1 => 2,
            2 | 3 => 4,
            other => return Err(format!("it is of version {other} of the format; 1, 2 and 3 are known")),
        };
        let mut length = [0; 4];
        file.read_exact(&mut length[..width]).map_err(cut)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(format!("its header has {length} bytes, such a header has {LONGEST} at most"));
        }
        let mut text = vec![0; length];
        file.read_exact(&mut text).map_err(cut)?;
        let text = std::str::from_utf8(&text).map_err(|_| "its header is no text")?;
        let (descr, fortran, shape) = header(text)?;
        Ok(Header { descr, fortran, shape, start: MAGIC.len() + 2 + width + length })
    }

    /// The number of elements; `None` where it is beyond what can be counted.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size))
    }
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, its keys in any order.
fn header(text: &str) -> Result<(String, bool, Vec<usize>), String> {
    let wrong = |what: &str| format!("its header {what}: `{}`", shown(text));
    let inside = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let mut rest = inside.ok_or_else(|| wrong("is no dictionary"))?.trim();
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, value) = quoted(rest).ok_or_else(|| wrong("lacks a key"))?;
        let value = value.trim_start().strip_prefix(':').ok_or_else(|| wrong("lacks a colon"))?.trim_start();
        let after = match key {
            "descr" => {
                let (word, after) = quoted(value).ok_or_else(|| record(value))?;
                descr = Some(word.to_owned());
                after
            }
            "fortran_order" => {
                let yes = value.strip_prefix("True").map(|after| (true, after));
                let (is, after) = yes
                    .or_else(|| value.strip_prefix("False").map(|after| (false, after)))
                    .ok_or_else(|| wrong("says neither True nor False of `fortran_order`"))?;
                fortran = Some(is);
                after
            }
            "shape" => {
                let list = value.strip_prefix('(').and_then(|value| value.split_once(')'));
                let (list, after) = list.ok_or_else(|| wrong("lacks the brackets of `shape`"))?;
                shape = Some(tuple(list).ok_or_else(|| wrong("has a shape that is no list of sizes"))?);
                after
            }
            other => return Err(wrong(&format!("has an unknown key `{}`", shown(other)))),
        };
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.is_empty() => after,
            None => return Err(wrong("lacks a comma")),
        };
    }
    match (descr, fortran, shape) {
        (Some(descr), Some(fortran), Some(shape)) => Ok((descr, fortran, shape)),
        _ => Err(wrong("lacks one of `descr`, `fortran_order` and `shape`")),
    }
}

/// A text in quotes, and what is behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
    text[1..].split_once(quote)
}

/// Why a type that is no word is refused.
fn record(value: &str) -> String {
    format!("its elements are records: `{}`; save one array of numbers", shown(value))
}

/// `2, 3, ` without its brackets.
fn tuple(list: &str) -> Option<Vec<usize>> {
    let list = list.trim();
    if list.is_empty() {
        return Some(Vec::new());
    }
    let list = list.strip_suffix(',').unwrap_or(list);
    // `str::parse` takes a sign; a size has none.
    let size = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let sizes: Option<Vec<usize>> = list.split(',').map(|text| size(text.trim())).collect();
    sizes.filter(|sizes| sizes.len() <= MOST_DIMENSIONS)
}

/// As much of a foreign text as a message may have.
pub fn shown(text: &str) -> String {
    text.trim().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: u8, text: &str) -> Result<Header, String> {
        let length = (text.len() as u32).to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length };
        Header::read(&mut &[MAGIC, &[version, 0], length, text.as_bytes(), b"elements"].concat()[..])
    }

    #[test]
    fn headers_of_all_versions_say_where_elements_begin() {
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";
        for (version, start) in [(1, 10), (2, 12), (3, 12)] {
            let found = read(version, text).expect("a header");
            assert_eq!((found.descr.as_str(), found.fortran, &found.shape[..]), ("|u1", false, &[2, 3][..]));
            assert_eq!((found.start, found.elements()), (start + text.len(), Some(6)));
        }
        assert!(read(4, text).expect_err("unknown").contains("version 4"));
        let many =
            format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}), }}", "4294967296, ".repeat(3));
        assert_eq!(read(1, &many).expect("a header").elements(), None);
        assert!(
            read(1, "{'descr': [('a', '<f4')], 'shape': (1,)}").expect_err("records").contains("records")
        );
    }
}
