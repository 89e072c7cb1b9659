//! Every wrong spec of `err/` is told as its reviewed snapshot says; every right one of `ok/` builds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use resnetc_compiler::build::build;
use resnetc_compiler::diagnostic::{Diagnostic, render};
use resnetc_compiler::ir::graph::{Graph, Mode};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::{self, Request};

/// Loads and builds a spec of a folder; bases are read beside it.
fn compile(path: &Path, sources: &mut SourceMap) -> Result<Graph, Vec<Diagnostic>> {
    let folder = path.parent().expect("a fixture lies in a folder");
    let name = path.file_name().expect("a fixture has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("a fixture is readable");
    let read = |name: &str| fs::read_to_string(folder.join(name));
    let spec = spec::load(&Request { name: &name, text: &text, overrides: &[], read: &read }, sources)?;
    build(&spec, Mode::Train, 2)
}

#[test]
fn wrong_specs() {
    insta::glob!("..", "err/*.yaml", |path| {
        let mut sources = SourceMap::default();
        let start = Instant::now();
        let faults = compile(path, &mut sources).err().unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(5), "{} was not refused at once", path.display());
        assert!(!faults.is_empty(), "{} was taken for right", path.display());
        insta::assert_snapshot!(render(&faults, &sources, false, 110));
    });
}

#[test]
fn right_specs() {
    insta::glob!("..", "ok/*.yaml", |path| {
        let mut sources = SourceMap::default();
        match compile(path, &mut sources) {
            Ok(graph) => {
                let ops: Vec<String> = graph
                    .ids()
                    .map(|id| graph.node(id))
                    .filter(|node| !node.name.contains(".weight") && !node.name.contains(".bn"))
                    .map(|node| format!("{} = {}", node.name, sources.text(node.span).replace('\n', " ")))
                    .collect();
                insta::assert_snapshot!(ops.join("\n"));
            }
            Err(faults) => panic!("{}", render(&faults, &sources, false, 110)),
        }
    });
}
