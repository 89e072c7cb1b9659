//! Loads CUDA's libraries in the order that they need, or says what is missing.
//!
//! cudarc opens a library by its name when one of its functions is first called. A library that is loaded already is found by
//! that name wherever it lies, so everything is loaded here by its path before.

mod open;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::found::Library;
use super::search::{Place, Search};
use crate::error::NoCuda;
use open::Handle;
pub use table::RANGES;
use table::{
    BETWEEN, BUILT_FOR, CUDNN, DRIVER, Entry, MAJOR, NCCL, OLDEST_CUDNN, OLDEST_NCCL, Version, driver_release,
};

/// What is loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The newest CUDA that the driver runs: `13.0`.
    pub cuda: String,
    /// All libraries, the driver first.
    pub libraries: Vec<Library>,
}

type Result<T> = std::result::Result<T, NoCuda>;

/// Loads all, once in a process: later calls have the first one's answer.
///
/// # Errors
/// [`NoCuda`] says what is missing or does not fit.
pub fn load(search: &Search) -> Result<Loaded> {
    static LOADED: OnceLock<Result<Loaded>> = OnceLock::new();
    LOADED.get_or_init(|| load_all(search)).clone()
}

fn load_all(search: &Search) -> Result<Loaded> {
    let mut libraries = Vec::new();
    let (driver, found) = find(&DRIVER, search)?;
    let started = start(&driver, &found);
    // A driver that was asked to start is not unloaded, whatever it answered.
    driver.keep();
    started?;
    libraries.push(found);
    for entry in BETWEEN {
        match find(&entry, search) {
            Ok((handle, found)) => {
                check_major(&entry, &found)?;
                libraries.push(found);
                handle.keep();
            }
            Err(NoCuda::Missing { .. }) if !entry.required => {}
            Err(error) => return Err(error),
        }
    }
    let (cudnn, found) = find(&CUDNN, search)?;
    check_cudnn(&cudnn, &found)?;
    libraries.push(found);
    cudnn.keep();
    load_ranges(search);
    Ok(Loaded { cuda: libraries[0].version.clone(), libraries })
}

/// Loads the library of a profiler's ranges, where there is one: nothing but names is missing without it.
fn load_ranges(search: &Search) {
    let files = RANGES.iter().flat_map(|file| {
        search.places().into_iter().map(move |place| match place {
            Place::Loader => PathBuf::from(file),
            Place::Folder(root) => root.path.join(file),
        })
    });
    if let Some(handle) = files.into_iter().find_map(|file| open::open(&file).ok()) {
        handle.keep();
    }
}

/// Starts the driver, if it is new enough.
fn start(driver: &Handle, found: &Library) -> Result<()> {
    let broken = |reason| broken(&DRIVER, &found.path, reason);
    let has = driver.number(DRIVER.version.symbol()).map_err(broken)?;
    if has < BUILT_FOR {
        let (needed, release) = (Version::of_thousands(BUILT_FOR), driver_release(MAJOR));
        return Err(NoCuda::Version {
            library: DRIVER.name,
            path: found.path.clone(),
            found: format!("CUDA {}", found.version),
            needed: format!("CUDA {needed}, which releases from {release} on have"),
            advice: format!("Install NVIDIA's driver {release} or later: `nvidia-smi` shows its release."),
        });
    }
    let no_gpu = |reason| NoCuda::NoGpu { driver: found.path.clone(), reason };
    driver.start_driver().map_err(no_gpu)?;
    match driver.number("cuDeviceGetCount").map_err(no_gpu)? {
        0 => Err(no_gpu("it counts 0".to_owned())),
        _ => Ok(()),
    }
}

fn check_cudnn(cudnn: &Handle, found: &Library) -> Result<()> {
    let broken = |reason| broken(&CUDNN, &found.path, reason);
    let has = cudnn.size(CUDNN.version.symbol()).map_err(broken)?;
    let oldest = Version::of_ten_thousands(OLDEST_CUDNN);
    let refused = |found_as: String, needed: String| {
        let advice = CUDNN.advice();
        NoCuda::Version { library: CUDNN.name, path: found.path.clone(), found: found_as, needed, advice }
    };
    if has < OLDEST_CUDNN {
        return Err(refused(format!("version {}", found.version), format!("{oldest} or later")));
    }
    // It loads cuBLASLt by the version that it was built with, and ends the process where there is none.
    let made_with = cudnn.size("cudnnGetCudartVersion").map_err(broken)?;
    if made_with / 1000 != MAJOR {
        let built_for = format!("version {} for CUDA {}", found.version, made_with / 1000);
        return Err(refused(built_for, format!("one for CUDA {MAJOR}")));
    }
    Ok(())
}

/// Refuses a library of another major version, which the loader may have by the name that programs link with.
fn check_major(entry: &Entry, found: &Library) -> Result<()> {
    if found.version.split('.').next() == Some(entry.major.to_string().as_str()) {
        return Ok(());
    }
    Err(NoCuda::Version {
        library: entry.name,
        path: found.path.clone(),
        found: format!("version {}", found.version),
        needed: format!("version {}", entry.major),
        advice: entry.advice(),
    })
}

