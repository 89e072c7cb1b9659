//! Folders that CUDA's libraries may lie in.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// Where CUDA's libraries are looked for: on the loader's path, in the toolkits, in the Pythons, in that order.
///
/// By default in the toolkits below `/usr/local` alone, and on the loader's path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Folders of libraries. Where there are any, libraries are looked for there and nowhere else.
    pub only: Vec<Root>,
    /// Installations of toolkits, such as `/usr/local/cuda`.
    pub toolkits: Vec<Root>,
    /// Installations of Python, such as a virtual environment. Packages bring CUDA's libraries in folders of their own.
    pub pythons: Vec<Root>,
}

/// A folder, and who names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The folder.
    pub path: PathBuf,
    /// `CUDA_PATH`, `python3 in PATH`; nothing where that is known to all.
    pub named_by: &'static str,
}

/// One place to look in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `LD_LIBRARY_PATH` and what the system knows besides.
    Loader,
    /// A folder.
    Folder(Root),
}

/// Where toolkits are installed by their own program: `cuda`, `cuda-13`, `cuda-13.0`.
const LOCAL: &str = "/usr/local";

impl Search {
    /// Places in their order, of folders those that exist.
    pub fn places(&self) -> Vec<Place> {
        let folder = |path: PathBuf, named_by| Place::Folder(Root { path, named_by });
        if !self.only.is_empty() {
            return self.only.iter().map(|root| Place::Folder(root.clone())).collect();
        }
        let local = below(Path::new(LOCAL), &|name| name.starts_with("cuda"));
        let local = local.into_iter().map(|path| Root { path, named_by: "" });
        let mut places = vec![Place::Loader];
        for root in self.toolkits.iter().cloned().chain(local) {
            places.extend(of_toolkit(&root.path).into_iter().map(|path| folder(path, root.named_by)));
        }
        for root in &self.pythons {
            places.extend(of_python(&root.path).into_iter().map(|path| folder(path, root.named_by)));
        }
        let mut unique: Vec<Place> = Vec::with_capacity(places.len());
        for place in places {
            let known = unique.iter().any(|other| same(other, &place));
            if !known {
                unique.push(place);
            }
        }
        unique
    }

    /// The places as lines for people, those that do not exist too, with what was expected there.
    pub fn described(&self) -> Vec<String> {
        let places = self.places();
        let named = self.only.iter().chain(&self.toolkits).chain(&self.pythons);
        let empty = named.filter(|root| {
            let within =
                |place: &Place| matches!(place, Place::Folder(folder) if folder.path.starts_with(&root.path));
            !places.iter().any(within)
        });
        let line = |root: &Root, note: &str| match root.named_by {
            "" => format!("{}{note}", root.path.display()),
            by => format!("{} ({by}{note})", root.path.display()),
        };
        let found = places.iter().map(|place| match place {
            Place::Loader => "the loader's path (LD_LIBRARY_PATH, /etc/ld.so.conf)".to_owned(),
            Place::Folder(root) => line(root, ""),
        });
        found.chain(empty.map(|root| line(root, ", has no libraries of NVIDIA"))).collect()
    }
}

/// Whether two places are one, by another name.
fn same(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Folder(a), Place::Folder(b)) => {
            a.path == b.path || fs::canonicalize(&a.path).ok() == fs::canonicalize(&b.path).ok()
        }
        (a, b) => a == b,
    }
}

