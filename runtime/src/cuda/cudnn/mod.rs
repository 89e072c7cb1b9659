//! cuDNN: plans of convolutions and normalisations and of what is fused with them, through its graph API; for the GPU at hand, or, without one, for
//! one that a description stands for.
//!
//! ```text
//! Job            a convolution or a normalisation                job.rs
//!   Work         pattern, sizes, types of a convolution           work.rs, tensor.rs
//!   Norm         the same of a normalisation                      norm.rs
//!   -> Graph     tensors and operations, as data                  patterns.rs, norm_graph.rs, graph.rs
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
pub mod compiled;
mod descriptor;
pub mod device;
pub mod engine;
pub mod fault;
mod graph;
pub mod handle;
pub mod job;
pub mod layers;
mod legacy;
pub mod library;
pub mod norm;
mod norm_build;
mod norm_graph;
mod patterns;
pub mod plan;
pub mod prepare;
pub mod target;
pub mod tasks;
pub mod tensor;
pub mod work;

pub use cache::{Cache, Compared};
pub use candidates::{Candidate, Offer, candidates};
pub use choose::{Budget, Choice};
pub use compiled::Compiled;
pub use device::Device;
pub use engine::{Engine, Note, Rules, Source};
pub use fault::Fault;
pub use handle::Handle;
pub use job::Job;
pub use layers::{Layer, Types, distinct, layers, normalisations};
pub use library::version;
pub use norm::Norm;
pub use plan::{Bound, Plan, Stored};
pub use prepare::{Prepare, Prepared};
pub use target::Target;
pub use tasks::{normalisation, works};
pub use tensor::{Element, Place, Role};
pub use work::{Math, Pattern, Sizes, Work};
