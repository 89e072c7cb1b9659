//! Specs that need no other file, and their plans.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, ResolvedSpec, load};

/// Reads a spec.
///
/// # Panics
/// Where it is wrong, with the text and its faults.
pub fn resolve(text: &str) -> ResolvedSpec {
    let none = |path: &str| Err(Error::new(ErrorKind::NotFound, path.to_owned()));
    let request = Request { name: "spec.yaml", text, overrides: &[], read: &none, limits: Limits::default() };
    load(&request, &mut SourceMap::default()).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"))
}

/// Compiles a spec for so many images at a time.
///
/// # Panics
/// Where it cannot be compiled.
pub fn plan(spec: &ResolvedSpec, mode: Mode, batch: usize) -> Arc<Plan> {
    plan_for(spec, mode, batch, Backend::CPU)
}

/// The same for another backend.
///
/// # Panics
/// As [`plan`].
pub fn plan_for(spec: &ResolvedSpec, mode: Mode, batch: usize, backend: Backend) -> Arc<Plan> {
    let compiled = compile(spec, &Target { backend, ..Target::new(mode, batch) });
    Arc::new(compiled.unwrap_or_else(|faults| panic!("{faults:?}")).plan)
}
