//! The passes by name.

use std::fmt;

/// Which pass. One may run more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassId {
    /// Gives every value a type.
    InferShapes,
    /// Decides what each shortcut is.
    ExpandShortcuts,
    /// Removes what no result needs.
    DeadCode,
    /// Removes what is random in training only.
    RemoveDrop,
    /// Puts normalisations into the weights before them.
    FoldBn,
    /// Puts sum and activation into the kernel before them.
    FuseConv,
    /// Puts activations into the sums before them.
    FuseAdd,
    /// Sets the order in memory.
    Layout,
    /// Puts sum and activation into the normalisation.
    FuseBn,
    /// Puts sum and activation into the product before them.
    FuseMul,
    /// Adds gradients and updates.
    Differentiate,
    /// Lets feature maps go that the backward pass computes again.
    Recompute,
    /// Puts sums of gradients into the convolution before them.
    AccumulateConv,
}

impl PassId {
    /// As the command line spells it, and what it is for.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            PassId::InferShapes => ("infer-shapes", "gives every value a type"),
            PassId::ExpandShortcuts => ("expand-shortcuts", "decides what each shortcut is"),
            PassId::DeadCode => ("dead-code", "removes what no result needs"),
            PassId::RemoveDrop => ("remove-drop", "removes what is random in training only"),
            PassId::FoldBn => ("fold-bn", "puts normalisations into the weights before them"),
            PassId::FuseConv => ("fuse-conv", "puts sum and activation into the kernel before them"),
            PassId::FuseAdd => ("fuse-add", "puts activations into the sums before them"),
            PassId::Layout => ("layout", "sets the order in memory"),
            PassId::FuseBn => ("fuse-bn", "puts sum and activation into the normalisation"),
            PassId::FuseMul => ("fuse-mul", "puts sum and activation into the product before them"),
            PassId::Differentiate => ("differentiate", "adds gradients and updates"),
            PassId::Recompute => ("recompute", "lets maps go that the backward pass computes again"),
            PassId::AccumulateConv => {
                ("accumulate-conv", "puts sums of gradients into the convolution before them")
            }
        }
    }

    /// `fold-bn`
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// What it is for, one line.
    pub const fn why(self) -> &'static str {
        self.words().1
    }
}

/// See [`PassId::name`].
impl fmt::Display for PassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
