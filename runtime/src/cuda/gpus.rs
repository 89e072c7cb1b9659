//! The GPUs that the driver has.

use cudarc::driver::sys::CUdevice_attribute::{
    self, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as MULTIPROCESSORS,
};
use cudarc::driver::sys::CUuuid;
use cudarc::driver::{CudaContext, DriverError, result};

use super::found::{Found, Gpu};
use super::loader::Loaded;
use crate::error::{Error, NoCuda, Result};
use crate::files;
use std::path::Path;

/// Where Linux tells the driver's release.
const RELEASE: &str = "/sys/module/nvidia/version";

/// What is loaded, with the GPUs that it has.
///
/// # Errors
/// Where the driver cannot tell of one.
pub fn list(loaded: Loaded) -> std::result::Result<Found, NoCuda> {
    let gpus = result::device::get_count().and_then(|count| (0..count).map(gpu).collect());
    let driver = &loaded.libraries[0].path;
    let gpus = gpus.map_err(|error| NoCuda::NoGpu { driver: driver.clone(), reason: error.to_string() })?;
    let driver = files::read_text(Path::new(RELEASE), 1 << 10).ok().map(|text| text.trim().to_owned());
    Ok(Found { driver, cuda: loaded.cuda, libraries: loaded.libraries, gpus })
}

fn gpu(ordinal: i32) -> std::result::Result<Gpu, DriverError> {
    let device = result::device::get(ordinal)?;
    // SAFETY: the driver has just given the device.
    let ask = |attribute: CUdevice_attribute| unsafe { result::device::get_attribute(device, attribute) };
    Ok(Gpu {
        ordinal: ordinal as usize,
        name: result::device::get_name(device)?,
        uuid: uuid(result::device::get_uuid(device)?),
        compute_capability: format!("{}.{}", ask(MAJOR)?, ask(MINOR)?),
        multiprocessors: ask(MULTIPROCESSORS)? as usize,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }?,
    })
}

/// Bytes of memory that nobody has.
///
/// # Errors
/// Where the GPU is another process' alone, or has failed.
pub fn free_memory(gpu: &Gpu) -> Result<usize> {
    let failed = |error: DriverError| Error::Device(format!("cuda:{}: {error}", gpu.ordinal));
    let context = CudaContext::new(gpu.ordinal).map_err(failed)?;
    context.mem_get_info().map(|(free, _)| free).map_err(failed)
}

/// `GPU-01234567-89ab-cdef-0123-456789abcdef`
fn uuid(uuid: CUuuid) -> String {
    let digits: String = uuid.bytes.iter().map(|&byte| format!("{:02x}", byte as u8)).collect();
    let group = |range: std::ops::Range<usize>| &digits[range];
    format!("GPU-{}-{}-{}-{}-{}", group(0..8), group(8..12), group(12..16), group(16..20), group(20..32))
}
