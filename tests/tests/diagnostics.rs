//! Every wrong spec of `err/` is told as its reviewed snapshot says; every right one of `ok/` compiles into the units pinned.

use std::fs;
use std::path::Path;

use resnetc_compiler::compile;
use resnetc_compiler::diagnostic::{Diagnostic, render};
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::{Compiled, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{self, Request};

/// Compiles a spec of a folder for training; bases are read beside it.
fn compiled(path: &Path, sources: &mut SourceMap) -> Result<Compiled, Vec<Diagnostic>> {
    let folder = path.parent().expect("a fixture lies in a folder");
    let name = path.file_name().expect("a fixture has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("a fixture is readable");
    let read = |name: &str| fs::read_to_string(folder.join(name));
    let spec = spec::load(
        &Request { name: &name, text: &text, overrides: &[], read: &read, limits: Limits::default() },
        sources,
    )?;
    compile(&spec, &Target::new(Mode::Train, 2))
}

#[test]
fn wrong_specs() {
    insta::glob!("..", "err/*.yaml", |path| {
        let mut sources = SourceMap::default();
        let faults = compiled(path, &mut sources).err().unwrap_or_default();
        assert!(!faults.is_empty(), "{} was taken for right", path.display());
        insta::assert_snapshot!(render(&faults, &sources, false, 110));
    });
}

#[test]
fn right_specs() {
    insta::glob!("..", "ok/*.yaml", |path| {
        let mut sources = SourceMap::default();
        match compiled(path, &mut sources) {
            Ok(compiled) => {
                let rows: Vec<String> = compiled
                    .summary
                    .units
                    .iter()
                    .map(|unit| {
                        let shortcut = unit.shortcut.as_deref().unwrap_or("no shortcut");
                        let (name, kind, shape) = (&unit.name, &unit.kind, &unit.output_shape);
                        format!(
                            "{name} {kind} {shape:?} {} parameters, {} MACs, {shortcut}",
                            unit.params, unit.macs
                        )
                    })
                    .collect();
                insta::assert_snapshot!(rows.join("\n"));
            }
            Err(faults) => panic!("{}", render(&faults, &sources, false, 110)),
        }
    });
}
