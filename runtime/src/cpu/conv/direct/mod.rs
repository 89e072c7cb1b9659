//! Direct convolutions.

pub(super) mod filter;
mod filter_pack;
pub(super) mod forward;
mod partition;
pub(super) mod phase;
mod worker;
