//! A whole network's plans, made ahead of time.

use resnetc_compiler::plan::Plan;

use super::layers::{Types, distinct, layers};
use super::prepare::{Compiled, Prepare};
use super::work::Work;
use crate::error::Result;

/// Makes and keeps plans of all convolutions of a network's plan, alone and fused: of each the best ways, at most `most`. `told`
/// hears how many works are done, of how many.
///
/// # Errors
/// Where cuDNN fails, or a plan cannot be written. That a work has no plan is no error: its [`Compiled`] says why.
pub fn compile(
    prepare: &Prepare<'_>,
    plan: &Plan,
    types: Types,
    most: usize,
    told: &mut dyn FnMut(usize, usize),
) -> Result<Vec<(Work, Compiled)>> {
    let works = distinct(&layers(plan, types));
    let count = works.len();
    let mut compiled = Vec::with_capacity(count);
    for (done, work) in works.into_iter().enumerate() {
        told(done, count);
        compiled.push((work, prepare.compile(&work, most)?));
    }
    told(count, count);
    Ok(compiled)
}
