//! Loading libraries, and calling the few functions of theirs that tell versions. All foreign calls before cudarc's stand here.

use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LOCAL, RTLD_NOW};

use super::table::{Asked, Version};

/// A library that stays loaded as long as the process lives.
pub struct Handle {
    library: Library,
    /// The path or name that it was loaded by.
    pub opened_as: PathBuf,
}

/// `cuInit`'s answer where all is well.
const SUCCESS: c_int = 0;

/// Loads a library by its path, or by a name that the loader looks up, and shows its functions to those loaded later, which find
/// each other by name.
///
/// # Errors
/// The loader's own words.
pub fn open(name: &Path) -> Result<Handle, String> {
    opened(name, RTLD_NOW | RTLD_GLOBAL)
}

/// What the loader gives for a name, without showing its functions to others.
pub fn by_name(name: &str) -> Option<Handle> {
    opened(Path::new(name), RTLD_NOW | RTLD_LOCAL).ok()
}

/// A library that the process has by that name already: one that it was linked with.
pub fn linked(name: &str) -> Option<Handle> {
    opened(Path::new(name), RTLD_NOW | RTLD_GLOBAL | libc::RTLD_NOLOAD).ok()
}

fn opened(name: &Path, flags: c_int) -> Result<Handle, String> {
    // SAFETY: the libraries are NVIDIA's, or stand in for them, and their initialisers may run in any thread.
    let library = unsafe { Library::open(Some(name), flags) };
    let words =
        |error: libloading::Error| error.source().map_or_else(|| error.to_string(), ToString::to_string);
    library.map(|library| Handle { library, opened_as: name.to_owned() }).map_err(words)
}

impl Handle {
    /// Keeps the library for as long as the process lives: cudarc and cuDNN find it by its name.
    pub fn keep(self) {
        std::mem::forget(self.library);
    }

    /// A function of the signature that `T` is.
    ///
    /// # Safety
    /// `T` is the function's signature, as a pointer to it.
    unsafe fn function<T: Copy>(&self, name: &str) -> Result<T, String> {
        // SAFETY: as this function's own.
        let symbol = unsafe { self.library.get::<T>(name.as_bytes()) };
        symbol.map(|symbol| *symbol).map_err(|_| format!("it has no function `{name}`"))
    }

    /// The file that a function of it comes from.
    pub fn path(&self, function: &str) -> Option<PathBuf> {
        // SAFETY: the pointer is only looked up, never called.
        let address = unsafe { self.function::<*const c_void>(function) }.ok()?;
        let mut found = libc::Dl_info {
            dli_fname: std::ptr::null(),
            dli_fbase: std::ptr::null_mut(),
            dli_sname: std::ptr::null(),
            dli_saddr: std::ptr::null_mut(),
        };
        // SAFETY: `found` is writable, and any address may be asked for.
        if unsafe { libc::dladdr(address, &mut found) } == 0 || found.dli_fname.is_null() {
            return None;
        }
        // SAFETY: on success the name is the loader's, ends with a zero and lives as long as the library.
        let name = unsafe { CStr::from_ptr(found.dli_fname) };
        Some(PathBuf::from(name.to_string_lossy().into_owned()))
    }

    /// The library's version.
    ///
    /// # Errors
    /// Where it has no such function, or that fails.
    pub fn version(&self, asked: Asked) -> Result<Version, String> {
        match asked {
            Asked::Thousands(name) => Ok(Version::of_thousands(self.number(name)?)),
            Asked::TenThousands(name) => Ok(Version::of_ten_thousands(self.number(name)?)),
            Asked::Size(name) => Ok(Version::of_ten_thousands(self.size(name)?)),
            Asked::Pair(name) => self.pair(name),
            Asked::Property(name) => {
                (0..3).map(|which| self.property(name, which)).collect::<Result<_, _>>().map(Version)
            }
        }
    }

    /// `status f(int *number)`
    ///
    /// # Errors
    /// Where there is no such function, or it fails.
    pub fn number(&self, name: &str) -> Result<c_int, String> {
        // SAFETY: the functions that are called so have this signature (cuda.h, cuda_runtime_api.h, curand.h, nccl.h).
        let function: unsafe extern "C" fn(*mut c_int) -> c_int = unsafe { self.function(name) }?;
        let mut number = 0;
        // SAFETY: the function writes the one number.
        succeeded(name, unsafe { function(&mut number) })?;
        Ok(number)
    }

    /// `size_t f()`
    ///
    /// # Errors
    /// Where there is no such function.
    pub fn size(&self, name: &str) -> Result<c_int, String> {
        // SAFETY: the functions that are called so have this signature (cudnn_version.h, cublasLt.h).
        let function: unsafe extern "C" fn() -> usize = unsafe { self.function(name) }?;
        // SAFETY: it takes nothing and returns a number.
        c_int::try_from(unsafe { function() }).map_err(|_| format!("`{name}` gives no version"))
    }

    fn pair(&self, name: &str) -> Result<Version, String> {
        // SAFETY: `nvrtcVersion` has this signature (nvrtc.h).
        let function: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int = unsafe { self.function(name) }?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the function writes the two numbers.
        succeeded(name, unsafe { function(&mut major, &mut minor) })?;
        Ok(Version(vec![major, minor]))
    }

    fn property(&self, name: &str, which: c_int) -> Result<c_int, String> {
        // SAFETY: `cublasGetProperty` has this signature; its first argument is an enum of 0, 1 and 2 (library_types.h).
        let function: unsafe extern "C" fn(c_int, *mut c_int) -> c_int = unsafe { self.function(name) }?;
        let mut value = 0;
        // SAFETY: the function writes the one number.
        succeeded(name, unsafe { function(which, &mut value) })?;
        Ok(value)
    }

    /// Starts the driver.
    ///
    /// # Errors
    /// The driver's name of the error: `CUDA_ERROR_NO_DEVICE`.
    pub fn start_driver(&self) -> Result<(), String> {
        // SAFETY: `cuInit` has this signature (cuda.h).
        let start: unsafe extern "C" fn(c_uint) -> c_int = unsafe { self.function("cuInit") }?;
        // SAFETY: 0 is the only flag that there is.
        match unsafe { start(0) } {
            SUCCESS => Ok(()),
            error => Err(self.driver_error(error)),
        }
    }

    fn driver_error(&self, error: c_int) -> String {
        type Name = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
        let mut name = std::ptr::null();
        // SAFETY: `cuGetErrorName` has this signature (cuda.h).
        let function = unsafe { self.function::<Name>("cuGetErrorName") };
        // SAFETY: it writes the one pointer.
        let known = function.is_ok_and(|function| unsafe { function(error, &mut name) } == SUCCESS);
        if !known || name.is_null() {
            return format!("error {error}");
        }
        // SAFETY: a name that the driver gives ends with a zero and is never freed.
        unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
    }
}

fn succeeded(function: &str, status: c_int) -> Result<(), String> {
    if status == SUCCESS { Ok(()) } else { Err(format!("`{function}` fails with {status}")) }
}
