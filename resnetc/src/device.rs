//! What networks run on, as options.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::cpu::tune::{Cache, Tuning};
use resnetc_runtime::cuda;
use resnetc_runtime::cuda::search::Search;
use resnetc_runtime::device::Device;
use resnetc_runtime::engines::Engines;
use resnetc_runtime::error as runtime;
use resnetc_runtime::exec::Executor;
use resnetc_runtime::ranks::Collective;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_runtime::weights::ParamStore;

use crate::error::Result;

/// Whether this build takes a library of kernels for a GPU: see [`DeviceOptions::emulated`].
pub const EMULATES_GPUS: bool = cfg!(feature = "cuda-emulated");

/// Which kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceKind {
    /// The vectorised kernels of the CPU.
    #[default]
    Cpu,
    /// Plain Candle tensor operations on the CPU: slow, and what the others are checked against.
    Reference,
    /// The NVIDIA GPU of that number; needs the feature `cuda`.
    Cuda(usize),
}

impl DeviceKind {
    /// A GPU where CUDA can be used, else the CPU; and why. Of several GPUs it is the first, or the one of the process's number among those that
    /// share a training on its host, counted around.
    pub fn fastest(search: &Search, local_rank: usize) -> (Self, String) {
        let gpus = match cuda::find(search) {
            Ok(found) => found.gpus,
            Err(runtime::Error::NoCuda(why)) => return (DeviceKind::Cpu, why.brief()),
            Err(error) => return (DeviceKind::Cpu, error.to_string()),
        };
        let which = local_rank % gpus.len().max(1);
        let Some(gpu) = gpus.get(which) else { return (DeviceKind::Cpu, "CUDA has no GPU".to_owned()) };
        let why = match (which, gpus.len()) {
            (_, 1) => gpu.name.clone(),
            (0, count) => format!("{}, the first of {count} GPUs", gpu.name),
            (_, count) => format!("{}, one of {count} GPUs, by the process's number on its host", gpu.name),
        };
        (DeviceKind::Cuda(gpu.ordinal), why)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceKind::Cpu => f.write_str("cpu"),
            DeviceKind::Reference => f.write_str("reference"),
            DeviceKind::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

/// What the cost models go by that choose the CPU's kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costs {
    /// Constants: the same kernels, and so the same bits, in every process. A training needs them, for its evaluations and its teacher too:
    /// schedules look at the ones, gradients come from the other.
    Constant,
    /// How fast AMX is on this machine now, measured once per process, unless the instructions are given. Another process may come to other
    /// last bits.
    Measured,
}

impl From<Mode> for Costs {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Train => Costs::Constant,
            Mode::Infer => Costs::Measured,
        }
    }
}

/// What a network runs on. By default: the CPU, all its threads, its fastest instructions, no measurements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceOptions {
    /// Which kernels.
    pub kind: DeviceKind,
    /// Threads of the CPU's kernels; `None` for all that the machine offers.
    pub threads: Option<usize>,
    /// Threads that prepare images; `None` for as many as the steps need, see [`DeviceOptions::workers`].
    pub workers: Option<usize>,
    /// Instructions of the CPU's kernels; `None` for the fastest.
    pub isa: Option<Isa>,
    /// Folder with the measurements of `resnetc tune`; `None` to leave the choice of algorithms to the cost model.
    pub tuning: Option<PathBuf>,
    /// Where CUDA's libraries are looked for.
    pub cuda: Search,
    /// Folder where plans of convolutions on GPUs are kept; `None` to make and measure them anew in each process.
    pub plans: Option<PathBuf>,
    /// Engines of a GPU that convolutions have to be computed by, where plans are deterministic: those that a checkpoint pins.
    pub engines: Engines,
    /// Whether each step of a plan on a GPU is waited for, so that one which fails is named: many times as slow.
    pub check_steps: bool,
    /// The library of kernels that stands for a GPU, in a build with the feature `cuda-emulated`: a testing aid.
    pub emulated: Option<PathBuf>,
}

impl DeviceOptions {
    /// The CPU with so many threads.
    pub fn cpu(threads: usize) -> Self {
        DeviceOptions { threads: Some(threads), ..DeviceOptions::default() }
    }

