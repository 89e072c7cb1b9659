//! The whole way from texts to a resolved spec.

use super::builtin;
use super::limits::Limits;
use super::resolve;
use super::resolved::ResolvedSpec;
use super::sections::top::SPEC;
use super::yaml::merge;
use super::yaml::request::Request;
use crate::diagnostic::{Diagnostic, look_alikes};
use crate::source::SourceMap;

/// Reads a spec with its bases and overrides. All texts are added to `sources`; on failure, all faults are returned.
pub fn load(request: &Request<'_>, sources: &mut SourceMap) -> Result<ResolvedSpec, Vec<Diagnostic>> {
    let loaded = merge::tree(request, &SPEC, sources).and_then(|document| {
        let builtin = builtin::Texts::add(sources);
        resolve::resolve(document, builtin, request.limits, sources)
    });
    loaded.map_err(|mut faults| {
        look_alikes::point_out(&mut faults, sources);
        faults
    })
}

/// Loads a compiled-in spec, for which no file is needed.
pub fn load_builtin(
    name: &str,
    overrides: &[String],
    limits: Limits,
    sources: &mut SourceMap,
) -> Option<Result<ResolvedSpec, Vec<Diagnostic>>> {
    let builtin::Shipped { file, text, .. } = builtin::spec(name)?;
    let none = |path: &str| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.to_string()));
    let name = format!("{}{file}", builtin::FOLDER);
    Some(load(&Request { name: &name, text, overrides, read: &none, limits }, sources))
}