/// Folders of a toolkit's libraries. That of stubs, which nothing can run with, is none of them.
fn of_toolkit(root: &Path) -> Vec<PathBuf> {
    ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"]
        .map(|folder| root.join(folder))
        .into_iter()
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Folders of the libraries that packages of NVIDIA bring: `lib/python3.12/site-packages/nvidia/cudnn/lib`. Conda has those of its
/// own beside Python's, in `lib`; a manager of Pythons has several below `versions`.
fn of_python(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for root in [vec![root.to_owned()], below(&root.join("versions"), &|_| true)].concat() {
        for python in below(&root.join("lib"), &|name| name.starts_with("python3")) {
            for packages in ["site-packages", "dist-packages"] {
                let packages = below(&python.join(packages).join("nvidia"), &|_| true);
                folders.extend(packages.into_iter().map(|package| package.join("lib")));
            }
        }
        if root.join("conda-meta").is_dir() {
            folders.push(root.join("lib"));
        }
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

/// Folders of some names below a folder, the last name first: `cuda-13.0` before `cuda-12.8`. None where it cannot be read.
fn below(folder: &Path, named: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(named))
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.reverse();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(root: &Path, folders: &[&str]) {
        for folder in folders {
            fs::create_dir_all(root.join(folder)).expect("made");
        }
    }

    fn root(path: impl Into<PathBuf>, named_by: &'static str) -> Root {
        Root { path: path.into(), named_by }
    }

    /// The folders below `root` of a search, in order.
    fn folders(search: &Search, root: &Path) -> Vec<String> {
        let below = |place: Place| match place {
            Place::Folder(folder) => {
                folder.path.strip_prefix(root).ok().map(|path| path.display().to_string())
            }
            Place::Loader => None,
        };
        search.places().into_iter().filter_map(below).collect()
    }

    #[test]
    fn the_loader_comes_first_then_toolkits_then_pythons() {
        let temporary = tempfile::tempdir().expect("a folder");
        let at = temporary.path();
        made(at, &["cuda/lib64/stubs", "venv/lib/python3.9/site-packages/nvidia/cudnn/lib"]);
        made(
            at,
            &[
                "venv/lib/python3.12/site-packages/nvidia/cu13/lib",
                "venv/lib/python3.12/site-packages/nvidia/empty",
            ],
        );
        let search = Search {
            toolkits: vec![root(at.join("cuda"), "CUDA_PATH")],
            pythons: vec![root(at.join("venv"), "VIRTUAL_ENV")],
            ..Search::default()
        };
        assert_eq!(search.places().first(), Some(&Place::Loader));
        let expected = [
            "cuda/lib64",
            "venv/lib/python3.9/site-packages/nvidia/cudnn/lib",
            "venv/lib/python3.12/site-packages/nvidia/cu13/lib",
        ];
        assert_eq!(folders(&search, at), expected);
    }

    #[test]
    fn conda_and_managers_of_pythons_are_known() {
        let temporary = tempfile::tempdir().expect("a folder");
        let at = temporary.path();
        made(
            at,
            &[
                "conda/conda-meta",
                "conda/lib",
                "many/versions/3.12.1/lib/python3.12/site-packages/nvidia/cudnn/lib",
            ],
        );
        let pythons = vec![root(at.join("conda"), "CONDA_PREFIX"), root(at.join("many"), "")];
        let search = Search { pythons, ..Search::default() };
        let expected = ["conda/lib", "many/versions/3.12.1/lib/python3.12/site-packages/nvidia/cudnn/lib"];
        assert_eq!(folders(&search, at), expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_two_name_is_one_place() {
        let temporary = tempfile::tempdir().expect("a folder");
        let at = temporary.path();
        made(at, &["cuda/lib64"]);
        std::os::unix::fs::symlink(at.join("cuda"), at.join("link")).expect("linked");
        let toolkits = ["cuda", "cuda", "link"].map(|name| root(at.join(name), "")).to_vec();
        assert_eq!(folders(&Search { toolkits, ..Search::default() }, at), ["cuda/lib64"]);
    }

    #[test]
    fn who_names_folders_is_asked_for_no_others() {
        let search = Search {
            only: vec![root("/a", "RESNETC_CUDA")],
            toolkits: vec![root("/b", "CUDA_PATH")],
            ..Search::default()
        };
        assert_eq!(search.places(), [Place::Folder(root("/a", "RESNETC_CUDA"))]);
        let search = Search { only: Vec::new(), ..search };
        let lines = search.described();
        assert!(lines[0].contains("LD_LIBRARY_PATH"), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("/b (CUDA_PATH, has no libraries of NVIDIA)"));
    }
}
