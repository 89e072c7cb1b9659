//! NumPy's files of one array, versions 1 to 3 (`numpy.lib.format`).
//!
//! Read are floats of 2, 4 and 8 bytes, little-endian, in C and in Fortran order; written are 4 bytes in C order.

use half::f16;

use resnetc_weights::npy::{Header, MAGIC, shown};
use resnetc_weights::sizes;

use super::array::{Array, numel};

/// The elements of a file begin at a multiple of it.
const ALIGN: usize = 64;

/// Type of the elements in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F2,
    F4,
    F8,
}

/// The array in a file's bytes.
///
/// # Errors
/// What is wrong with the bytes, and what to save instead.
pub fn read(bytes: &[u8]) -> Result<Array, String> {
    let Header { descr, fortran, shape, start } = Header::read(&mut &*bytes)?;
    let (element, data) = (element(&descr)?, &bytes[start..]);
    let size = match element {
        Element::F2 => 2,
        Element::F4 => 4,
        Element::F8 => 8,
    };
    let wanted = numel(&shape).and_then(|numel| numel.checked_mul(size));
    if wanted != Some(data.len()) {
        return Err(format!(
            "its header says {}, of {size} bytes each, but {} bytes follow: cut off, or damaged",
            sizes(&shape),
            data.len()
        ));
    }
    let data: Vec<f32> = match element {
        Element::F2 => pieces(data).map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        Element::F4 => pieces(data).map(f32::from_le_bytes).collect(),
        Element::F8 => pieces(data).map(|bytes| f64::from_le_bytes(bytes) as f32).collect(),
    };
    let data = if fortran { from_fortran(&shape, &data) } else { data };
    Ok(Array::new(shape, data).expect("their number was compared"))
}

