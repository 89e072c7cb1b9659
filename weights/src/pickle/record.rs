//! A pickled dictionary of arrays, numbers and texts: how CIFAR's Python version keeps its pictures.

use std::borrow::Cow;

use super::machine;
use super::value::{self, Global, Id, Pickled, Value, Vocabulary};
use crate::error::Fault;

/// What a dictionary of arrays may name: NumPy's arrays as Python 2 and 3 write them in protocols 2 to 4.
static DATA: Vocabulary = Vocabulary {
    names: |module, name| match (module, name) {
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Global::Array),
        ("numpy", "ndarray") => Some(Global::Opaque),
        ("numpy", "dtype") => Some(Global::ElementType),
        ("_codecs", "encode") => Some(Global::Encode),
        ("collections", "OrderedDict") => Some(Global::Dict),
        _ => None,
    },
    needs: "arrays of pictures need",
    instead: "Only a dictionary of arrays, numbers and texts is read: get the files as their authors published them",
};

/// Most texts of a list, and bytes of each: a pickle can name one long text any number of times.
const MOST_TEXTS: usize = 1 << 16;
const LONGEST: usize = 1000;

/// A dictionary by its texts.
pub struct Record<'p> {
    pickled: Pickled<'p>,
}

/// An array of bytes, the last index running fastest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes<'p> {
    /// Sizes.
    pub shape: Vec<usize>,
    /// As many as the sizes say.
    pub elements: Cow<'p, [u8]>,
}

impl<'p> Record<'p> {
    /// Reads a pickle in memory bounded by its size. It begins at the first byte; what is behind it is passed over.
    ///
    /// # Errors
    /// Where the pickle is damaged, names or does what such a dictionary does not need, or is none.
    pub fn read(bytes: &'p [u8]) -> Result<Self, Fault> {
        let pickled = machine::read(bytes, 0, &DATA)?;
        match pickled.root() {
            Value::Dict(_) => Ok(Record { pickled }),
            _ => Err(Fault::Pickle { at: 0, reason: "what it makes is no dictionary".into() }),
        }
    }

    /// What stands under a key; the last one of several.
    fn get(&self, key: &str) -> Option<Id> {
        let Value::Dict(entries) = self.pickled.root() else { return None };
        let is = |id: Id| match *self.pickled.value(id) {
            Value::Text(text) => text == key,
            Value::Bytes(bytes) => bytes == key.as_bytes(),
            _ => false,
        };
        entries.iter().rev().find(|(id, _)| is(*id)).map(|(_, value)| *value)
    }

    /// The array of bytes under a key; `None` where there is nothing.
    ///
    /// # Errors
    /// What is no array of bytes, or has more or fewer elements than its sizes say.
    pub fn array(&self, key: &str) -> Result<Option<Bytes<'p>>, Fault> {
        self.get(key).map(|id| self.bytes_of_array(id).map_err(|reason| wrong(key, &reason))).transpose()
    }

    fn bytes_of_array(&self, id: Id) -> Result<Bytes<'p>, String> {
        let Value::Array(Some(array)) = self.pickled.value(id) else { return Err("is no array".into()) };
        let value::Array { shape, dtype, fortran, elements } = array;
        match self.pickled.value(*dtype) {
            Value::ElementType("u1" | "uint8") => {}
            Value::ElementType(other) => {
                return Err(format!("has elements of type {other:.20}, bytes (u1) are read"));
            }
            _ => return Err("has elements of no type".into()),
        }
        if *fortran {
            return Err("is stored in Fortran's order".into());
        }
        let elements = self.bytes(*elements).ok_or("has no bytes for elements")?;
        let wanted = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
        match wanted == Some(elements.len()) {
            true => Ok(Bytes { shape: shape.clone(), elements }),
            false => Err(format!("has {} bytes for sizes {shape:?}", elements.len())),
        }
    }

    /// The bytes of a text, or of bytes.
    fn bytes(&self, id: Id) -> Option<Cow<'p, [u8]>> {
        match *self.pickled.value(id) {
            Value::Text(text) => Some(Cow::Borrowed(text.as_bytes())),
            Value::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Value::Latin1(text) => {
                let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
                bytes.map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// The list of whole numbers under a key; `None` where there is nothing.
    ///
    /// # Errors
    /// What is no such list.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<i64>>, Fault> {
        let number = |id: Id| match self.pickled.value(id) {
            Value::Int(number) => Some(*number),
            _ => None,
        };
        self.list(key, number, "is no list of whole numbers")
    }

    /// The list of texts under a key; `None` where there is nothing.
    ///
    /// # Errors
    /// What is no such list.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Fault> {
        let text = |id: Id| match *self.pickled.value(id) {
            Value::Text(text) if text.len() <= LONGEST => Some(text.to_owned()),
            _ => None,
        };
        let many = |id: Id| matches!(self.pickled.value(id), Value::List(items) | Value::Tuple(items) if items.len() > MOST_TEXTS);
        if self.get(key).is_some_and(many) {
            return Err(wrong(key, &format!("has more than {MOST_TEXTS} texts")));
        }
        self.list(key, text, "is no list of short texts")
    }

    fn list<T>(
        &self,
        key: &str,
        item: impl Fn(Id) -> Option<T>,
        fault: &str,
    ) -> Result<Option<Vec<T>>, Fault> {
        let Some(id) = self.get(key) else { return Ok(None) };
        let items = match self.pickled.value(id) {
            Value::List(items) | Value::Tuple(items) => items.iter().map(|&id| item(id)).collect(),
            _ => None,
        };
        let items: Option<Vec<T>> = items;
        items.map(Some).ok_or_else(|| wrong(key, fault))
    }
}

