//! The device that `--device` names.

use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::cpu::tune::Cache;
use resnetc_runtime::device::Device;
use resnetc_runtime::error::Result;
use resnetc_runtime::reference::ReferenceDevice;

use crate::args::{DeviceKind, RunArgs};
use crate::failure::{self, Failure};
use crate::output::Output;

/// Refuses a device that this build has not, before anything expensive.
pub fn check(args: &RunArgs, output: &Output) -> failure::Result {
    if args.device == DeviceKind::Cuda && !cfg!(feature = "cuda") {
        let text = "this build has no CUDA: build with `--features cuda`, or choose `--device cpu`";
        return Err(Failure::Usage(text.into()));
    }
    match args.device {
        DeviceKind::Cpu => check_tuning(args.threads, output),
        DeviceKind::Reference | DeviceKind::Cuda => Ok(()),
    }
}

/// Says so where measurements were kept that cannot be read: the cost model then decides.
pub fn check_tuning(threads: Option<usize>, output: &Output) -> failure::Result {
    let cache = Cache::new(Isa::choose()?, threads_or_all(threads));
    if let Some(Err(error)) = cache.map(|cache| cache.load()) {
        output.warn(&format!("warning: {error}\nIt is ignored; `resnetc tune` writes it anew."));
    }
    Ok(())
}

/// Takes the algorithms that `resnetc tune` found, if it was run.
pub fn tuned(cpu: CpuDevice) -> CpuDevice {
    let tuning = cpu.tuning_cache().and_then(|cache| cache.load().ok()).unwrap_or_default();
    cpu.with_tuning(tuning)
}

/// Opens the device. One device holds one kind of plan (training or inference), so a training opens two.
pub fn open(args: &RunArgs) -> Result<Box<dyn Device>> {
    open_with(args, |cpu| cpu)
}

/// Opens the device for inference alone, which may take what is fastest now: a training has to go on with the bits that it
/// would have had without a break.
pub fn open_for_inference(args: &RunArgs) -> Result<Box<dyn Device>> {
    open_with(args, CpuDevice::with_amx_measured)
}

fn open_with(args: &RunArgs, choose: impl FnOnce(CpuDevice) -> CpuDevice) -> Result<Box<dyn Device>> {
    match args.device {
        DeviceKind::Cpu => Ok(Box::new(choose(tuned(CpuDevice::new(args.threads)?)))),
        DeviceKind::Reference => Ok(Box::new(ReferenceDevice::cpu()?)),
        DeviceKind::Cuda => Ok(Box::new(ReferenceDevice::cuda(0)?)),
    }
}

/// Threads of the kernels.
pub fn threads(args: &RunArgs) -> usize {
    threads_or_all(args.threads)
}

fn threads_or_all(threads: Option<usize>) -> usize {
    threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Threads that prepare images: few, for preparing is much less work than a step.
pub fn workers(args: &RunArgs) -> usize {
    threads(args).div_ceil(4).min(4)
}
