//! Memory: where it comes from, who looks at it, and how it gets near in time.

mod buffer;
mod guard;
mod heap;
mod prefetch;
mod view;

pub use buffer::Memory;
pub use guard::{Side, guard_memory};
pub use prefetch::{Ahead, LINE, fetch};
pub use view::{Dst, Src};
