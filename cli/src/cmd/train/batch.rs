//! `batch_size: auto`: as many images per step as the memory has room for.

use resnetc::{DeviceKind, DeviceOptions, Spec, batch};
use resnetc_runtime::memory::memory;
use resnetc_runtime::{cuda, train};

use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::report::units::bytes;

/// Share of the free memory that a training step may take, in percent: evaluation, pictures and other programs have the rest.
const SHARE: usize = 60;

/// The batch size, and what is said of it. A training that goes on has the one that it had.
pub fn settle(
    spec: &Spec,
    resumed: Option<&std::path::Path>,
    images: usize,
    device: &DeviceOptions,
    output: &Output,
) -> Result<usize> {
    if let Some(before) = resumed.map(train::progress_of).transpose()? {
        return Ok(before.batch_size);
    }
    let unknown =
        || Failure::Usage("this system does not tell its free memory: write `batch_size: 32`".to_owned());
    let free = match device.kind {
        DeviceKind::Cpu | DeviceKind::Reference => memory().ok_or_else(unknown)?.free,
        DeviceKind::Cuda(ordinal) => {
            let found = cuda::find(&device.cuda)?;
            let gpu = found.gpus.iter().find(|gpu| gpu.ordinal == ordinal).ok_or_else(unknown)?;
            cuda::free_memory(gpu)?
        }
    };
    let fitting = batch::fitting(spec, device.backend(), images, free / 100 * SHARE)?;
    output.note(&format!(
        "batch     {} images: a step takes {} of {} free",
        fitting.images,
        bytes(fitting.bytes),
        bytes(free)
    ))?;
    Ok(fitting.images)
}
