//! A tensor in a file: where its elements lie, and how they become `f32`.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::dtype::DType;

/// Most dimensions of a tensor.
pub(crate) const RANK: usize = 8;

/// A tensor's place in the bytes of a file. What it says was checked: all of its elements are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the files it is in.
    pub content: usize,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, of each dimension.
    strides: Vec<usize>,
    /// Byte of the first element.
    start: usize,
}

/// Bytes of a file that hold elements of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storage {
    pub content: usize,
    pub dtype: DType,
    /// First byte.
    pub start: usize,
    /// Elements; they were checked to lie in the file.
    pub elements: usize,
}

impl Place {
    /// A tensor in a storage, `offset` elements behind its beginning. `strides` counts elements.
    ///
    /// # Errors
    /// Where sizes overflow, or elements lie outside of the storage, or are more than it has.
    pub fn new(
        storage: Storage,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Self, String> {
        let Storage { content, dtype, start, elements } = storage;
        if shape.len() > RANK || shape.len() != strides.len() {
            return Err(format!("it has {} dimensions and {} strides", shape.len(), strides.len()));
        }
        let overflow = || format!("its sizes {shape:?} overflow");
        let numel = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or_else(overflow)?;
        // An index of one element may stand for many, so a small file could ask for any amount of memory.
        if numel > elements {
            return Err(format!("it has {numel} elements, of which the file holds {elements}"));
        }
        if numel > 0 {
            let mut spans = shape.iter().zip(&strides).map(|(&size, &stride)| (size - 1).checked_mul(stride));
            let last = spans.try_fold(offset, |sum, span| sum.checked_add(span?)).ok_or_else(overflow)?;
            if last >= elements {
                return Err(format!("its last element is number {last} of a storage that has {elements}"));
            }
        }
        let start = offset.checked_mul(dtype.size()).and_then(|bytes| start.checked_add(bytes));
        Ok(Place { content, dtype, start: start.ok_or_else(overflow)?, shape, strides })
    }

    /// A tensor that lies in one piece, row-major.
    pub fn contiguous(storage: Storage, shape: Vec<usize>) -> Result<Self, String> {
        let strides = row_major(&shape).ok_or_else(|| format!("its sizes {shape:?} overflow"))?;
        Place::new(storage, 0, shape, strides)
    }

    /// How many.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of a tensor that lies in one piece.
    fn piece<'c>(&self, content: &'c [u8]) -> Option<&'c [u8]> {
        let wanted = row_major(&self.shape)?;
        let dense = self.shape.iter().zip(&self.strides).zip(&wanted);
        let dense = dense.into_iter().all(|((&size, stride), wanted)| size <= 1 || stride == wanted);
        let bytes = self.numel() * self.dtype.size();
        if dense { content.get(self.start..self.start + bytes) } else { None }
    }

    /// The elements, row-major; where they lie if they can be used there.
    pub fn floats<'c>(&self, content: &'c [u8]) -> Cow<'c, [f32]> {
        let Some(piece) = self.piece(content) else { return Cow::Owned(self.gathered(content)) };
        match bytemuck::try_cast_slice(piece) {
            Ok(floats) if self.dtype == DType::F32 && cfg!(target_endian = "little") => Cow::Borrowed(floats),
            _ => Cow::Owned(piece.chunks_exact(self.dtype.size()).map(|bytes| self.float(bytes)).collect()),
        }
    }

    /// Element by element, wherever they lie.
    fn gathered(&self, content: &[u8]) -> Vec<f32> {
        let size = self.dtype.size();
        let mut index = vec![0; self.shape.len()];
        let numel = self.numel();
        let mut floats = Vec::with_capacity(numel);
        for _ in 0..numel {
            let element: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            let at = self.start + element * size;
            floats.push(self.float(&content[at..at + size]));
            for (i, &size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < size {
                    break;
                }
                *i = 0;
            }
        }
        floats
    }

    /// An element from its bytes; whole numbers are no weights, and asked for by nobody.
    fn float(&self, bytes: &[u8]) -> f32 {
        match (self.dtype, bytes) {
            (DType::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (DType::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            (DType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (DType::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
            _ => f32::NAN,
        }
    }
}

/// Strides of a tensor that lies in one piece.
fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].checked_mul(shape[i])?;
    }
    Some(strides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(dtype: DType, elements: usize) -> Storage {
        Storage { content: 0, dtype, start: 0, elements }
    }

    fn bytes(floats: &[f32]) -> Vec<u8> {
        floats.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    #[test]
    fn strides_are_honoured() {
        let content = bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let place = Place::new(storage(DType::F32, 7), 1, vec![3, 2], vec![1, 3]).expect("it fits");
        assert_eq!(*place.floats(&content), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        // A dimension of one has any stride.
        let place = Place::new(storage(DType::F32, 7), 1, vec![1, 2], vec![77, 1]).expect("it fits");
        assert_eq!(*place.floats(&content), [1.0, 2.0]);
    }

    #[test]
    fn floats_that_lie_right_are_not_copied() {
        let floats = [1.0f32, -2.0, 0.5, 8.0];
        let content: &[u8] = bytemuck::cast_slice(&floats);
        let place = Place::new(storage(DType::F32, 4), 1, vec![3], vec![1]).expect("it fits");
        assert!(matches!(place.floats(content), Cow::Borrowed([-2.0, 0.5, 8.0])));
        let shifted = [&[0][..], content].concat();
        let aside =
            Place::contiguous(Storage { start: 1, ..storage(DType::F32, 4) }, vec![4]).expect("it fits");
        assert_eq!(*aside.floats(&shifted), floats);
    }

    #[test]
    fn every_type_of_float_is_read() {
        let halves: Vec<u8> = [1.5f32, -0.25].iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let read = |dtype, content: &[u8]| {
            Place::contiguous(storage(dtype, 2), vec![2]).expect("it fits").floats(content).into_owned()
        };
        assert_eq!(read(DType::F16, &halves), [1.5, -0.25]);
        let narrow: Vec<u8> = [1.5f32, -0.25].iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
        assert_eq!(read(DType::Bf16, &narrow), [1.5, -0.25]);
        let wide: Vec<u8> = [1.5f64, -0.25].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(read(DType::F64, &wide), [1.5, -0.25]);
    }

    #[test]
    fn what_lies_outside_or_overflows_is_refused() {
        let four = storage(DType::F32, 4);
        let refused = |offset, shape: &[usize], strides: &[usize]| {
            Place::new(four, offset, shape.to_vec(), strides.to_vec()).expect_err("refused")
        };
        assert!(refused(1, &[4], &[1]).contains("number 4 of a storage that has 4"));
        assert!(refused(0, &[2, 2], &[3, 1]).contains("number 4"));
        assert!(refused(usize::MAX, &[2], &[1]).contains("overflow"));
        assert!(refused(0, &[2], &[usize::MAX]).contains("number"));
        assert!(refused(0, &[usize::MAX, 3], &[1, 1]).contains("overflow"));
        assert!(refused(0, &[1 << 40], &[0]).contains("of which the file holds 4"));
        assert!(refused(0, &[1; 9], &[1; 9]).contains("9 dimensions"));
        assert!(Place::new(four, 4, vec![0], vec![1]).is_ok(), "nothing lies anywhere");
    }
}
