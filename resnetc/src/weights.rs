//! Weights from files: of this program, or of others with their own names for the tensors.

use std::path::PathBuf;

use resnetc_runtime::weights::ParamStore;

use crate::device::DeviceOptions;
use crate::error::Result;
use crate::model::{self, Model};
use crate::spec::Spec;

/// Where a network's weights come from, and how they are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeightsOptions {
    /// The file.
    pub file: PathBuf,
    /// Whose names its tensors have; `None` to find out.
    pub dialect: Option<String>,
    /// Whether the last linear layer starts afresh, whatever the file has for it.
    pub new_head: bool,
    /// Seed of a last layer that starts afresh; `None` for the spec's.
    pub seed: Option<u64>,
}

impl WeightsOptions {
    /// That file, whosever names it has.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        WeightsOptions { file: path.into(), ..WeightsOptions::default() }
    }
}

/// A network's weights, all of them, under its own names.
#[derive(Debug)]
pub struct Weights {
    store: ParamStore,
    told: Vec<String>,
}

impl Weights {
    /// Reads the weights of a network from a file: all of them, or none.
    ///
    /// # Errors
    /// Where the file cannot be read, or does not fit the network.
    pub fn load(spec: &Spec, options: &WeightsOptions) -> Result<Self> {
        Ok(Weights { store: model::weights(spec, &options.file)?, told: Vec::new() })
    }

    /// The tensors, in canonical form.
    ///
    /// # Errors
    /// Where the file cannot be read any more.
    pub fn store(&self) -> Result<ParamStore> {
        Ok(self.store.clone())
    }

    /// What was found out about the file, a line each, for people.
    pub fn told(&self) -> &[String] {
        &self.told
    }
}

impl Model {
    /// With the weights of a file, in any format and of any dialect that is known.
    ///
    /// # Errors
    /// See [`Weights::load`] and [`Model::new`].
    pub fn with_weights(spec: &Spec, weights: &WeightsOptions, options: &DeviceOptions) -> Result<Self> {
        Model::new(spec, &Weights::load(spec, weights)?.store()?, options)
    }
}