/// Loads NCCL, which several processes on GPUs need besides, once in a process.
///
/// # Errors
/// [`NoCuda`]: it is missing, or too old.
pub fn nccl(search: &Search) -> Result<Library> {
    static LOADED: OnceLock<Result<Library>> = OnceLock::new();
    let load = || {
        let (handle, found) = look_up(&NCCL, search)?;
        let has = handle.number(NCCL.version.symbol()).map_err(|why| broken(&NCCL, &found.path, why))?;
        if has < OLDEST_NCCL {
            return Err(NoCuda::Version {
                library: NCCL.name,
                path: found.path,
                found: format!("version {}", found.version),
                needed: format!("{} or later", Version::of_ten_thousands(OLDEST_NCCL)),
                advice: NCCL.advice(),
            });
        }
        handle.keep();
        Ok(found)
    };
    LOADED.get_or_init(load).clone()
}

/// Looks a library up that is opened by its name later, and loads it.
fn find(entry: &Entry, search: &Search) -> Result<(Handle, Library)> {
    let (handle, found) = look_up(entry, search)?;
    reached(entry, &found.path)?;
    Ok((handle, found))
}

/// Looks a library up and loads it.
fn look_up(entry: &Entry, search: &Search) -> Result<(Handle, Library)> {
    if let Some(handle) = open::linked(&entry.file()) {
        return described(entry, handle);
    }
    for place in search.places() {
        if let Some(handle) = loaded_from(entry, &place)? {
            return described(entry, handle);
        }
    }
    Err(NoCuda::Missing {
        library: entry.name,
        file: entry.file(),
        places: search.described(),
        others: others(entry, search),
        advice: entry.advice(),
    })
}

/// Loads a library from one place; `None` where it has none. What it loads itself is loaded first.
fn loaded_from(entry: &Entry, place: &Place) -> Result<Option<Handle>> {
    let folder = match place {
        // By the names that cudarc tries, in its order.
        Place::Loader => match open_if_there(entry, Path::new(&entry.plain()))? {
            Some(handle) => return Ok(Some(handle)),
            None => return open_if_there(entry, Path::new(&entry.file())),
        },
        Place::Folder(root) => &root.path,
    };
    open_if_there(entry, &folder.join(entry.file()))
}

/// A library that is there and cannot be loaded is an error. The loader says `NAME: cannot open` of what it does not find.
fn open_if_there(entry: &Entry, name: &Path) -> Result<Option<Handle>> {
    match open::open(name) {
        Ok(handle) => Ok(Some(handle)),
        Err(reason) => match reason.strip_prefix(&format!("{}: cannot open", name.display())) {
            Some(absent) if absent.contains("No such file") => Ok(None),
            _ => Err(broken(entry, name, reason)),
        },
    }
}

/// A loaded library with its file and version.
fn described(entry: &Entry, handle: Handle) -> Result<(Handle, Library)> {
    let path = handle.path(entry.version.symbol()).unwrap_or_else(|| handle.opened_as.clone());
    load_parts(entry, &path)?;
    let version = handle.version(entry.version).map_err(|reason| broken(entry, &path, reason))?;
    Ok((handle, Library { name: entry.name, version: version.to_string(), path }))
}

/// Loads the first of the parts beside a library, and sees that the others are there: they are large, and not all are needed.
fn load_parts(entry: &Entry, path: &Path) -> Result<()> {
    let part = |name: &str| path.with_file_name(format!("lib{}_{name}.so.{}", entry.stem, entry.major));
    let missing = entry.parts.iter().map(|name| part(name)).find(|part| !part.exists());
    if let Some(missing) = missing {
        let reason = format!("{} is not beside it", missing.display());
        return Err(broken(entry, path, reason));
    }
    let Some(first) = entry.parts.first() else { return Ok(()) };
    open::open(&part(first)).map_err(|reason| broken(entry, path, reason)).map(Handle::keep)
}

/// Sees that who opens the library by name gets this file.
fn reached(entry: &Entry, path: &Path) -> Result<()> {
    let same = |other: &Path| fs::canonicalize(other).ok() == fs::canonicalize(path).ok();
    for name in [entry.plain(), entry.file()] {
        let other = open::by_name(&name).and_then(|handle| handle.path(entry.version.symbol()));
        if let Some(other) = other.filter(|other| !same(other)) {
            return Err(NoCuda::Shadowed { library: entry.name, path: path.to_owned(), other });
        }
    }
    Ok(())
}

fn broken(entry: &Entry, path: &Path, reason: String) -> NoCuda {
    NoCuda::Broken { library: entry.name, path: path.to_owned(), reason, advice: entry.advice() }
}

/// Files of a library's other versions.
fn others(entry: &Entry, search: &Search) -> Vec<PathBuf> {
    let folders = search.places().into_iter().filter_map(|place| match place {
        Place::Folder(root) => Some(root.path),
        Place::Loader => None,
    });
    let prefix = entry.plain() + ".";
    let named =
        |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
    let entries = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    let mut files: Vec<PathBuf> = entries.filter(named).map(|entry| entry.path()).collect();
    files.sort();
    files
}
