//! Weights from files: of this program, or of others with their own names for the tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::spec::builtin;
use resnetc_runtime::checkpoint;
use resnetc_runtime::data::fetch::Progress;
use resnetc_runtime::error::Error as RuntimeError;
use resnetc_runtime::files;
use resnetc_runtime::weights::ParamStore;
use resnetc_runtime::weights::recipe::Tensors;
use resnetc_weights::fit::{Fit, Listing, Wish, fit};
use resnetc_weights::{DType, Listed, Network, TensorFile};

use crate::device::DeviceOptions;
use crate::download::{self, Downloads};
use crate::error::Result;
use crate::model::{self, Model};
use crate::spec::{Spec, SpecOptions};

/// What is said where the average is taken.
const AVERAGE: &str = "the average over the training (--raw-weights takes the weights as they were trained)";

/// Where a network's weights come from, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeightsOptions {
    /// The file: safetensors, in one file or by the index of several; or what `torch.save` wrote. Or a name of published weights,
    /// see [`download`].
    pub file: PathBuf,
    /// Whose names its tensors have; `None` or `auto` to find out.
    pub dialect: Option<String>,
    /// Whether the last linear layer starts afresh, whatever the file has for it.
    pub new_head: bool,
    /// Whether the weights of a checkpoint are taken as they were trained, and not their average where it holds one.
    pub raw: bool,
    /// Seed of a last layer that starts afresh; `None` for the spec's.
    pub seed: Option<u64>,
    /// Where published weights are fetched from, and kept.
    pub downloads: Downloads,
}

impl WeightsOptions {
    /// That file, whosever names it has.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        WeightsOptions { file: path.into(), ..WeightsOptions::default() }
    }

    /// The file, which is fetched where it was named as published weights and is not here yet.
    ///
    /// # Errors
    /// See [`download::locate`].
    pub fn locate(&self, spec: &Spec, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
        download::locate(&spec.lineage(), &self.file, &self.downloads, progress)
    }
}

/// A network's weights, all of them, under its own names. Those of another program's file are read when they are asked for, from
/// where they lie.
#[derive(Debug)]
pub struct Weights {
    network: Network,
    source: Source,
    told: Vec<String>,
}

#[derive(Debug)]
enum Source {
    /// A file of this program, which was checked to be what was written.
    Own(ParamStore),
    /// Any other.
    Foreign(Box<Foreign>),
}

/// A file of another program's names.
#[derive(Debug)]
struct Foreign {
    file: TensorFile,
    fit: Fit,
    /// What does not come from it.
    fresh: ParamStore,
}

impl Weights {
    /// Finds the weights of a network in a file: all of them, or none.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) where the file cannot be read, or does not fit the network: with everything that
    /// is missing, too much or of another shape.
    pub fn load(spec: &Spec, options: &WeightsOptions) -> Result<Self> {
        let WeightsOptions { dialect, new_head, seed, raw, .. } = options;
        let path = &options.locate(spec, &mut |_| ())?;
        let network = network(spec)?;
        let file = open(path)?;
        let wish = Wish { dialect: dialect.as_deref(), new_head: *new_head };
        // A training's checkpoint has more in it than weights, and a checksum. Only its own reader knows these.
        let average = !raw && checkpoint::has_average(path);
        let own = is_own(&file) && matches!(wish.dialect, None | Some("auto" | "resnetc"));
        if own && (average || !new_head) {
            let mut store = model::weights(spec, path, average)?;
            let fit = fit(&network, &listing(&store), Wish { dialect: Some("resnetc"), ..wish }, path)?;
            for (name, tensor) in fresh(spec, &fit, *seed)?.iter() {
                store.insert(name, tensor.shape.clone(), tensor.data.clone());
            }
            let mut told: Vec<String> = starts_afresh(&fit).into_iter().collect();
            if average {
                told.insert(0, AVERAGE.to_owned());
            }
            return Ok(Weights { network, source: Source::Own(store), told });
        }
        let fit = fit(&network, &weights_of(&file), wish, path)?;
        let fresh = fresh(spec, &fit, *seed)?;
        let told = told(&file, &fit);
        let source = Source::Foreign(Box::new(Foreign { file, fit, fresh }));
        Ok(Weights { network, source, told })
    }

    /// The tensors, in canonical form.
    ///
    /// # Errors
    /// Where one is missing, which [`Weights::load`] would have found.
    pub fn store(&self) -> Result<ParamStore> {
        if let Source::Own(store) = &self.source {
            return Ok(store.clone());
        }
        let mut store = ParamStore::new();
        for tensor in &self.network.tensors {
            let shape = Shape(tensor.shape.clone());
            let data = self.tensor(&tensor.name, &shape)?.into_owned();
            store.insert(&tensor.name, shape, data);
        }
        Ok(store)
    }

    /// What was found out about another program's file, or is to be known of a checkpoint; a line each, for people.
    pub fn told(&self) -> &[String] {
        &self.told
    }
}

impl Tensors for Weights {
    fn tensor(&self, name: &str, shape: &Shape) -> Result<Cow<'_, [f32]>, RuntimeError> {
        let Foreign { file, fit, fresh } = match &self.source {
            Source::Own(store) => return store.tensor(name, shape),
            Source::Foreign(foreign) => &**foreign,
        };
        let Some(theirs) = fit.names.get(name) else { return fresh.tensor(name, shape) };
        // Shapes agree but for ones at the end; the number of elements is what is left to be checked.
        match file.floats(theirs).filter(|data| Some(data.len()) == shape.numel()) {
            Some(data) => Ok(data),
            None => Err(RuntimeError::MissingTensor { name: name.to_owned() }),
        }
    }
}

