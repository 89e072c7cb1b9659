//! The optimizers' updates: those that look at single elements in one pass, those that ask for norms of the parameter in two or three.

mod adamw;
mod lamb;
mod lars;
mod lion;
mod now;
mod sgd;

pub use adamw::adamw;
pub use lamb::lamb;
pub use lars::lars;
pub use lion::lion;
pub use now::Now;
pub use sgd::sgd;
