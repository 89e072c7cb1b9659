//! Writes the table of the specs that are compiled in: all under `specs/`, each by the name of its file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SPECS: &str = "../specs";

fn main() {
    println!("cargo::rerun-if-changed={SPECS}");
    let mut files = BTreeMap::new();
    collect(Path::new(SPECS), &mut files);
    let root = fs::canonicalize(SPECS).expect("the specs are there");
    let rows: Vec<String> = files
        .iter()
        .map(|((_, file), name)| {
            let path = root.join(file);
            format!("    ({name:?}, {file:?}, include_str!({path:?})),\n")
        })
        .collect();
    let text = format!("const SPECS: &[(&str, &str, &str)] = &[\n{}];\n", rows.concat());
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(PathBuf::from(out).join("specs.rs"), text).expect("the folder is writable");
}

/// Names by path, networks of a folder before those of the folders in it.
fn collect(folder: &Path, files: &mut BTreeMap<(usize, String), String>) {
    for entry in fs::read_dir(folder).expect("a folder is readable") {
        let path = entry.expect("a folder is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let file = path.strip_prefix(SPECS).expect("below the specs");
            let file = file.to_str().expect("names are ASCII").replace('\\', "/");
            let name = path.file_stem().and_then(|name| name.to_str()).expect("names are ASCII").to_owned();
            assert!(files.values().all(|other| *other != name), "two specs are called {name}");
            files.insert((file.matches('/').count(), file), name);
        }
    }
}