fn wrong(key: &str, reason: &str) -> Fault {
    Fault::Entry { key: key.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{'data': uint8 array [2, 3]}`, with elements as the argument pushes them.
    fn pickle(elements: &[u8], dtype: &str) -> Vec<u8> {
        let mut bytes =
            b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
                .to_vec();
        bytes.extend(b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nU");
        bytes.push(dtype.len() as u8);
        bytes.extend(dtype.as_bytes());
        bytes.extend(b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89");
        bytes.extend(elements);
        bytes.extend(b"tbs.");
        bytes
    }

    fn array(elements: &[u8], dtype: &str) -> Result<Option<Bytes<'static>>, String> {
        let bytes = pickle(elements, dtype).leak();
        Record::read(bytes).and_then(|record| record.array("data")).map_err(|fault| fault.to_string())
    }

    #[test]
    fn arrays_of_python_2_and_3_are_read() {
        let found = Bytes { shape: vec![2, 3], elements: Cow::Owned(vec![1, 2, 3, 250, 251, 255]) };
        // Raw bytes, bytes of protocol 3, and each byte as a character.
        let encoded = "\u{1}\u{2}\u{3}\u{fa}\u{fb}\u{ff}";
        let encoded = [
            &b"c_codecs\nencode\nX"[..],
            &(encoded.len() as u32).to_le_bytes(),
            encoded.as_bytes(),
            b"X\x06\0\0\0latin1\x86R",
        ]
        .concat();
        for elements in [&b"U\x06\x01\x02\x03\xfa\xfb\xff"[..], b"C\x06\x01\x02\x03\xfa\xfb\xff", &encoded] {
            assert_eq!(array(elements, "u1"), Ok(Some(found.clone())));
        }
        let empty = Record::read(b"\x80\x02}.").expect("a dictionary");
        assert_eq!(
            (empty.array("data"), empty.numbers("labels"), empty.texts("x")),
            (Ok(None), Ok(None), Ok(None))
        );
    }

    #[test]
    fn what_is_no_array_of_bytes_is_refused() {
        let refused = |elements: &[u8], dtype: &str, part: &str| {
            let reason = array(elements, dtype).expect_err(part);
            assert!(reason.contains(part), "{reason}");
        };
        refused(b"U\x05\x01\x02\x03\x04\x05", "u1", "has 5 bytes for sizes [2, 3]");
        refused(b"N", "u1", "has no bytes for elements");
        refused(b"U\x06\x01\x02\x03\x04\x05\x06", "f4", "elements of type f4");
        refused(b"c_codecs\nencode\nX\x03\0\0\0\x1f\xc4\x80X\x06\0\0\0latin1\x86R", "u1", "no bytes");
        for hostile in [&b"cposix\nsystem\n"[..], b"c__builtin__\neval\n"] {
            refused(
                hostile,
                "u1",
                "which is not on the list of what arrays of pictures need and was not called",
            );
        }
        let whole = pickle(b"U\x06\x01\x02\x03\xfa\xfb\xff", "u1");
        for end in 0..whole.len() {
            assert!(Record::read(&whole[..end]).is_err(), "{end} bytes");
        }
        assert!(Record::read(b"\x80\x02]K\x01a.").is_err(), "a list");
    }

    #[test]
    fn lists_have_one_kind_of_items() {
        let record =
            b"\x80\x02}(U\x01a](K\x01J\xff\xff\xff\xffeU\x01b](U\x01xX\x02\0\0\0\xc3\xa9eU\x01c](K\x01Neu.";
        let record = Record::read(record).expect("a dictionary");
        assert_eq!(record.numbers("a"), Ok(Some(vec![1, -1])));
        assert_eq!(record.texts("b"), Ok(Some(vec!["x".to_owned(), "\u{e9}".to_owned()])));
        assert!(record.numbers("c").is_err() && record.texts("c").is_err() && record.array("c").is_err());
    }
}
