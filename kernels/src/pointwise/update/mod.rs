//! The optimizers' updates: those that look at single elements in one pass, those that ask for norms of the parameter in two or three;
//! Muon by products of matrices.

mod adamw;
mod lamb;
mod lars;
mod lion;
mod muon;
mod now;
mod product;
mod sgd;

pub use adamw::adamw;
pub use lamb::lamb;
pub use lars::lars;
pub use lion::lion;
pub use muon::{muon, muon_scratch_len};
pub use now::Now;
pub use sgd::sgd;
