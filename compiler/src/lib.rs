//! `resnetc-compiler`: from a declarative spec of a residual network to an executable plan.
//!
//! ```text
//! YAML text -> RawSpec -> ResolvedSpec -> Graph: Built -> Typed -> Expanded -> Fused -> Differentiated -> Plan
//! ```
//!
//! The crate is pure: no device, no clock, no randomness, no printing.

#![forbid(unsafe_code)]

pub mod build;
pub mod diagnostic;
pub mod ir;
pub mod ops;
pub mod pass;
pub mod plan;
pub mod report;
pub mod source;
pub mod spec;
