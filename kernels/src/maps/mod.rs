//! Feature maps: how they are stored, walked by all threads, and summed up.

mod columns;
mod reduce;
mod rows;
mod stored;
mod stream;
mod strided;
mod total;

pub(crate) use columns::{Column, ColumnOp, Columns, for_columns};
pub(crate) use reduce::{Partials, accumulate};
pub use rows::Rows;
pub(crate) use rows::{RowsMut, expect_len, spanned};
pub use stored::{MapDst, MapSrc};
pub(crate) use stream::{MapOp, Operands, Place, map_flat, map_row_range, map_rows};
pub(crate) use strided::Strided;
pub(crate) use total::sum_flat;
pub use total::sum_flat_scratch_len;
