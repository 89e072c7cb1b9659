//! Steps of a plan: checked and decided about when it is loaded, then run.

mod dispatch;
pub(in crate::cpu) mod operands;
pub(in crate::cpu) mod prepare;
