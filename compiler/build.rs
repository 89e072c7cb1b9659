//! Writes the lists of what is compiled in: all specs under `specs/` and all published tables under `tables/`, each by the name of its
//! file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const SPECS: &str = "../specs";
const TABLES: &str = "../tables";

fn main() {
    list(SPECS, "SPECS", "specs.rs");
    list(TABLES, "TABLES", "tables.rs");
}

/// Writes a constant with name, file and text of all YAML files of a folder.
fn list(folder: &str, constant: &str, into: &str) {
    println!("cargo::rerun-if-changed={folder}");
    let mut files = BTreeMap::new();
    collect(Path::new(folder), folder, &mut files);
    // The path is put together where the list is compiled: a checkout that was moved keeps the list.
    let row = |((_, file), name): (&(usize, String), &String)| {
        let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?})", format!("/{folder}/{file}"));
        format!("    ({name:?}, {file:?}, include_str!({path})),\n")
    };
    let rows: Vec<String> = files.iter().map(row).collect();
    let text = format!("const {constant}: &[(&str, &str, &str)] = &[\n{}];\n", rows.concat());
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(PathBuf::from(out).join(into), text).expect("the folder is writable");
}

/// Names by path, networks of a folder before those of the folders in it.
fn collect(folder: &Path, top: &str, files: &mut BTreeMap<(usize, String), String>) {
    for entry in fs::read_dir(folder).expect("a folder is readable") {
        let path = entry.expect("a folder is readable").path();
        if path.is_dir() {
            collect(&path, top, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let file = path.strip_prefix(top).expect("below the folder");
            let file = file.to_str().expect("names are ASCII").replace('\\', "/");
            let name = path.file_stem().and_then(|name| name.to_str()).expect("names are ASCII").to_owned();
            assert!(files.values().all(|other| *other != name), "two files are called {name}");
            files.insert((file.matches('/').count(), file), name);
        }
    }
}
