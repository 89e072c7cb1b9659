//! cuDNN's library: whether it is there, and its version.

use cudarc::cudnn::sys;

use super::fault::Result;

/// The library's version: 92801 is 9.28.1.
pub fn version() -> usize {
    // SAFETY: a function without arguments or conditions.
    unsafe { sys::cudnnGetVersion() }
}

/// `9.28.1`
pub fn version_text(version: usize) -> String {
    format!("{}.{}.{}", version / 10000, version / 100 % 100, version % 100)
}

/// Whether cuDNN, and cuBLAS without which it ends the process, can be loaded. A build with the feature `cuda` has them linked, or
/// loaded before by what looks for them.
///
/// # Errors
/// Where one cannot; it says which.
pub fn present() -> Result<()> {
    #[cfg(not(feature = "cuda"))]
    {
        // SAFETY: the functions load a library and let it go; NVIDIA's do no more when they are loaded than to set themselves up.
        let found = unsafe {
            [
                ("libcudnn", sys::is_culib_present()),
                ("libcublas, with libcublasLt", cudarc::cublas::sys::is_culib_present()),
            ]
        };
        for (library, found) in found {
            if !found {
                return Err(super::fault::Fault::refused(format!(
                    "{library} is not found: cuDNN 9 and cuBLAS have to lie in the loader's path, in LD_LIBRARY_PATH for one"
                )));
            }
        }
    }
    Ok(())
}
