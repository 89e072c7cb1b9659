//! The arrows between the parts, read from manifests and sources.

mod arrows;
mod circles;
mod modules;
mod tokens;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arrows::{Arrows, arrows};
use circles::circles;
use modules::{Tree, files};
use tokens::Token;

/// Folders whose files and folders have arrows in a circle, to be mended. Nothing may be added.
const KNOWN_CIRCLES: &[&str] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The crates' folders.
fn members() -> Vec<String> {
    let manifest = read(&root().join("Cargo.toml"));
    let list = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = list.expect("a workspace has members");
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn manifest(folder: &str) -> String {
    read(&root().join(folder).join("Cargo.toml"))
}

/// The value of `name = "…"` in a section of a manifest.
fn name_in(manifest: &str, section: &str) -> Option<String> {
    let section = manifest.split("\n[").find_map(|s| s.trim_start_matches('[').strip_prefix(section))?;
    let line = section.lines().find_map(|line| line.strip_prefix("name = \""))?;
    line.split('"').next().map(str::to_owned)
}

/// All Rust files of the crates' libraries and programs.
fn tree() -> Tree {
    let mut tree = Tree::new();
    for member in members() {
        let mut folders = vec![format!("{member}/src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root().join(&folder)).unwrap_or_else(|e| panic!("{folder}: {e}")) {
                let entry = entry.expect("a readable entry");
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push(path);
                } else if path.ends_with(".rs") {
                    let text = read(&entry.path());
                    tree.insert(path, text);
                }
            }
        }
    }
    tree
}

/// The roots of the crates, each with its name in code. Nobody imports a program: it has none.
fn crates(tree: &Tree) -> Vec<(String, String)> {
    let mut crates = Vec::new();
    for member in members() {
        let manifest = manifest(&member);
        let name = name_in(&manifest, "lib]").or_else(|| name_in(&manifest, "package]"));
        let name = name.expect("a package has a name").replace('-', "_");
        let roots =
            [(name, format!("{member}/src/lib.rs")), (String::new(), format!("{member}/src/main.rs"))];
        crates.extend(roots.into_iter().filter(|(_, root)| tree.contains_key(root)));
    }
    crates
}

/// The files below a folder but unit tests, with the lines that are no comments.
fn code(folder: &str) -> impl Iterator<Item = (String, Vec<String>)> {
    let tree = tree();
    let files = files(&tree, &crates(&tree)).into_iter().filter(|path| path.starts_with(folder));
    let files: Vec<String> = files.collect();
    assert!(!files.is_empty(), "no files below {folder}");
    files.into_iter().map(move |path| {
        let code = tree[&path].lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.map(str::to_owned).collect();
        (path, code)
    })
}

fn all_arrows() -> Arrows {
    let tree = tree();
    arrows(&tree, &crates(&tree))
}

/// Fails where a file of one place has an arrow to a file of the other. Places are files or folders.
fn assert_apart(arrows: &Arrows, from: &str, to: &str) {
    for place in [from, to] {
        assert!(root().join(place).exists(), "the rule names {place}, which is gone");
    }
    for ((file, other), names) in arrows {
        let found = Path::new(file).starts_with(from) && Path::new(other).starts_with(to);
        assert!(!found, "{file} has an arrow to {other}: {names:?}");
    }
}

/// Crates of this workspace in a manifest's `[dependencies]`.
fn own_dependencies(krate: &str) -> Vec<String> {
    let manifest = manifest(krate);
    let section = manifest.split("\n[").find_map(|s| s.strip_prefix("dependencies]"));
    let lines = section.expect("every crate has dependencies").lines();
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| name.starts_with("resnetc")).map(str::to_owned).collect()
}

#[test]
fn no_rooms_have_arrows_in_a_circle() {
    let circles = circles(&all_arrows());
    let unknown: Vec<String> = circles
        .iter()
        .filter(|circle| !KNOWN_CIRCLES.contains(&circle.folder.as_str()))
        .map(ToString::to_string)
        .collect();
    assert!(unknown.is_empty(), "{} circles:\n{}", unknown.len(), unknown.join("\n"));
    let found: BTreeSet<&str> = circles.iter().map(|circle| circle.folder.as_str()).collect();
    for known in KNOWN_CIRCLES {
        assert!(found.contains(known), "{known} has no circle any more: strike it off the list");
    }
}

