//! Ranges of NVTX: NVIDIA's profilers (Nsight Systems) show steps that are launched one by one by their names.

use std::ffi::{CString, c_char, c_int};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::cuda::loader::RANGES;

type Push = unsafe extern "C" fn(*const c_char) -> c_int;
type Pop = unsafe extern "C" fn() -> c_int;

/// The functions of NVTX.
pub(super) struct Ranges {
    push: Push,
    pop: Pop,
    /// Holds the functions.
    _library: Library,
}

/// A range of this thread, until it is dropped.
pub(super) struct Range {
    pop: Pop,
}

impl Ranges {
    /// Those of the library that the loader has found; nothing where there is none.
    pub fn find() -> Option<Self> {
        RANGES.iter().find_map(|name| Ranges::of(name))
    }

    /// Those of a library, by a name that the loader knows.
    fn of(name: &str) -> Option<Self> {
        // SAFETY: the library is NVIDIA's, or stands in for it, and its initialisers may run in any thread.
        let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) }.ok()?;
        // SAFETY: the functions have these signatures (nvtx3/nvToolsExt.h).
        let (push, pop) = unsafe {
            (*library.get::<Push>(b"nvtxRangePushA").ok()?, *library.get::<Pop>(b"nvtxRangePop").ok()?)
        };
        Some(Ranges { push, pop, _library: library })
    }

    /// Begins a range in this thread.
    pub fn begin(&self, name: &str) -> Option<Range> {
        let name = CString::new(name).ok()?;
        // SAFETY: it reads a text that ends with a zero, and copies it.
        unsafe { (self.push)(name.as_ptr()) };
        Some(Range { pop: self.pop })
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // SAFETY: it takes nothing; the library is never unloaded: the loader keeps it.
        unsafe { (self.pop)() };
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::process::Command;

    use super::*;

    /// Writes down what it is called with.
    const STAND_IN: &str = r#"
        #include <stdio.h>
        #include <string.h>
        static char heard[256];
        int nvtxRangePushA(const char *name) { strcat(heard, "<"); strcat(heard, name); return 0; }
        int nvtxRangePop(void) { strcat(heard, ">"); return 0; }
        const char *what_was_heard(void) { return heard; }
    "#;

    #[test]
    fn steps_are_ranges_within_each_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, made) = (folder.path().join("nvtx.c"), folder.path().join("nvtx.so"));
        std::fs::write(&source, STAND_IN).expect("written");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&made).arg(&source).status();
        assert!(compiled.expect("a C compiler").success());
        let ranges = Ranges::of(&made.display().to_string()).expect("it has both functions");
        let outer = ranges.begin("stem");
        drop(ranges.begin("stem.conv1"));
        drop(outer);
        // SAFETY: the function is the source's above.
        let heard = unsafe {
            let heard = ranges._library.get::<unsafe extern "C" fn() -> *const c_char>(b"what_was_heard");
            CStr::from_ptr(heard.expect("it has it")())
        };
        assert_eq!(heard.to_str(), Ok("<stem<stem.conv1>>"));
    }

    #[test]
    fn without_the_library_nothing_happens() {
        assert!(Ranges::of("libresnetc-has-no-such-library.so.1").is_none());
    }
}
