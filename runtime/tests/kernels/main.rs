//! Every CPU kernel but the convolutions against its `f64` oracle: all instruction sets of the machine, one thread and
//! three, in place where the plan may ask for it. Tolerances are bounds of the rounding errors, derived where they are set.

#![forbid(unsafe_code)]

mod groups;
mod harness;
mod maps;
mod rest;
mod windows;
