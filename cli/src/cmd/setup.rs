//! What arguments and environment say together: the device, and where data are.

use resnetc::{DeviceKind, DeviceOptions, Downloads};
use resnetc_runtime::cpu::threads::available_threads;
use resnetc_runtime::cuda;
use resnetc_runtime::cuda::search::Search;
use resnetc_runtime::data::Places;
use resnetc_runtime::error::NoCuda;

use crate::args::{DeviceArg, RunArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::units::counted;

/// What `run` works with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Kernels and threads.
    pub device: DeviceOptions,
    /// Folders of data sets.
    pub places: Places,
    /// Where published weights come from.
    pub downloads: Downloads,
}

impl Setup {
    /// Refuses a device that this build has not, before anything expensive.
    pub fn new(args: &RunArgs, environment: &Environment, output: &Output) -> Result<Self> {
        let device = device(args.device, args.threads, environment, output)?;
        let device = DeviceOptions { workers: args.workers, ..device };
        let data_dir = args.data_dir.clone().or_else(|| environment.data());
        let places = Places { data_dir, cache: environment.cache(), download: true };
        Ok(Setup { device, places, downloads: environment.downloads() })
    }
}

/// The device that was asked for. Refuses a GPU that cannot be used; which one is taken where any would do is told.
pub fn device(
    wanted: DeviceArg,
    threads: Option<usize>,
    environment: &Environment,
    output: &Output,
) -> Result<DeviceOptions> {
    let (cuda, emulated) = (environment.cuda(), environment.emulated());
    let kind = match wanted {
        DeviceArg::Cpu => DeviceKind::Cpu,
        DeviceArg::Reference => DeviceKind::Reference,
        DeviceArg::Cuda(ordinal) if emulated.is_some() => {
            DeviceKind::Cuda(ordinal.unwrap_or(local_rank(environment)?))
        }
        DeviceArg::Cuda(_) if !cfg!(feature = "cuda") => {
            return Err(Failure::Usage(format!("{}, or choose `--device cpu`", NoCuda::NotBuilt)));
        }
        DeviceArg::Cuda(ordinal) => {
            let ordinal = ordinal.map_or_else(|| own_gpu(environment, &cuda), Ok)?;
            cuda::require(&cuda, ordinal)?;
            DeviceKind::Cuda(ordinal)
        }
        DeviceArg::Auto => {
            let (kind, why) = DeviceKind::fastest(&cuda, local_rank(environment)?);
            output.warn(&format!("--device auto takes {kind}: {why}"));
            kind
        }
    };
    if matches!(kind, DeviceKind::Cuda(_)) && emulated.is_none() && environment.launch()?.size > 1 {
        cuda::find_nccl(&cuda)?;
    }
    match kind {
        DeviceKind::Cpu => tuned_cpu(threads, environment, output),
        kind => {
            let (plans, check_steps) = (environment.plans(), environment.check_steps()?);
            let rest = DeviceOptions::default();
            Ok(DeviceOptions { kind, threads, cuda, plans, check_steps, emulated, ..rest })
        }
    }
}

/// The GPU that is this process's where nobody names one: the first, or, of several that a launcher started, the one of its number on its
/// host. Where each sees one GPU alone, as launchers can arrange it, that is the first again.
fn own_gpu(environment: &Environment, cuda: &Search) -> Result<usize> {
    let gpus = cuda::find(cuda)?.gpus.len();
    Ok(local_rank(environment)? % gpus.max(1))
}

/// Its number among the processes of a launcher on its host: `LOCAL_RANK` and what others call it.
fn local_rank(environment: &Environment) -> Result<usize> {
    let launch = environment.launch()?;
    Ok(launch.local_rank.filter(|_| launch.size > 1).unwrap_or(0))
}

/// The CPU. Says so where measurements were kept that cannot be read: the cost model then decides.
pub fn tuned_cpu(
    threads: Option<usize>,
    environment: &Environment,
    output: &Output,
) -> Result<DeviceOptions> {
    let device = cpu(threads, environment, output)?;
    if let Some(Err(error)) = device.tuning_cache().map(|cache| cache.load()) {
        output.warn(&format!("warning: {error}\nIt is ignored; `resnetc tune` writes it anew."));
    }
    Ok(device)
}

/// The CPU, whatever its measurements are. Says so where threads would wait for each other's cores.
pub fn cpu(threads: Option<usize>, environment: &Environment, output: &Output) -> Result<DeviceOptions> {
    let cores = available_threads();
    if let Some(threads) = threads.filter(|&threads| threads > cores) {
        output.warn(&format!(
            "warning: {threads} threads on {}: they wait for each other, which may take many times as long; \
             leave --threads out to take all cores",
            counted(cores, "core")
        ));
    }
    environment.guard()?;
    let (isa, tuning) = (environment.isa()?, environment.tuning());
    let kind = DeviceKind::Cpu;
    Ok(DeviceOptions { kind, threads, isa, tuning, cuda: environment.cuda(), ..DeviceOptions::default() })
}
