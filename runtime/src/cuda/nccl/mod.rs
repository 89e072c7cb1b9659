//! NCCL, which moves bytes between the GPUs of several ranks.
//!
//! Only its point-to-point calls are used. What it sums itself has no order that it promises: that follows from the algorithm that it
//! chooses, from sizes and wiring, and where switches add up (NVLS) it may differ from call to call (github.com/NVIDIA/nccl, issues 1497 and
//! 157; all ranks get the same bits even so). bf16 it would round at each hop. Sends and receives change no bit, and the sums are
//! ours (`super::communicator`).
//!
//! The functions are opened by libloading, and not by cudarc's `nccl`: Candle links cudarc's libraries, so that a program could not start
//! without NCCL, which one process has no use for; and cudarc ends the process where a function is missing.

mod library;
mod ways;

pub use library::Library;
pub use ways::Nccl;
