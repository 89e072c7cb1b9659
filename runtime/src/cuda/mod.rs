//! NVIDIA GPUs: what of CUDA a machine has, what is refused, and plans on them.
//!
//! Nothing of CUDA may be called before [`find`] has answered: cudarc panics where a library is missing, and cuDNN ends the
//! process where one of those that it loads itself is.
//!
//! ```text
//! Plan  -> calls of kernels and convolutions over places    lower/
//!       -> calls over addresses, recorded once               session.rs, rounds.rs: inputs before, results behind by feed.rs
//!       -> a driver                                          driver.rs
//! ```
//!
//! Two drivers stand behind one trait: `card` carries calls out on a GPU, `emulated` on the CPU, by the same kernels compiled for it
//! and the reference's convolutions. What makes calls does not know which of them it talks to, so that all but the card's own
//! behaviour is tested on any machine.

#[cfg(all(feature = "cuda", not(target_os = "linux")))]
compile_error!("the feature `cuda` finds CUDA's libraries as Linux does: build without it elsewhere");

#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod as_device;
#[cfg(feature = "cuda")]
pub mod card;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod ceilings;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
pub mod collectives;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
pub mod communicator;
#[cfg(any(test, feature = "cuda"))]
pub mod cubins;
#[cfg(feature = "cudnn")]
pub mod cudnn;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
pub mod device;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
pub mod driver;
#[cfg(feature = "cuda-emulated")]
pub mod emulated;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod feed;
pub mod found;
#[cfg(feature = "cuda")]
mod gpus;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
pub mod launch;
#[cfg(feature = "cuda")]
pub mod loader;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod lower;
#[cfg(any(feature = "cuda", feature = "cuda-emulated"))]
pub mod nccl;
pub mod normalise;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod room;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod rounds;
pub mod search;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod session;
#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
mod take_over;

#[cfg(any(feature = "cudnn", feature = "cuda-emulated"))]
pub use device::CudaDevice;

use crate::error::{Error, NoCuda, Result};
use found::Found;
use search::Search;

/// Loads CUDA's libraries and lists the GPUs. The libraries stay loaded, so a second call has the first one's, wherever it would
/// search.
///
/// # Errors
/// [`NoCuda`]: a library is missing or of the wrong version, the driver has no GPU, or this build has no CUDA.
pub fn find(search: &Search) -> Result<Found> {
    #[cfg(feature = "cuda")]
    return loader::load(search).and_then(gpus::list).map_err(no_cuda);
    #[cfg(not(feature = "cuda"))]
    {
        // Where to look makes no difference where nothing would be called.
        let _ = search;
        Err(no_cuda(NoCuda::NotBuilt))
    }
}

/// Loads NCCL, which ranks of a training on GPUs need besides. It stays loaded.
///
/// # Errors
/// [`NoCuda`]: it is missing or too old, or this build has no CUDA.
pub fn find_nccl(search: &Search) -> Result<found::Library> {
    #[cfg(feature = "cuda")]
    return loader::nccl(search).map_err(no_cuda);
    #[cfg(not(feature = "cuda"))]
    {
        // As in `find`.
        let _ = search;
        Err(no_cuda(NoCuda::NotBuilt))
    }
}

/// Refuses a GPU's number that the machine has not.
///
/// # Errors
/// Those of [`find`], and [`NoCuda::NoSuchGpu`].
pub fn require(search: &Search, ordinal: usize) -> Result<()> {
    let gpus = find(search)?.gpus;
    if gpus.iter().any(|gpu| gpu.ordinal == ordinal) {
        return Ok(());
    }
    Err(no_cuda(NoCuda::NoSuchGpu { ordinal, gpus: gpus.into_iter().map(|gpu| gpu.name).collect() }))
}

/// Bytes of a GPU's memory that nobody has. It takes a context on the GPU, which is some of that memory.
///
/// # Errors
/// Where the GPU gives this process no memory; and in a build without CUDA.
pub fn free_memory(gpu: &found::Gpu) -> Result<usize> {
    #[cfg(feature = "cuda")]
    return gpus::free_memory(gpu);
    #[cfg(not(feature = "cuda"))]
    Err(Error::Device(format!("{}: this build has no CUDA", gpu.name)))
}

fn no_cuda(why: NoCuda) -> Error {
    Error::NoCuda(Box::new(why))
}