    /// Threads of the kernels.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(available_threads)
    }

    /// Threads that prepare images. Beside the CPU's kernels they are few: preparing is much less work than a step. A GPU leaves
    /// the CPU to them.
    pub fn workers(&self) -> usize {
        let threads = self.threads();
        self.workers.unwrap_or(match self.kind {
            DeviceKind::Cpu | DeviceKind::Reference => threads.div_ceil(4).min(4),
            DeviceKind::Cuda(_) => threads.saturating_sub(1).clamp(1, 16),
        })
    }

    /// Instructions of the kernels, where they are the CPU's.
    pub fn cpu_isa(&self) -> Option<Isa> {
        (self.kind == DeviceKind::Cpu).then(|| self.isa.unwrap_or_else(Isa::best))
    }

    /// What the device can do, which plans for it may count on.
    pub fn backend(&self) -> Backend {
        match self.kind {
            DeviceKind::Cpu => CpuDevice::BACKEND,
            DeviceKind::Reference => ReferenceDevice::BACKEND,
            DeviceKind::Cuda(_) => Backend::CUDA,
        }
    }

    /// Opens a device. One device holds plans of one mode, so a training opens two.
    ///
    /// # Errors
    /// Where the machine has no such instructions, threads or GPU, or what CUDA needs is missing.
    pub fn open(&self, costs: Costs) -> Result<Arc<dyn Device>> {
        match self.kind {
            DeviceKind::Cpu => Ok(Arc::new(self.open_cpu(costs, self.tuning())?)),
            DeviceKind::Reference => Ok(Arc::new(ReferenceDevice::cpu()?)),
            DeviceKind::Cuda(ordinal) => self.open_cuda(ordinal, None),
        }
    }

    /// Opens the device of a training that this process shares with others.
    ///
    /// # Errors
    /// Those of [`DeviceOptions::open`]; where it is the reference, which has no ways to others.
    pub fn open_shared(&self, ranks: Arc<Collective>) -> Result<Arc<dyn Device>> {
        match self.kind {
            DeviceKind::Cpu => {
                let cpu = self.open_cpu(Costs::Constant, self.tuning())?;
                Ok(Arc::new(cpu.with_ranks(ranks)))
            }
            DeviceKind::Cuda(ordinal) => self.open_cuda(ordinal, Some(ranks)),
            DeviceKind::Reference => Err(runtime::Error::Device(
                "several processes share a training on CPUs or GPUs: `--device reference` is for one process; give `--device cpu` or `--device cuda`"
                    .to_owned(),
            )
            .into()),
        }
    }

    fn open_cuda(&self, ordinal: usize, ranks: Option<Arc<Collective>>) -> Result<Arc<dyn Device>> {
        #[cfg(feature = "cuda-emulated")]
        if let Some(library) = &self.emulated {
            let gpu = cuda::emulated::Emulated::open(library, cuda::emulated::Choices::default())?;
            let gpu = gpu.with_engines(self.engines.clone())?;
            let gpu = match ranks {
                Some(ranks) => gpu.with_ranks(ranks),
                None => gpu,
            };
            return Ok(Arc::new(cuda::CudaDevice::new(Arc::new(gpu)).checking_steps(self.check_steps)));
        }
        cuda::require(&self.cuda, ordinal)?;
        self.open_card(ordinal, ranks)
    }

    #[cfg(feature = "cuda")]
    fn open_card(&self, ordinal: usize, ranks: Option<Arc<Collective>>) -> Result<Arc<dyn Device>> {
        let (plans, engines) = (self.plans.clone(), self.engines.clone());
        let options = cuda::card::Options { ordinal, plans, engines, ..cuda::card::Options::default() };
        let card = cuda::card::Card::open(&options)?;
        let card = match ranks {
            Some(ranks) => card.with_ranks(&self.cuda, ranks)?,
            None => card,
        };
        Ok(Arc::new(cuda::CudaDevice::new(Arc::new(card)).checking_steps(self.check_steps)))
    }

    #[cfg(not(feature = "cuda"))]
    fn open_card(&self, _ordinal: usize, _ranks: Option<Arc<Collective>>) -> Result<Arc<dyn Device>> {
        Err(runtime::Error::NoCuda(Box::new(runtime::NoCuda::NotBuilt)).into())
    }

    /// Opens the CPU, whatever [`DeviceOptions::kind`] says, with given measurements of algorithms.
    ///
    /// # Errors
    /// Where the machine has no such instructions or threads.
    pub fn open_cpu(&self, costs: Costs, tuning: Tuning) -> Result<CpuDevice> {
        let isa = self.isa.unwrap_or_else(Isa::best);
        let cpu = CpuDevice::with_isa(self.threads(), isa)?.with_tuning(tuning);
        // Who names the instructions wants the same bits in every process.
        let measure = costs == Costs::Measured && self.isa.is_none();
        Ok(if measure { cpu.with_amx_measured() } else { cpu })
    }

    /// An executor of one plan with weights, on a device of its own.
    ///
    /// # Errors
    /// Where the weights are another network's, or the device fails.
    pub fn executor(&self, plan: Arc<Plan>, weights: &ParamStore) -> Result<Executor> {
        let executor = Executor::new(self.open(plan.mode.into())?, plan)?;
        executor.load_params(weights)?;
        Ok(executor)
    }

    /// Where the measurements are kept.
    pub fn tuning_cache(&self) -> Option<Cache> {
        let isa = self.isa.unwrap_or_else(Isa::best);
        self.tuning.as_ref().map(|folder| Cache::in_folder(folder, isa, self.threads()))
    }

    /// The measurements; none where there is no file, or one that cannot be read.
    pub fn tuning(&self) -> Tuning {
        self.tuning_cache().and_then(|cache| cache.load().ok()).unwrap_or_default()
    }
}
