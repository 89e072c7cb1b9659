//! What a kernel says of itself.

use super::operand::Operands;

/// Implemented by every kernel in the file that describes it; [`Kernel`](super::Kernel) hands on to it.
pub trait KernelInfo {
    /// Short name, as in reports: `conv`, `bn_backward_apply`.
    fn name(&self) -> &'static str;

    /// What it reads and writes; `None` where its sizes contradict each other or overflow.
    fn operands(&self) -> Option<Operands>;

    /// Sizes and attributes in words: `3x3/2 p1 64x56x56 -> 128x28x28 + relu`; the batch is the plan's.
    fn geometry(&self) -> String;

    /// Floating-point operations of convolutions and their gradients, two per multiply-accumulate. All other kernels are
    /// bound by memory: they count none.
    fn flops(&self) -> u64 {
        0
    }
}
