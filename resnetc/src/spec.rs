//! Specs: from a file, a text or a compiled-in name to what the compiler takes, and to plans.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::diagnostic::render::render;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Compiled, Network, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{self, Request, ResolvedSpec, builtin};
use resnetc_runtime::init;
use resnetc_runtime::weights::ParamStore;

use crate::error::{Error, Faults, Result};
use crate::overrides;

/// How a spec is read.
#[derive(Debug, Clone, Default)]
pub struct SpecOptions {
    /// Values of the spec that are replaced, in this order: `train.epochs=3`.
    pub set: Vec<String>,
    /// How large the spec and its network may be.
    pub limits: Limits,
}

impl SpecOptions {
    /// With one more value replaced: `SpecOptions::default().set("classes=100")`.
    #[must_use]
    pub fn set(mut self, value: impl Into<String>) -> Self {
        self.set.push(value.into());
        self
    }
}

/// A network as its spec describes it: checked, with all defaults. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spec {
    resolved: Arc<ResolvedSpec>,
    sources: Arc<SourceMap>,
}

impl Spec {
    /// The file of that name; where there is none, the compiled-in network.
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes, or one that says that nothing of that name can be read.
    pub fn open(name: &str, options: &SpecOptions) -> Result<Self> {
        match read(name, &options.limits) {
            Ok(text) => Self::from_text(name, &text, options),
            Err(error) => match Self::builtin(name, options) {
                Err(Error::UnknownSpec { .. }) => Err(missing(name, error)),
                found => found,
            },
        }
    }

    /// A file.
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes, [`Error::UnreadableSpec`].
    pub fn from_path(path: impl AsRef<Path>, options: &SpecOptions) -> Result<Self> {
        let name = path.as_ref().to_string_lossy();
        let text = read(&name, &options.limits);
        let text = text.map_err(|source| Error::UnreadableSpec { name: name.to_string(), source })?;
        Self::from_text(&name, &text, options)
    }

    /// A text; `name` stands for its file in messages, and bases of `extends` are looked for beside it.
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes.
    pub fn from_text(name: &str, text: &str, options: &SpecOptions) -> Result<Self> {
        let SpecOptions { set, limits } = options;
        let read = |path: &str| read(path, limits);
        let mut sources = SourceMap::default();
        let request = Request { name, text, overrides: set, read: &read, limits: *limits };
        let resolved = overrides::check(set, &mut sources).and_then(|()| spec::load(&request, &mut sources));
        Self::resolved_with(resolved, sources)
    }

    /// A compiled-in network, whatever files there are.
    ///
    /// # Errors
    /// [`Error::Spec`] where an override is wrong, [`Error::UnknownSpec`].
    pub fn builtin(name: &str, options: &SpecOptions) -> Result<Self> {
        let mut sources = SourceMap::default();
        let unknown = || Error::UnknownSpec { name: name.to_owned(), near: builtin::near(name) };
        if let Err(faults) = overrides::check(&options.set, &mut sources) {
            return Self::resolved_with(Err(faults), sources);
        }
        let resolved = spec::load_builtin(name, &options.set, options.limits, &mut sources);
        Self::resolved_with(resolved.ok_or_else(unknown)?, sources)
    }

    fn resolved_with(resolved: Result<ResolvedSpec, Vec<Diagnostic>>, sources: SourceMap) -> Result<Self> {
        let sources = Arc::new(sources);
        match resolved {
            Ok(resolved) => Ok(Spec { resolved: Arc::new(resolved), sources }),
            Err(faults) => Err(Error::Spec(Faults::new(faults, sources))),
        }
    }

    /// What the compiler takes.
    pub fn resolved(&self) -> &ResolvedSpec {
        &self.resolved
    }

    /// Name of the network.
    pub fn name(&self) -> &str {
        &self.resolved.name.value
    }

    /// The texts that spans point into.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// What the spec warns of, drawn as [`Faults::render`] does; `None` where there is nothing.
    pub fn warnings(&self, color: bool, width: usize) -> Option<String> {
        let warnings = &self.resolved.warnings;
        (!warnings.is_empty()).then(|| render(warnings, &self.sources, color, width))
    }

    /// Mistakes that the compiler found in this spec, as an error that can show them.
    pub fn faults(&self, diagnostics: Vec<Diagnostic>) -> Error {
        Error::Spec(Faults::new(diagnostics, Arc::clone(&self.sources)))
    }

    /// What the network is, for one image: every layer a node, every shortcut decided.
    ///
    /// # Errors
    /// [`Error::Spec`] with the mistakes that only shapes show.
    pub fn expand(&self) -> Result<Network> {
        let target = Target::new(Mode::Infer, 1);
        resnetc_compiler::expand(&self.resolved, &target).map_err(|faults| self.faults(faults))
    }

    /// The whole way to the plan.
    ///
    /// # Errors
    /// [`Error::Spec`] with the mistakes that only shapes and figures show.
    pub fn compile(&self, target: &Target) -> Result<Compiled> {
        resnetc_compiler::compile(&self.resolved, target).map_err(|faults| self.faults(faults))
    }

    /// The plan for so many images at a time, on a device that has that backend.
    ///
    /// # Errors
    /// See [`Spec::compile`].
    pub fn plan(&self, mode: Mode, batch: usize, backend: Backend) -> Result<Arc<Plan>> {
        Ok(Arc::new(self.compile(&Target { backend, ..Target::new(mode, batch) })?.plan))
    }

    /// Finds every mistake that compiling finds: for training, or for inference where there are no logits to train.
    ///
    /// # Errors
    /// See [`Spec::compile`].
    pub fn check(&self) -> Result<()> {
        let mode = if self.resolved.head.layers.is_some() { Mode::Train } else { Mode::Infer };
        self.plan(mode, self.resolved.train.batch_size, Backend::CPU).map(drop)
    }

    /// First weights, as the spec's distributions and a seed give them. Distributions belong to the tensors of the training
    /// plan; inference has folded ones.
    ///
    /// # Errors
    /// See [`Spec::compile`].
    pub fn initial_weights(&self, seed: u64) -> Result<ParamStore> {
        Ok(init::initial(&*self.plan(Mode::Train, 1, Backend::CPU)?, seed)?)
    }
}

/// The text of a file, no more of it than tells the compiler that it is too long.
fn read(path: &str, limits: &Limits) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = (limits.bytes as u64).saturating_add(1);
    std::fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Neither a file nor a compiled-in network.
fn missing(name: &str, source: std::io::Error) -> Error {
    let looks_like_path = Path::new(name).extension().is_some() || name.contains(std::path::MAIN_SEPARATOR);
    if looks_like_path || source.kind() != ErrorKind::NotFound {
        return Error::UnreadableSpec { name: name.to_owned(), source };
    }
    Error::UnknownSpec { name: name.to_owned(), near: builtin::near(name) }
}
