//! Several processes that train one network: ranks, what they tell each other, and how they know of each other's end.
//!
//! [`Launch`] says what started this process as one of several, and [`connect`] gives a [`Transport`], which moves bytes between
//! ranks, and a [`Watch`], which finds ranks that die or hang. Sums are ours ([`Collective`]), and have one order, so the same
//! number of ranks gives the same bits whatever moves the bytes.

mod collective;
mod connect;
mod control;
mod elements;
mod fault;
mod launch;
mod local;
mod message;
mod mirror;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(any(feature = "mpi", test))]
mod network;
mod poll;
mod pulse;
mod rendezvous;
mod slurm;
mod tcp;
mod transport;
mod watch;
mod watcher;
mod wire;

pub use collective::Collective;
pub use connect::{HAS_MPI, connect};
pub use control::{Carrier, Options};
pub use fault::Fault;
pub use launch::{Launch, Launcher, Rendezvous, Via};
pub use local::local;
pub use mirror::mirror;
pub use pulse::Pulse;
pub use rendezvous::own_host;
pub use transport::Transport;
pub use watch::Watch;
