//! From the name on the command line to a resolved spec and a compiled network; diagnostics become [`Failure::Spec`].

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::diagnostic::render::render;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Compiled, Dump, Network, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::{self, Request, ResolvedSpec, builtin, limits::Limits};
use resnetc_runtime::error::Error;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// Columns that diagnostics are wrapped at.
pub const WIDTH: usize = 100;

/// Reads and resolves a spec, and tells its warnings.
pub fn load(
    name: &str,
    set: &[String],
    limits: Limits,
    sources: &mut SourceMap,
    output: &Output,
) -> Result<ResolvedSpec> {
    let spec = read(name, set, limits, sources, output)?;
    if !spec.warnings.is_empty() {
        output.warn(&render(&spec.warnings, sources, output.color, WIDTH));
    }
    Ok(spec)
}

/// Reads and resolves a spec: the file of that name, else the compiled-in network.
pub fn read(
    name: &str,
    set: &[String],
    limits: Limits,
    sources: &mut SourceMap,
    output: &Output,
) -> Result<ResolvedSpec> {
    let read = |path: &str| text(path, &limits);
    let resolved = match read(name) {
        Ok(text) => spec::load(&Request { name, text: &text, overrides: set, read: &read, limits }, sources),
        Err(error) => spec::load_builtin(name, set, limits, sources).ok_or_else(|| missing(name, &error))?,
    };
    resolved.map_err(|faults| fail(&faults, sources, output))
}

/// Resolves a compiled-in network, whatever files there are.
pub fn load_builtin(name: &str, sources: &mut SourceMap, output: &Output) -> Result<ResolvedSpec> {
    let resolved = spec::load_builtin(name, &[], Limits::default(), sources);
    let resolved = resolved.ok_or_else(|| Failure::Usage(format!("no network is called `{name}`")))?;
    resolved.map_err(|faults| fail(&faults, sources, output))
}

/// What the network of a resolved spec is, for one image.
pub fn expand(spec: &ResolvedSpec, sources: &SourceMap, output: &Output) -> Result<Network> {
    let target = Target { mode: Mode::Infer, batch: 1, dump: Dump::Never };
    resnetc_compiler::expand(spec, &target).map_err(|faults| fail(&faults, sources, output))
}

/// Compiles a resolved spec.
pub fn compile(
    spec: &ResolvedSpec,
    target: &Target,
    sources: &SourceMap,
    output: &Output,
) -> Result<Compiled> {
    resnetc_compiler::compile(spec, target).map_err(|faults| fail(&faults, sources, output))
}

/// Finds every mistake that compiling finds: for training, or for inference where there are no logits to train.
pub fn check(spec: &ResolvedSpec, sources: &SourceMap, output: &Output) -> Result {
    let mode = if spec.head.layers.is_some() { Mode::Train } else { Mode::Infer };
    let target = Target { mode, batch: spec.train.batch_size, dump: Dump::Never };
    compile(spec, &target, sources, output).map(drop)
}

/// What the runtime compiles further plans of a checked spec with.
pub fn compiler(
    spec: &ResolvedSpec,
    sources: &SourceMap,
    output: &Output,
) -> impl FnMut(Mode, usize) -> resnetc_runtime::error::Result<Arc<Plan>> {
    move |mode, batch| match compile(spec, &Target { mode, batch, dump: Dump::Never }, sources, output) {
        Ok(compiled) => Ok(Arc::new(compiled.plan)),
        Err(failure) => Err(Error::Incompatible(failure.to_string())),
    }
}

/// Mistakes of a spec, underlined.
pub fn fail(faults: &[Diagnostic], sources: &SourceMap, output: &Output) -> Failure {
    Failure::Spec(render(faults, sources, output.color, WIDTH))
}

/// The text of a file, no more of it than tells the compiler that it is too long.
fn text(path: &str, limits: &Limits) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = (limits.bytes as u64).saturating_add(1);
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Neither a file nor a compiled-in network.
fn missing(name: &str, error: &std::io::Error) -> Failure {
    let looks_like_path = Path::new(name).extension().is_some() || name.contains(std::path::MAIN_SEPARATOR);
    if looks_like_path || error.kind() != ErrorKind::NotFound {
        return Failure::Usage(format!("cannot read {name}: {error}"));
    }
    let near = builtin::near(name);
    let text = "`resnetc list` shows all networks";
    Failure::Usage(format!("`{name}` is neither a file nor a compiled-in network{near}; {text}"))
}
