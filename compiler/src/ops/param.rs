//! Sources of values: the images, the classes, persistent tensors.

use super::{Infer, InferError};
use crate::ir::types::{DType, Layout, Shape, TensorType};

pub(super) fn infer_input(shape: &Shape) -> Infer {
    if shape.rank() != 4 {
        return Err(InferError::new(format!("the input has to be [n, c, h, w], is {shape}")));
    }
    no_empty(shape)?;
    Ok(vec![TensorType::f32(shape.clone())])
}

pub(super) fn infer_labels(batch: usize) -> Infer {
    Ok(vec![TensorType { shape: [batch].into(), dtype: DType::U32, layout: Layout::Plain }])
}

pub(super) fn infer_param(shape: &Shape) -> Infer {
    no_empty(shape)?;
    Ok(vec![TensorType::f32(shape.clone())])
}

fn no_empty(shape: &Shape) -> Result<(), InferError> {
    if shape.0.contains(&0) {
        return Err(
            InferError::new(format!("has no elements: {shape}")).help("every size has to be at least 1")
        );
    }
    Ok(())
}
