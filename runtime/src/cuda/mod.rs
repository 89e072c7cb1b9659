//! Plans on an NVIDIA GPU.
//!
//!     Plan  -> calls of kernels and convolutions over places   lower/
//!           -> calls over addresses, recorded once              session.rs
//!           -> a driver                                         driver.rs
//!
//! Two drivers stand behind one trait: `card` carries calls out on a GPU, `emulated` on the CPU, by the same kernels compiled for it
//! and the reference's convolutions. What makes calls does not know which of them it talks to, so that all but the card's own
//! behaviour is tested on any machine.

#[cfg(feature = "cudnn")]
pub mod cudnn;
pub mod device;
pub mod driver;
#[cfg(feature = "cuda-emulated")]
pub mod emulated;
pub mod launch;
mod lower;
mod session;

pub use device::CudaDevice;
