//! The library that the kernels are compiled to for the CPU.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use libloading::{Library as Loaded, Symbol};

use crate::cuda::launch::Launch;
use crate::error::{Error, Result};

type SignatureOf = unsafe extern "C" fn(*const c_char) -> *const c_char;
type LaunchIt =
    unsafe extern "C" fn(*const c_char, *const u32, *const u32, u32, *const u64, u64) -> *const c_char;

/// A library runs one launch at a time, and all drivers of a process that open the same file have the same one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(super) struct Library {
    signature: SignatureOf,
    launch: LaunchIt,
    /// Holds the functions.
    _loaded: Loaded,
}

impl Library {
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |e: libloading::Error| Error::Device(format!("{}: {e}", path.display()));
        // SAFETY: loading runs the constructors of `library.cpp` alone, which fill a table.
        let loaded = unsafe { Loaded::new(path) }.map_err(fail)?;
        // SAFETY: `library.cpp` defines the function with this type.
        let signature: Symbol<'_, SignatureOf> = unsafe { loaded.get(b"resnetc_signature") }.map_err(fail)?;
        // SAFETY: likewise.
        let launch: Symbol<'_, LaunchIt> = unsafe { loaded.get(b"resnetc_launch") }.map_err(fail)?;
        let (signature, launch) = (*signature, *launch);
        Ok(Library { signature, launch, _loaded: loaded })
    }

    /// The kinds of a kernel's arguments.
    pub fn signature(&self, function: &str) -> Option<String> {
        let name = CString::new(function).ok()?;
        // SAFETY: the function takes a text and returns a text that stays, or null.
        text(unsafe { (self.signature)(name.as_ptr()) })
    }

    /// Runs a launch whose name and arguments were found to fit.
    pub fn launch(&self, launch: &Launch<u64>, seed: u64) -> Result<()> {
        let fail = |why: &str| Error::Device(format!("cuda emulated: {}: {why}", launch.function));
        let name = CString::new(launch.function.as_str()).map_err(|e| fail(&e.to_string()))?;
        let slots: Vec<u64> = launch.args.iter().map(crate::cuda::launch::Arg::slot).collect();
        // A launch that failed has left nothing behind.
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (grid, block) = (launch.grid.as_ptr(), launch.block.as_ptr());
        // SAFETY: the slots are as many and of the kinds that the kernel takes, by `Driver::check`; its pointers are those of
        // operands with the sizes that the arguments tell.
        let error = unsafe { (self.launch)(name.as_ptr(), grid, block, launch.shared, slots.as_ptr(), seed) };
        text(error).map_or(Ok(()), |why| Err(fail(&why)))
    }
}

/// A text of the library, copied.
fn text(text: *const c_char) -> Option<String> {
    // SAFETY: what is not null ends with a zero, and stays until the next call.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
