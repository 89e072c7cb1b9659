//! Feature maps: how they are stored, walked by all threads, and summed up.

mod columns;
mod reduce;
mod rows;
mod stored;
mod stream;

pub(in crate::cpu) use columns::{ColumnOp, Columns, for_columns};
pub(in crate::cpu) use reduce::{Partials, Terms, accumulate};
pub use rows::Rows;
pub(in crate::cpu) use rows::{expect_len, spanned};
pub use stored::{MapDst, MapSrc};
pub(in crate::cpu) use stream::{MapOp, map_flat, map_row_range, map_rows};
