//! The kernels as `scripts/cuda-kernels` compiles them: an archive of a folder for each target, with a file for each family.

#![forbid(unsafe_code)]

use std::io;

use lzma_rust2::XzReader;
use tar::Archive;

use crate::error::{Error, Result};

/// A family's kernels, compiled for a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Name of the source without its ending: `norm`.
    pub family: String,
    /// Code of the GPU (ELF), or PTX where the GPU is newer than all targets; the driver loads either.
    pub image: Vec<u8>,
}

/// What one folder of the archive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// Every GPU from that one on: the driver compiles it.
    Ptx(u32),
    /// GPUs of the same major compute capability, and of that minor one or a later.
    Cubin(u32),
}

impl Target {
    /// `sm_90`, `compute_80`.
    fn named(name: &str) -> Option<Self> {
        let (kind, number) = name.split_once('_')?;
        match (kind, number.parse().ok()?) {
            ("sm", capability) => Some(Target::Cubin(capability)),
            ("compute", capability) => Some(Target::Ptx(capability)),
            _ => None,
        }
    }

    fn runs_on(self, capability: u32) -> bool {
        match self {
            Target::Ptx(least) => capability >= least,
            Target::Cubin(least) => capability >= least && capability / 10 == least / 10,
        }
    }
}

/// The modules of an archive for a GPU of that compute capability, `(9, 0)`: its own code where there is some, else PTX.
///
/// # Errors
/// Where the GPU is older than all of it, or the archive cannot be read.
pub fn for_gpu(archive: &[u8], (major, minor): (u32, u32)) -> Result<Vec<Module>> {
    let capability = major * 10 + minor;
    let broken = |error: io::Error| Error::Device(format!("the archive of kernels: {error}"));
    let mut best: Option<Target> = None;
    let mut modules = Vec::new();
    for entry in Archive::new(XzReader::new(archive, false)).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        let folder = path.parent().and_then(|folder| folder.to_str()).and_then(Target::named);
        let Some(target) = folder.filter(|target| target.runs_on(capability)) else { continue };
        if best.is_some_and(|best| target < best) {
            continue;
        }
        if best != Some(target) {
            (best, modules) = (Some(target), Vec::new());
        }
        let mut image = Vec::new();
        io::copy(&mut entry, &mut image).map_err(broken)?;
        let family = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        modules.push(Module { family, image });
    }
    match best {
        Some(_) => Ok(modules),
        None => Err(Error::Device(format!(
            "the GPU has compute capability {major}.{minor}, which no kernel is compiled for: 8.0 or later is needed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use lzma_rust2::{XzOptions, XzWriter};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::hex::hex;

    /// An archive of two families, each file's content being its name.
    fn archive() -> Vec<u8> {
        let packed = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).expect("options that go together");
        let mut builder = tar::Builder::new(packed);
        for target in ["compute_80", "sm_100", "sm_80", "sm_86", "sm_90"] {
            for family in ["loss", "norm"] {
                let name = format!("{target}/{family}.x");
                let mut header = tar::Header::new_ustar();
                header.set_size(name.len() as u64);
                builder.append_data(&mut header, &name, name.as_bytes()).expect("appended");
            }
        }
        builder.into_inner().and_then(XzWriter::finish).expect("packed")
    }

    #[test]
    fn a_gpu_gets_its_own_code_else_older_code_of_its_kind_else_ptx() {
        let folder = |capability| {
            let modules = for_gpu(&archive(), capability).expect("there is some");
            let families: Vec<_> = modules.iter().map(|module| module.family.as_str()).collect();
            assert_eq!(families, ["loss", "norm"]);
            let image = String::from_utf8(modules[1].image.clone()).expect("a name");
            image.strip_suffix("/norm.x").expect("its own").to_owned()
        };
        assert_eq!(folder((9, 0)), "sm_90");
        assert_eq!(folder((8, 0)), "sm_80");
        assert_eq!(folder((8, 7)), "sm_86");
        assert_eq!(folder((10, 3)), "sm_100");
        assert_eq!(folder((12, 0)), "compute_80");
    }

    /// What the script packs, the program unpacks: for every GPU all families, as cubins are (ELF) or as PTX.
    #[test]
    fn the_committed_archive_has_code_for_every_gpu() {
        let packed = include_bytes!("kernels.tar.xz");
        let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cuda/kernels"));
        let is_family = |path: &Path| path.extension().is_some_and(|ending| ending == "cu");
        let families = sources
            .expect("there")
            .filter(|entry| is_family(&entry.as_ref().expect("listed").path()))
            .count();
        for (capability, begin) in [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
            .map(|capability| (capability, "\x7fELF"))
            .into_iter()
            .chain([((13, 0), "//")])
        {
            let modules = for_gpu(packed, capability).expect("there is some");
            assert_eq!(modules.len(), families, "{capability:?}");
            assert!(
                modules.iter().all(|module| module.image.starts_with(begin.as_bytes())),
                "{capability:?}"
            );
        }
    }

    #[test]
    fn what_is_too_old_or_broken_is_refused() {
        let error = for_gpu(&archive(), (7, 5)).expect_err("too old").to_string();
        assert!(error.contains("compute capability 7.5"), "{error}");
        assert!(for_gpu(b"no archive", (9, 0)).is_err());
    }

    /// Whoever changes a kernel compiles it: `scripts/cuda-kernels` writes the hash, and CI compiles again.
    #[test]
    fn the_archive_is_of_these_sources() {
        let cuda = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cuda");
        let mut sources: Vec<_> = fs::read_dir(cuda.join("kernels"))
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("listed").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "cu" || ending == "cuh"))
            .collect();
        sources.sort();
        let table = fs::read_to_string(cuda.join("cubins/kernels.txt")).unwrap_or_default();
        assert_eq!(sources.is_empty(), table.is_empty(), "kernels and their table come together");
        if sources.is_empty() {
            return;
        }
        let mut hash = Sha256::new();
        for source in sources {
            let (name, text) = (source.file_name().expect("a name"), fs::read(&source).expect("readable"));
            hash.update(format!("{}\n{}\n", name.to_str().expect("UTF-8"), text.len()));
            hash.update(text);
        }
        let line = format!("\nsources   {}\n", hex(hash.finalize()));
        assert!(
            table.contains(&line),
            "a kernel has changed: run scripts/cuda-kernels and commit what it writes"
        );
    }
}
