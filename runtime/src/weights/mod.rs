//! Named tensors: what checkpoints hold and plans are loaded with.
//!
//! A [`ParamStore`] keeps every tensor in its canonical form: `f32`, row-major in the order of its logical shape
//! (convolution weights `[cout, cin / groups, kh, kw]`, linear weights `[out, in]`), whatever layout a plan uses.

mod digest;
pub mod file;
pub mod layout;
mod read;
pub mod recipe;
mod store;

use std::collections::BTreeSet;

use resnetc_compiler::plan::Plan;

use crate::error::{Error, Result};

pub use store::{ParamStore, Tensor};

impl ParamStore {
    /// Refuses tensors that the plan has no use for: the checkpoint of another network.
    pub fn check_names(&self, plan: &Plan) -> Result<()> {
        let wanted: BTreeSet<&str> = plan.slots.iter().flat_map(|slot| recipe::sources(plan, slot)).collect();
        let extra: Vec<&str> =
            self.iter().map(|(name, _)| name).filter(|name| !wanted.contains(name)).collect();
        match extra.first() {
            None => Ok(()),
            Some(&name) => Err(Error::ExtraTensors {
                name: name.to_owned(),
                count: extra.len(),
                network: plan.name.clone(),
            }),
        }
    }
}
