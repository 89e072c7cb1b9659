//! Operands of kernels that the reference computes for the emulated GPU.

use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::{Buffer, Operand, Region};

/// An operand with elements of that type and layout, packed; nothing where it has too many.
pub(super) fn buffer(operand: &Operand, dtype: DType, layout: Layout) -> Option<Buffer> {
    Some(Buffer {
        name: operand.name.to_owned(),
        shape: operand.sizes.shape(),
        dtype,
        layout,
        region: Region::Arena,
        offset: 0,
        bytes: operand.sizes.numel()? * dtype.size(),
        live: None,
        slice: None,
        span: None,
    })
}