impl Model {
    /// With the weights of a file, in any format and of any dialect that is known.
    ///
    /// # Errors
    /// See [`Weights::load`] and [`Model::new`].
    pub fn with_weights(spec: &Spec, weights: &WeightsOptions, options: &DeviceOptions) -> Result<Self> {
        Self::of(spec, &Weights::load(spec, weights)?, options)
    }

    /// With weights that were found in a file: tensors are read from there, and not copied before.
    ///
    /// # Errors
    /// See [`Model::new`].
    pub fn of(spec: &Spec, weights: &Weights, options: &DeviceOptions) -> Result<Self> {
        match &weights.source {
            Source::Own(store) => Model::new(spec, store, options),
            Source::Foreign(_) => Model::from_tensors(spec, weights, options),
        }
    }
}

/// Opens a file of named tensors, whatever program wrote it.
///
/// # Errors
/// Where it cannot be read, is none, or is damaged.
pub fn open(path: impl AsRef<Path>) -> Result<TensorFile> {
    Ok(TensorFile::map(path.as_ref(), &files::open)?)
}

/// What a spec's network wants of a file.
///
/// # Errors
/// See [`Spec::expand`].
pub fn network(spec: &Spec) -> Result<Network> {
    Ok(Network::of(&spec.expand()?.graph))
}

/// The compiled-in networks whose tensors a file has, and how. Networks that differ in what has no weights, as activations and
/// strides, have the same tensors. Where there is none, those that it fits but for the last layer, which [`Fit::fresh`] then names.
///
/// # Errors
/// Where a compiled-in network cannot be compiled.
pub fn fitting(file: &TensorFile) -> Result<Vec<(Spec, Fit)>> {
    let listing = weights_of(file);
    let trained = |name: &str| !name.ends_with("running_mean") && !name.ends_with("running_var");
    let floats = listing.iter().filter(|(name, listed)| listed.dtype.is_float() && trained(name));
    let parameters: usize = floats.map(|(_, listed)| listed.shape.iter().product::<usize>()).sum();
    let mut all = Vec::new();
    for new_head in [false, true] {
        for shipped in builtin::specs().filter(|shipped| !shipped.is_recipe()) {
            let spec = Spec::builtin(shipped.name, &SpecOptions::default())?;
            let expected = spec.resolved().expect.params.as_ref().map(|params| params.value);
            // What a network says of itself rules most of them out at no cost.
            if !new_head && expected.is_some_and(|expected| expected != parameters as u64) {
                continue;
            }
            let wish = Wish { dialect: None, new_head };
            if let Ok(fit) = fit(&network(&spec)?, &listing, wish, file.path()) {
                all.push((spec, fit));
            }
        }
        if !all.is_empty() {
            break;
        }
    }
    Ok(all)
}

/// A file's tensors but those of an optimizer, which checkpoints have too.
pub fn weights_of(file: &TensorFile) -> Listing {
    let mut listing = file.list();
    listing.retain(|name, _| !is_own(file) || !name.starts_with("optimizer."));
    listing
}

/// The names that a dialect has for a network's tensors, by the network's own names.
///
/// # Errors
/// Where there is no such dialect, or it has no names for some of them.
pub fn dialect_names(spec: &Spec, dialect: &str) -> Result<BTreeMap<String, String>> {
    let network = network(spec)?;
    let names = resnetc_weights::fit::names(&network, dialect)?;
    Ok(network.tensors.into_iter().map(|tensor| tensor.name).zip(names).collect())
}

/// A store's tensors, as a file's.
fn listing(store: &ParamStore) -> Listing {
    let listed = |shape: &Shape| Listed { dtype: DType::F32, shape: shape.0.clone() };
    let floats = store.iter().map(|(name, tensor)| (name.to_owned(), listed(&tensor.shape)));
    let whole = |name: &str| (name.to_owned(), Listed { dtype: DType::Whole("whole", 8), shape: Vec::new() });
    floats.chain(store.left_out().map(|(name, _)| whole(name))).collect()
}

/// Whether this program wrote the file.
fn is_own(file: &TensorFile) -> bool {
    file.metadata().contains_key("resnetc")
}

/// First values of the tensors that start afresh.
fn fresh(spec: &Spec, fit: &Fit, seed: Option<u64>) -> Result<ParamStore> {
    let mut store = ParamStore::new();
    if fit.fresh.is_empty() {
        return Ok(store);
    }
    let first = spec.initial_weights(seed.unwrap_or(spec.resolved().train.seed))?;
    for name in &fit.fresh {
        let tensor = first.get(name).ok_or_else(|| RuntimeError::MissingTensor { name: name.clone() })?;
        store.insert(name, tensor.shape.clone(), tensor.data.clone());
    }
    Ok(store)
}

/// What is said of a file that fits.
fn told(file: &TensorFile, fit: &Fit) -> Vec<String> {
    let mut lines =
        vec![format!("{}, {} tensors by the names of {}", file.format(), fit.names.len(), fit.dialect)];
    if !fit.alike.is_empty() {
        lines[0] += &format!(" ({} has the same)", fit.alike.join(", "));
    }
    let quoted =
        |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if !file.unwrapped().is_empty() {
        lines.push(format!("taken out of {}", quoted(file.unwrapped())));
    }
    if !file.left_alone().is_empty() {
        lines.push(format!("left alone: {}", quoted(file.left_alone())));
    }
    lines.extend(starts_afresh(fit));
    lines
}

/// What of a network does not come from the file, in words.
fn starts_afresh(fit: &Fit) -> Option<String> {
    let names: Vec<String> = fit.fresh.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("starts afresh: {}", names.join(", ")))
}
