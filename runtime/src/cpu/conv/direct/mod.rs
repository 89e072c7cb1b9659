//! Direct convolutions.

pub(super) mod filter;
mod filter_pack;
pub(super) mod forward;
mod partition;
mod share;
pub(super) mod sweep;
