//! Factors in bf16 for algorithms that multiply `f32`.

mod convert;
mod rounded;

pub(super) use convert::convert;
pub(super) use rounded::{Wide, WideFilter, boxed_convolution, boxed_filter, with_conversions};
