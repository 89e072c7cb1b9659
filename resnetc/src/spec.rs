//! Specs: from a file, a text or a compiled-in name to what the compiler takes, and to plans.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::diagnostic::Diagnostic;
use resnetc_compiler::diagnostic::render::render;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Op;
use resnetc_compiler::lint::{Subject, before_training};
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::{Compiled, Network, Summary, Target};
use resnetc_compiler::sizes;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{self, Request, ResolvedSpec, builtin, encoding};
use resnetc_runtime::files;
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
    pub fn open(name: impl AsRef<Path>, options: &SpecOptions) -> Result<Self> {
        let path = name.as_ref();
        let source = match read(path, &options.limits) {
            Ok(text) => return Self::from_file(path, &text, options),
            Err(source) => source,
        };
        let name = path.to_string_lossy();
        // A file that cannot be read is never taken for a network of its name; a folder may be.
        if !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) {
            return Err(Error::UnreadableSpec { name: name.into_owned(), source });
        }
        match Self::builtin(&name, options) {
            Err(Error::UnknownSpec { .. }) => Err(missing(path, source)),
            found => found,
        }
    }

    /// A file.
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes, [`Error::UnreadableSpec`].
    pub fn from_path(path: impl AsRef<Path>, options: &SpecOptions) -> Result<Self> {
        let path = path.as_ref();
        match read(path, &options.limits) {
            Ok(text) => Self::from_file(path, &text, options),
            Err(source) => Err(Error::UnreadableSpec { name: path.to_string_lossy().into_owned(), source }),
        }
    }

    /// What a reader gives: standard input, say. `name` as in [`Spec::from_text`].
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes, [`Error::UnreadableSpec`].
    pub fn from_reader(name: &str, reader: impl Read, options: &SpecOptions) -> Result<Self> {
        let text = text(reader, &options.limits);
        let text = text.map_err(|source| Error::UnreadableSpec { name: name.to_owned(), source })?;
        Self::from_text(name, &text, options)
    }

    /// A file that was read. Its folder may have a name that is no text: bases are looked for in the folder itself.
    fn from_file(path: &Path, text: &str, options: &SpecOptions) -> Result<Self> {
        let name = path.to_string_lossy();
        let folder = path.parent().map(|folder| (folder, format!("{}/", folder.to_string_lossy())));
        let beside = |base: &str| match &folder {
            Some((folder, told)) if !folder.as_os_str().is_empty() => {
                base.strip_prefix(told).map_or_else(|| PathBuf::from(base), |base| folder.join(base))
            }
            _ => PathBuf::from(base),
        };
        Self::from_text_with(&name, text, options, &|base| read(&beside(base), &options.limits))
    }

    /// A text; `name` stands for its file in messages, and bases of `extends` are looked for beside it.
    ///
    /// # Errors
    /// [`Error::Spec`] with all mistakes.
    pub fn from_text(name: &str, text: &str, options: &SpecOptions) -> Result<Self> {
        Self::from_text_with(name, text, options, &|base| read(Path::new(base), &options.limits))
    }

    fn from_text_with(
        name: &str,
        text: &str,
        options: &SpecOptions,
        read: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self> {
        let SpecOptions { set, limits } = options;
        let mut sources = SourceMap::default();
        let request = Request { name, text, overrides: set, read, limits: *limits };
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

    /// Its own name, then those of the compiled-in networks that it extends, nearest first.
    pub fn lineage(&self) -> Vec<&str> {
        let bases = self.sources.names().filter_map(builtin::file).map(|shipped| shipped.name);
        let mut names = vec![self.name()];
        names.extend(bases.filter(|base| *base != self.name()));
        names
    }

    /// Every value with its path, as defaults and overrides leave it: `train.optimizer.sgd.lr` and `0.1`. Two specs whose settings are
    /// equal are the same network, trained alike.
    ///
    /// # Errors
    /// None of a spec that was read: what it becomes as YAML is read again.
    pub fn settings(&self) -> Result<BTreeMap<String, String>> {
        let options = SpecOptions { limits: self.resolved.limits, ..SpecOptions::default() };
        let whole = Spec::from_text("resolved", &self.resolved.to_yaml(), &options)?;
        let text = |span| whole.sources.text(span).to_owned();
        Ok(whole.resolved.keys.leaves().map(|(path, span)| (path.to_owned(), text(span))).collect())
    }

    /// The texts that spans point into.
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }

    /// Where it is said how many classes there are, `mine.yaml:3`; `None` where a compiled-in network says it.
    pub fn states_classes(&self) -> Option<String> {
        self.sources.place(self.resolved.classes.span).filter(|place| !place.starts_with(builtin::FOLDER))
    }

    /// What the spec warns of, drawn as [`Faults::render`] does; `None` where there is nothing.
    pub fn warnings(&self, color: bool, width: usize) -> Option<String> {
        let warnings = &self.resolved.warnings;
        (!warnings.is_empty()).then(|| render(warnings, &self.sources, color, width))
    }

    /// What has to be said before a training on so many images begins, drawn as [`Faults::render`] does; `None` where there is
    /// nothing. What [`Spec::warnings`] says is not in it.
    ///
    /// # Errors
    /// See [`Spec::figures`].
    pub fn training_warnings(&self, images: usize, color: bool, width: usize) -> Result<Option<String>> {
        let network = self.network()?;
        let subject = Subject { spec: &self.resolved, graph: &network.graph };
        let warnings = before_training(&subject, images);
        Ok((!warnings.is_empty()).then(|| render(&warnings, &self.sources, color, width)))
    }

    /// Mistakes that the compiler found in this spec, as an error that can show them.
    pub fn faults(&self, diagnostics: Vec<Diagnostic>) -> Error {
        Error::Spec(Faults::new(diagnostics, Arc::clone(&self.sources)))
    }

    /// What the network is, for one image: every layer a node, every shortcut decided.
    ///
    /// # Errors
    /// [`Error::Spec`] with the mistakes that only shapes and figures show: those of [`Spec::compile`].
    pub fn expand(&self) -> Result<Network> {
        let network = self.network()?;
        let faults = resnetc_compiler::build::check_expect(&self.resolved, &network.summary);
        if faults.is_empty() { Ok(network) } else { Err(self.faults(faults)) }
    }

    /// What the network is in numbers, whatever the spec expects of them.
    ///
    /// # Errors
    /// [`Error::Spec`] with the mistakes that only shapes show.
    pub fn figures(&self) -> Result<Summary> {
        Ok(self.network()?.summary)
    }

    fn network(&self) -> Result<Network> {
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

    /// Each `[height, width]` that training images have in some epoch, other than the network's own, in the order of the epochs
    /// (`train.progressive_resizing`).
    pub fn smaller_sizes(&self) -> Vec<[usize; 2]> {
        let [_, own @ ..] = self.resolved.input.value;
        self.resolved.train.sizes(own).into_iter().filter(|&size| size != own).collect()
    }

    /// The same network for images of another `[height, width]`.
    #[must_use]
    pub fn at_size(&self, size: [usize; 2]) -> Spec {
        Spec { resolved: Arc::new(sizes::at_size(&self.resolved, size)), sources: Arc::clone(&self.sources) }
    }

    /// Finds every mistake that compiling finds: for training, or for inference where there are no logits to train.
    ///
    /// # Errors
    /// See [`Spec::compile`].
    pub fn check(&self) -> Result<()> {
        let mode = if self.resolved.head.layers.is_some() { Mode::Train } else { Mode::Infer };
        self.plan(mode, self.resolved.train.batch_size, self.any_backend()).map(drop)
    }

    /// First weights, as the spec's distributions and a seed give them. Distributions belong to the tensors of the training
    /// plan; inference has folded ones.
    ///
    /// # Errors
    /// See [`Spec::compile`].
    pub fn initial_weights(&self, seed: u64) -> Result<ParamStore> {
        if self.resolved.head.layers.is_some() {
            return Ok(init::initial(&*self.plan(Mode::Train, 1, self.any_backend())?, seed)?);
        }
        // Without a head there is no training: the same values, by the same names.
        let graph = self.expand()?.graph;
        let mut store = ParamStore::new();
        for node in graph.ids().map(|id| graph.node(id)) {
            if let Op::Param(param) = &node.op {
                let count = param.shape.numel().unwrap_or(0);
                let values = init::values(param.init, count, seed, &node.name);
                store.insert(&node.name, param.shape.clone(), values);
            }
        }
        Ok(store)
    }

    /// A backend for what does not depend on it.
    fn any_backend(&self) -> Backend {
        Backend::that_multiplies_in(self.resolved.train.precision)
    }
}

/// The text of a file.
pub(crate) fn read(path: &Path, limits: &Limits) -> std::io::Result<String> {
    text(files::open(path)?.0, limits)
}

/// What a reader gives, no more of it than tells the compiler that it is too long.
fn text(reader: impl Read, limits: &Limits) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    reader.take((limits.bytes as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    let cut = bytes.len() > limits.bytes;
    encoding::decode(bytes, cut).map_err(|no_text| std::io::Error::new(ErrorKind::InvalidData, no_text))
}

/// Neither a file nor a compiled-in network.
fn missing(path: &Path, source: std::io::Error) -> Error {
    let name = path.to_string_lossy().into_owned();
    let looks_like_path = path.extension().is_some() || name.contains(std::path::MAIN_SEPARATOR);
    if looks_like_path || source.kind() != ErrorKind::NotFound {
        return Error::UnreadableSpec { name, source };
    }
    let near = builtin::near(&name);
    Error::UnknownSpec { name, near }
}
