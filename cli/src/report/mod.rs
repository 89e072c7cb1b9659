//! Reports as text: tables, the summary of a compilation, what the passes did.

pub mod bench;
pub mod diff;
pub mod explain;
pub mod metrics;
pub mod passes;
pub mod resident;
pub mod scaling;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod training;
pub mod tune;
pub mod units;
