//! This program's names, as in its checkpoints.

use super::scheme::{Dialect, Scheme};

pub(super) const DIALECT: Dialect = Dialect {
    name: "resnetc",
    about: "this program's names, as in its checkpoints",
    schemes: &[Scheme { family: "any", rules: &[] }],
};
