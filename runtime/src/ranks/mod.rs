//! Several processes that train one network: ranks, what they tell each other, and how they know of each other's end.
//!
//! A [`Transport`] moves bytes between ranks; sums are ours, and have one order, so the same number of ranks gives the same bits
//! whatever moves the bytes.

mod collective;
mod local;
mod pulse;
mod transport;

pub use collective::Collective;
pub use local::local;
pub use pulse::Pulse;
pub use transport::Transport;
