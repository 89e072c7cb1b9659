//! Darknet's `.weights`: a header, then the tensors of all layers after one another, `f32`, the lowest byte first.

use crate::fault::{Fault, Place, Result};

/// What is left of the file; nothing where there is none.
pub(super) struct Weights<'w> {
    rest: Option<&'w [u8]>,
}

impl<'w> Weights<'w> {
    /// Skips the header: three numbers of the version, and images seen, of four bytes before version 0.2 and of eight from it on.
    pub(super) fn new(bytes: Option<&'w [u8]>) -> Result<Self> {
        let Some(bytes) = bytes else { return Ok(Weights { rest: None }) };
        let cut = || Fault::file("the file of weights ends within its header");
        let number =
            |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
        let (major, minor) = number(0).zip(number(4)).ok_or_else(cut)?;
        if major > 1000 || minor > 1000 {
            return Err(Fault::file(
                "the file of weights is not Darknet's, or of a machine with another order of bytes",
            ));
        }
        let header = if major * 10 + minor >= 2 { 20 } else { 16 };
        Ok(Weights { rest: Some(bytes.get(header..).ok_or_else(cut)?) })
    }

    fn take(&mut self, sizes: &[usize], place: &Place) -> Result<Vec<f32>> {
        let Some(rest) = &mut self.rest else { return Ok(Vec::new()) };
        let count = sizes.iter().try_fold(4usize, |product, &size| product.checked_mul(size));
        let taken = count.and_then(|count| rest.split_at_checked(count));
        let Some((taken, left)) = taken else {
            let message = format!("the file of weights ends before this layer's {sizes:?}");
            return Err(Fault::new(place, message).help("it belongs to another network, or is cut off"));
        };
        *rest = left;
        Ok(taken
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect())
    }

    /// Of a convolution: its bias, or scale, shift, mean and variance of its normalisation; and its weight. In the file the shift comes
    /// first.
    pub(super) fn layer(
        &mut self,
        out: usize,
        norm: bool,
        weight: &[usize],
        place: &Place,
    ) -> Result<(Vec<Vec<f32>>, Vec<f32>)> {
        let mut first = vec![self.take(&[out], place)?];
        if norm {
            for _ in 0..3 {
                first.push(self.take(&[out], place)?);
            }
            first.swap(0, 1);
        }
        let weight = self.take(weight, place)?;
        if self.rest.is_none() {
            first.clear();
        }
        Ok((first, weight))
    }

    /// Of a linear layer: weight and bias; in the file the bias comes first.
    pub(super) fn connected(
        &mut self,
        out: usize,
        inner: usize,
        place: &Place,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let bias = self.take(&[out], place)?;
        let weight = self.take(&[out, inner], place)?;
        Ok((weight, bias))
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<()> {
        match self.rest {
            None | Some([]) => Ok(()),
            Some(rest) => Err(Fault::file(format!(
                "the file of weights has {} bytes more than the network",
                rest.len()
            ))
            .help("it belongs to another network")),
        }
    }
}
