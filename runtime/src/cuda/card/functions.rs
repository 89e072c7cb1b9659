//! The kernels' functions on a GPU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaFunction, CudaModule, sys};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;

use super::fault::{broken, fault};
use crate::cuda::cubins;
use crate::error::{Error, Result};

/// What `scripts/cuda-kernels` writes.
const ARCHIVE: &[u8] = include_bytes!("../cubins/kernels.tar.xz");

/// All functions by name.
pub(super) struct Functions {
    modules: Vec<Arc<CudaModule>>,
    /// Those that were asked for.
    known: Mutex<HashMap<String, CudaFunction>>,
}

impl Functions {
    /// Loads the kernels that are compiled for a GPU.
    ///
    /// # Errors
    /// Where there are none, or the driver refuses them.
    pub fn load(context: &Arc<CudaContext>) -> Result<Self> {
        let (major, minor) = context.compute_capability().map_err(|e| fault("its compute capability", &e))?;
        let capability = (major.unsigned_abs(), minor.unsigned_abs());
        let load = |module: cubins::Module| {
            let loaded = context.load_module(Ptx::from_binary(module.image));
            loaded.map_err(|e| fault(&format!("the kernels of `{}`", module.family), &e))
        };
        let modules = cubins::for_gpu(ARCHIVE, capability)?.into_iter().map(load).collect::<Result<_>>()?;
        Ok(Functions { modules, known: Mutex::default() })
    }

    /// The driver's handle of a function, which lives as long as this.
    ///
    /// # Errors
    /// Where there is no such kernel.
    pub fn get(&self, name: &str) -> Result<sys::CUfunction> {
        let mut known = self.known.lock().map_err(|_| broken())?;
        if !known.contains_key(name) {
            // A module without it says so.
            let found = self.modules.iter().find_map(|module| module.load_function(name).ok());
            let found = found.ok_or_else(|| Error::Device(format!("cuda: there is no kernel {name}")))?;
            known.insert(name.to_owned(), found);
        }
        Ok(known[name].cu_function())
    }
}