/// The finder reads what there is: a few arrows that everybody knows, of each kind.
#[test]
fn known_arrows_are_found() {
    let arrows = all_arrows();
    let between = |from: &str, to: &str| {
        arrows
            .keys()
            .any(|(file, other)| Path::new(file).starts_with(from) && Path::new(other).starts_with(to))
    };
    for (from, to) in [
        ("cli/src", "runtime/src"),
        ("runtime/src/cpu", "kernels/src/conv"),
        ("kernels/src", "compiler/src/plan"),
        ("compiler/src/lib.rs", "compiler/src/pass"),
        ("compiler/src/pass", "compiler/src/ir/patch.rs"),
        ("tests/src", "compiler/src"),
        ("benches/versus/src", "runtime/src"),
    ] {
        assert!(between(from, to), "no arrow from {from} to {to}");
    }
}

#[test]
fn crates_depend_one_way() {
    assert_eq!(own_dependencies("compiler"), Vec::<String>::new());
    assert_eq!(own_dependencies("kernels"), ["resnetc-compiler"]);
    assert_eq!(
        own_dependencies("runtime"),
        ["resnetc-compiler", "resnetc-kernels", "resnetc-pictures", "resnetc-weights"]
    );
    assert_eq!(own_dependencies("onnx"), ["resnetc-compiler"]);
    assert_eq!(own_dependencies("pictures"), ["resnetc-compiler"]);
    assert_eq!(own_dependencies("weights"), ["resnetc-compiler"]);
    assert_eq!(own_dependencies("import"), ["resnetc-compiler"]);
    assert_eq!(
        own_dependencies("resnetc"),
        ["resnetc-compiler", "resnetc-onnx", "resnetc-weights", "resnetc-runtime"]
    );
    assert_eq!(
        own_dependencies("cli"),
        [
            "resnetc",
            "resnetc-compiler",
            "resnetc-weights",
            "resnetc-import",
            "resnetc-runtime",
            "resnetc-pictures"
        ]
    );
}

#[test]
fn the_runtime_sees_plans_never_graphs() {
    let arrows = all_arrows();
    for part in ["pass", "build", "ops", "ir/patch.rs"] {
        assert_apart(&arrows, "runtime/src", &format!("compiler/src/{part}"));
        assert_apart(&arrows, "kernels/src", &format!("compiler/src/{part}"));
    }
    assert_apart(&arrows, "kernels/src", "compiler/src/ir/graph.rs");
    let graph = "compiler/src/ir/graph.rs";
    for ((file, _), names) in arrows.iter().filter(|((_, other), _)| other == graph) {
        let mode = names.iter().all(|name| name.split("::").any(|part| part == "Mode"));
        assert!(mode || !file.starts_with("runtime/src"), "{file} has an arrow to {graph}: {names:?}");
    }
}

#[test]
fn the_compiler_is_pure() {
    let impure = ["println!", "std::time", "std::fs", "std::env", "std::process", "std::net"];
    for (path, code) in code("compiler/src/") {
        for line in code {
            assert!(!impure.iter().any(|word| line.contains(word)), "{path}: {line}");
        }
    }
}

/// Options are passed; the command line's `main` alone reads them from the environment.
#[test]
fn the_environment_is_read_in_one_place() {
    let reads = ["env::var", "env::home_dir"];
    let folders =
        ["compiler", "kernels", "onnx", "weights", "import", "runtime", "pictures", "resnetc", "cli"];
    for folder in folders.map(|folder| format!("{folder}/src/")) {
        for (path, code) in code(&folder).filter(|(path, _)| path != "cli/src/environment.rs") {
            for line in code {
                assert!(!reads.iter().any(|call| line.contains(call)), "{path}: {line}");
            }
        }
    }
}

/// Files are opened in one place, which looks first at what they are and how large.
#[test]
fn files_are_opened_with_care() {
    let opens = ["fs::read(", "read_to_string(", "read_to_end(", "File::open(", ".read(true)"];
    let known = [
        // What the system tells of itself is a file by name only.
        "/proc/",
        // To be synced.
        "File::open(folder).and_then(|folder| folder.sync_all())",
        // Bounded by the limits.
        "std::io::stdin().lock().take((limit as u64).saturating_add(1)).read_to_end(",
        "reader.take((limits.bytes as u64).saturating_add(1)).read_to_end(",
    ];
    let elsewhere = |path: &str| path.starts_with("tests/") || path == "runtime/src/files.rs";
    for (path, code) in code("").filter(|(path, _)| !elsewhere(path)) {
        for line in code.iter().take_while(|line| !line.contains("mod tests {")) {
            let open = opens.iter().any(|call| line.contains(call));
            let known = known.iter().any(|known| line.contains(known));
            assert!(!open || known, "{path}: {line}");
        }
    }
}

