//! Feature maps: how they are stored, walked by all threads, and summed up.

mod columns;
mod reduce;
mod rows;
mod stored;
mod stream;
mod strided;
mod total;

pub(in crate::cpu) use columns::{Column, ColumnOp, Columns, for_columns};
pub(in crate::cpu) use reduce::{Partials, accumulate};
pub use rows::Rows;
pub(in crate::cpu) use rows::{RowsMut, expect_len, spanned};
pub use stored::{MapDst, MapSrc};
pub(in crate::cpu) use stream::{MapOp, Operands, Place, map_flat, map_row_range, map_rows};
pub(in crate::cpu) use strided::Strided;
pub(in crate::cpu) use total::{sum_flat, sum_flat_scratch_len};
