//! cuDNN: plans of convolutions and of what is fused with them, through its graph API; for the GPU at hand, or, without one, for
//! one that a description stands for.
//!
//! ```text
//! Work           pattern, sizes, types                            work.rs
//!   -> Graph     tensors and operations, as data                  patterns.rs, graph.rs
//!   -> Offer     engines that the heuristics name, by the rules   candidates.rs, engine.rs
//!   -> Choice    the fastest of them, or the first                choose.rs
//!   -> Plan      an engine ready to run; as text in a file        plan.rs, cache.rs
//!   -> Bound     a plan with its memory                           plan.rs
//!
//! a lowered plan's convolutions -> their works                    tasks.rs
//! all that could be fused in a plan -> its works, for the page    layers.rs
//! a work -> its plan, by way of the kept ones                     prepare.rs
//! a fused work and its parts -> their times                       compare.rs
//! a whole network's plans, ahead of time                          ahead.rs
//! ```
//!
//! The library has to be there before the first call here ([`library::present`]); where it is missing, cudarc panics. cuDNN itself needs NVRTC and
//! cuBLASLt: without the first it offers no fusions (9.13), without the second it ends the process.
//!
//! What is unsafe lies in the files of descriptors, of [`Handle`], of the older calls, and of plans.

pub mod ahead;
mod build;
pub mod cache;
pub mod candidates;
pub mod choose;
mod compare;
mod descriptor;
pub mod device;
pub mod engine;
pub mod fault;
mod graph;
pub mod handle;
pub mod layers;
mod legacy;
pub mod library;
mod patterns;
pub mod plan;
pub mod prepare;
pub mod target;
pub mod tasks;
pub mod work;

pub use cache::{Cache, Compared};
pub use candidates::{Candidate, Offer, candidates};
pub use choose::{Budget, Choice};
pub use device::Device;
pub use engine::{Engine, Note, Rules, Source};
pub use fault::Fault;
pub use handle::Handle;
pub use layers::{Layer, Types, distinct, layers};
pub use library::version;
pub use plan::{Bound, Plan, Stored};
pub use prepare::{Compiled, Prepare, Prepared};
pub use target::Target;
pub use tasks::works;
pub use work::{Element, Math, Pattern, Place, Role, Sizes, Work};
