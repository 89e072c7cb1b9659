//! A tensor apart from any network.

/// Numbers with a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Array {
    /// With elements in row-major order; `None` where they are not as many as the shape says.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Option<Self> {
        (numel(&shape)? == data.len()).then_some(Array { shape, data })
    }

    /// Sizes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements in row-major order.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The elements in row-major order, without the shape.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

/// Elements of a shape; `None` where they are too many to count.
pub(super) fn numel(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}
