//! Steps of a plan: checked and decided about when it is loaded, then run.

pub(in crate::cpu) mod dispatch;
pub(in crate::cpu) mod prepare;