/// The library answers with values; what people see is the command line's.
#[test]
fn the_library_prints_nothing() {
    let says = ["println!", "eprint", "process::exit"];
    for folder in [
        "kernels/src/",
        "onnx/src/",
        "weights/src/",
        "import/src/",
        "runtime/src/",
        "pictures/src/",
        "resnetc/src/",
    ] {
        for (path, code) in code(folder) {
            for line in code {
                assert!(!says.iter().any(|call| line.contains(call)), "{path}: {line}");
            }
        }
    }
}

/// `println!` and its kin panic where standard output or standard error is closed or full.
#[test]
fn no_macro_prints() {
    let macros = ["print", "println", "eprint", "eprintln"];
    for (path, code) in code("") {
        for pair in tokens::tokens(&code.join("\n")).windows(2) {
            let prints =
                matches!(pair, [Token::Word(word), Token::Sign('!')] if macros.contains(&word.as_str()));
            assert!(!prints, "{path} prints by a macro: {pair:?}");
        }
    }
}

#[test]
fn only_the_builder_sees_both_spec_and_graph() {
    let arrows = all_arrows();
    for part in ["ir/graph.rs", "pass", "plan", "ops"] {
        assert_apart(&arrows, "compiler/src/spec", &format!("compiler/src/{part}"));
    }
    for part in ["ir", "ops", "pass", "plan"] {
        assert_apart(&arrows, &format!("compiler/src/{part}"), "compiler/src/spec");
    }
}

#[test]
fn passes_do_not_see_each_other() {
    let arrows = all_arrows();
    let listed = arrows.iter().filter(|((file, _), names)| {
        file == "compiler/src/pass/mod.rs" && names.iter().any(|name| name.ends_with("::run"))
    });
    let passes: BTreeSet<&str> = listed.map(|((_, pass), _)| pass.as_str()).collect();
    assert!(passes.len() > 5, "the list names no passes but {passes:?}");
    for ((file, other), names) in &arrows {
        let both = passes.contains(file.as_str()) && passes.contains(other.as_str());
        assert!(!both, "the pass {file} has an arrow to {other}: {names:?}");
    }
}

#[test]
fn unsafe_code_is_in_kernels_alone() {
    let starts = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait"];
    // Files of weights are mapped, which a system cannot promise to be safe: one call in one file. MPI and poll(2) are C.
    let kernels = [
        "kernels/src/",
        "runtime/src/cpu/",
        "runtime/src/cuda/",
        "runtime/src/ranks/mpi.rs",
        "runtime/src/ranks/poll.rs",
        "weights/src/map.rs",
    ];
    for (path, code) in code("").filter(|(path, _)| !kernels.iter().any(|folder| path.starts_with(folder))) {
        let found = code.iter().any(|line| starts.iter().any(|start| line.contains(start)));
        assert!(!found, "{path} has unsafe code");
    }
}

#[test]
fn every_crate_takes_the_lints() {
    let workspace = read(&root().join("Cargo.toml"));
    assert!(workspace.contains("undocumented_unsafe_blocks = \"deny\""), "blocks without SAFETY are errors");
    for krate in members() {
        let taken = manifest(&krate).contains("[lints]\nworkspace = true");
        assert!(taken, "{krate} does not take the workspace's lints");
    }
}

/// Cargo does not look for tests in this crate: a file that nobody names would never run.
#[test]
fn every_suite_runs() {
    let manifest = manifest("tests");
    let suites = read(&root().join("tests/tests/suites.rs"));
    for entry in fs::read_dir(root().join("tests/tests")).expect("this folder") {
        let name = entry.expect("a readable entry").file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".rs") else { continue };
        let is_named =
            suites.contains(&format!("mod {name};\n")) || manifest.contains(&format!("tests/{name}.rs\""));
        assert!(is_named, "`{name}` is neither in suites.rs nor in the manifest");
    }
}
