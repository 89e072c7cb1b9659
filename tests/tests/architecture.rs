//! The arrows between the parts, read from manifests and sources.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All Rust files below a folder but its unit tests (`tests.rs`), with the lines that are no comments.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = read(&path);
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                files.push((path, code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no sources");
    files
}

fn assert_none(folder: &str, words: &[&str]) {
    for (path, code) in sources(folder) {
        for word in words {
            assert!(!code.contains(word), "{} mentions {word}", path.display());
        }
    }
}

/// Crates of this workspace in a manifest's `[dependencies]`.
fn own_dependencies(krate: &str) -> Vec<String> {
    let manifest = read(&root().join(krate).join("Cargo.toml"));
    let section = manifest.split("\n[").find_map(|s| s.strip_prefix("dependencies]"));
    let lines = section.expect("every crate has dependencies").lines();
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| name.starts_with("resnetc-")).map(str::to_owned).collect()
}

#[test]
fn crates_depend_one_way() {
    assert_eq!(own_dependencies("compiler"), Vec::<String>::new());
    assert_eq!(own_dependencies("runtime"), ["resnetc-compiler"]);
    assert_eq!(own_dependencies("cli"), ["resnetc-compiler", "resnetc-runtime"]);
}

#[test]
fn the_runtime_sees_plans_never_graphs() {
    assert_none(
        "runtime/src",
        &["ir::graph::Graph", "petgraph", "resnetc_compiler::pass", "resnetc_compiler::build"],
    );
}

#[test]
fn the_compiler_is_pure() {
    assert_none("compiler/src", &["println!", "std::time::SystemTime", "std::fs", "std::env"]);
}

#[test]
fn only_the_builder_sees_both_spec_and_graph() {
    assert_none("compiler/src/spec", &["ir::graph", "crate::pass", "crate::plan", "crate::ops"]);
    for folder in ["compiler/src/ir", "compiler/src/ops", "compiler/src/pass", "compiler/src/plan"] {
        assert_none(folder, &["crate::spec"]);
    }
}

#[test]
fn passes_do_not_see_each_other() {
    let passes: Vec<(String, String)> = sources("compiler/src/pass")
        .into_iter()
        .map(|(path, code)| (path.file_stem().expect("a name").to_string_lossy().into_owned(), code))
        .filter(|(name, _)| name != "mod" && name != "tests")
        .collect();
    for (name, code) in &passes {
        for (other, _) in passes.iter().filter(|(other, _)| other != name) {
            let imported =
                [format!("super::{other}"), format!("pass::{other}")].iter().any(|p| code.contains(p));
            assert!(!imported, "the pass {name} uses the pass {other}");
        }
    }
}

#[test]
fn unsafe_code_is_in_kernels_alone() {
    for folder in ["compiler/src", "runtime/src", "cli/src", "tests/src", "benches/versus/src"] {
        for (path, code) in sources(folder) {
            let kernel =
                ["runtime/src/cpu/", "runtime/src/cuda/"].iter().any(|k| path.to_string_lossy().contains(k));
            let starts = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
            let found = starts.iter().any(|start| code.contains(start));
            assert!(kernel || !found, "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn every_crate_takes_the_lints() {
    let workspace = read(&root().join("Cargo.toml"));
    assert!(workspace.contains("undocumented_unsafe_blocks = \"deny\""), "blocks without SAFETY are errors");
    for krate in ["compiler", "runtime", "cli", "tests", "benches/versus"] {
        let manifest = read(&root().join(krate).join("Cargo.toml"));
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{krate} does not take the workspace's lints"
        );
    }
}
