//! Published tables as data: which networks a paper compares, how it trains them, and the errors that it reports. A table file is YAML, read
//! by the machinery of specs: all mistakes at once, each with its place.

mod keys;
mod read;
mod rounded;
mod shipped;
mod table;

pub use keys::{LEFT_OUT, ROW, TABLE};
pub use read::read;
pub use rounded::Rounded;
pub use shipped::{Shipped, near, shipped, tables};
pub use table::{LeftOut, Published, Row, Table};