/// A file of version 1 with that array.
pub fn write(array: &Array) -> Vec<u8> {
    let list: String = array.shape().iter().map(|size| format!("{size}, ")).collect();
    // A tuple of one keeps its comma, longer ones have none at the end.
    let list = match array.shape().len() {
        1 => list.trim_end(),
        _ => list.trim_end_matches(", "),
    };
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({list}), }}");
    let before = MAGIC.len() + 4;
    let length = (before + text.len() + 1).next_multiple_of(ALIGN) - before;
    text.extend(std::iter::repeat_n(' ', length - text.len() - 1));
    text.push('\n');
    let length = u16::try_from(text.len()).expect("64 sizes of 20 digits at most");
    let mut bytes = Vec::with_capacity(before + text.len() + 4 * array.data().len());
    bytes.extend(MAGIC);
    bytes.extend([1, 0]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.extend(array.data().iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn element(word: &str) -> Result<Element, String> {
    match word {
        "<f2" => Ok(Element::F2),
        "<f4" => Ok(Element::F4),
        "<f8" => Ok(Element::F8),
        other => {
            let hint = "save it as `array.astype('<f4')`";
            Err(format!("its elements are of type `{}`, read are <f2, <f4 and <f8: {hint}", shown(other)))
        }
    }
}

fn pieces<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.chunks_exact(N).map(|piece| piece.try_into().expect("N bytes"))
}

/// Row-major order of what lies in column-major order: the first index runs fastest there.
fn from_fortran(shape: &[usize], data: &[f32]) -> Vec<f32> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1usize, |stride, &size| Some(std::mem::replace(stride, stride.saturating_mul(size))))
        .collect();
    let mut at = vec![0; shape.len()];
    let mut place = 0;
    let mut ordered = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        ordered.push(data[place]);
        // The last index first, as row-major order counts.
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            place += strides[axis];
            if at[axis] < shape[axis] {
                break;
            }
            place -= strides[axis] * shape[axis];
            at[axis] = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(major: u8, text: &str, data: &[u8]) -> Vec<u8> {
        let length = text.len() as u32;
        let length = length.to_le_bytes();
        let length = if major == 1 { &length[..2] } else { &length };
        [MAGIC, &[major, 0], length, text.as_bytes(), data].concat()
    }

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [vec![], vec![3], vec![2, 3], vec![1, 2, 3, 4], vec![0, 5]] {
            let numel = numel(&shape).expect("small");
            let array = Array::new(shape, (0..numel).map(|i| i as f32 - 1.5).collect()).expect("fits");
            let written = write(&array);
            assert_eq!((written.len() - 4 * numel) % ALIGN, 0);
            assert_eq!(read(&written), Ok(array));
        }
    }

    /// The header as NumPy 2 writes it, byte for byte.
    #[test]
    fn headers_are_those_of_numpy() {
        let text = |shape: &[usize]| {
            let numel = numel(shape).expect("small");
            let written = write(&Array::new(shape.to_vec(), vec![0.0; numel]).expect("fits"));
            String::from_utf8(written[10..128].to_vec()).expect("ASCII").trim_end().to_owned()
        };
        assert_eq!(text(&[2, 3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
        assert_eq!(text(&[3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(text(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
    }

    #[test]
    fn all_versions_types_and_orders_are_read() {
        let header = |descr: &str, order: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (2, 3), }}")
        };
        let rows = Array::new(vec![2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let rows = rows.expect("fits");
        for version in 1..=3 {
            let single = bytes(rows.data());
            assert_eq!(read(&file(version, &header("<f4", "False"), &single)), Ok(rows.clone()));
        }
        let columns = bytes(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(read(&file(1, &header("<f4", "True"), &columns)), Ok(rows.clone()));
        let double: Vec<u8> = rows.data().iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
        assert_eq!(read(&file(1, &header("<f8", "False"), &double)), Ok(rows.clone()));
        let half: Vec<u8> = rows.data().iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        assert_eq!(read(&file(1, &header("<f2", "False"), &half)), Ok(rows));
    }

    #[test]
    fn three_dimensions_in_column_order() {
        let shape = [2, 3, 4];
        // Element (i, j, k) is 100 i + 10 j + k.
        let mut columns = Vec::new();
        for k in 0..4 {
            for j in 0..3 {
                columns.extend((0..2).map(|i| (100 * i + 10 * j + k) as f32));
            }
        }
        let ordered = from_fortran(&shape, &columns);
        assert_eq!(ordered[..5], [0.0, 1.0, 2.0, 3.0, 10.0]);
        assert_eq!(ordered[23], 123.0);
    }

    #[test]
    fn damaged_and_hostile_files_are_refused() {
        let refused = |bytes: &[u8], part: &str| {
            let reason = read(bytes).expect_err(part);
            assert!(reason.contains(part), "{reason}");
        };
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        refused(b"PK\x03\x04", "no file of NumPy");
        refused(b"\x93NUMPY\x01", "ends within its header");
        refused(b"\x93NUMPY\x01\x00\xff\xff", "has 65535 bytes");
        refused(&file(4, good, &[]), "version 4");
        refused(&file(1, good, &bytes(&[1.0])), "cut off");
        refused(&file(1, good, &bytes(&[1.0; 3])), "cut off");
        refused(&[MAGIC, &[2, 0, 255, 255, 255, 255]].concat(), "has 4294967295 bytes");
        let with = |text: &str, part: &str| refused(&file(1, text, &[]), part);
        with("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "astype('<f4')");
        with("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", "`|O`");
        with("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }", "records");
        with("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", "neither True nor False");
        with("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "no list of sizes");
        with("{'descr': '<f4', 'fortran_order': False, 'shape': (2L,), }", "no list of sizes");
        with("{'descr': '<f4', 'fortran_order': False}", "lacks one of");
        with("{'descr': '<f4' 'shape': (2,)}", "lacks a comma");
        with("{'evil': '<f4'}", "unknown key `evil`");
        with("import os", "no dictionary");
        let many = "4294967296, ".repeat(4);
        with(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({many}), }}"), "cut off");
        let deep = "1, ".repeat(65);
        with(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({deep}), }}"), "no list of sizes");
    }

    /// No prefix of a file, and no file with one byte changed, is more than an error.
    #[test]
    fn no_bytes_panic() {
        let good = write(&Array::new(vec![2, 2], vec![1.0; 4]).expect("fits"));
        for end in 0..good.len() {
            assert!(read(&good[..end]).is_err(), "{end} bytes");
        }
        for at in 0..good.len() {
            for value in [0, 1, b'\'', b'(', b'9', 255] {
                let mut changed = good.clone();
                changed[at] = value;
                let _ = read(&changed);
            }
        }
    }
}
