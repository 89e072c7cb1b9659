//! Every wrong spec of `err/` is told as its reviewed snapshot says; every right one of `ok/` compiles into the units pinned.
//! What `warn/` holds compiles and is warned of, what `lint/` holds is advised against.

use std::fs;
use std::path::Path;

use resnetc_compiler::diagnostic::{Diagnostic, render};
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::lint::{Subject, lint};
use resnetc_compiler::report::{Compiled, Target};
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{self, Request, ResolvedSpec};
use resnetc_compiler::{compile, expand};

/// Reads a spec of a folder; bases are read beside it.
fn loaded(path: &Path, sources: &mut SourceMap) -> Result<ResolvedSpec, Vec<Diagnostic>> {
    let folder = path.parent().expect("a fixture lies in a folder");
    let name = path.file_name().expect("a fixture has a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("a fixture is readable");
    let read = |name: &str| fs::read_to_string(folder.join(name));
    let request =
        Request { name: &name, text: &text, overrides: &[], read: &read, limits: Limits::default() };
    spec::load(&request, sources)
}

/// Compiles a spec of a folder.
fn compiled(path: &Path, mode: Mode, sources: &mut SourceMap) -> Result<Compiled, Vec<Diagnostic>> {
    compile(&loaded(path, sources)?, &Target::new(mode, 2))
}

#[test]
fn wrong_specs() {
    insta::glob!("..", "err/*.yaml", |path| {
        let mut sources = SourceMap::default();
        let faults = compiled(path, Mode::Train, &mut sources).err().unwrap_or_default();
        assert!(!faults.is_empty(), "{} was taken for right", path.display());
        insta::assert_snapshot!(render(&faults, &sources, false, 110));
    });
}

#[test]
fn right_specs() {
    insta::glob!("..", "ok/*.yaml", |path| {
        let mut sources = SourceMap::default();
        match compiled(path, Mode::Train, &mut sources) {
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

/// What one command refuses, every other refuses too, in the same words.
#[test]
fn wrong_specs_are_wrong_in_both_modes() {
    insta::glob!("..", "err/*.yaml", |path| {
        // A feature extractor, an optimizer that nothing takes, and a limit of memory are wrong for training alone.
        if ["training_without_head.yaml", "muon_without_filters.yaml", "memory_limit_too_small.yaml"]
            .iter()
            .any(|alone| path.ends_with(alone))
        {
            return;
        }
        let told = [Mode::Infer, Mode::Train].map(|mode| {
            let mut sources = SourceMap::default();
            let faults = compiled(path, mode, &mut sources).err().unwrap_or_default();
            render(&faults, &sources, false, 110)
        });
        assert_eq!(told[0], told[1], "{}", path.display());
    });
}

#[test]
fn doubtful_specs() {
    insta::glob!("..", "warn/*.yaml", |path| {
        let mut sources = SourceMap::default();
        let spec = loaded(path, &mut sources);
        let spec = spec.unwrap_or_else(|faults| panic!("{}", render(&faults, &sources, false, 110)));
        let compiled = compile(&spec, &Target::new(Mode::Infer, 1));
        assert!(compiled.is_ok(), "{}: {:?}", path.display(), compiled.err());
        insta::assert_snapshot!(render(&spec.warnings, &sources, false, 110));
    });
}

#[test]
fn specs_that_are_advised_against() {
    insta::glob!("..", "lint/*.yaml", |path| {
        let mut sources = SourceMap::default();
        let spec = loaded(path, &mut sources).expect("a right spec");
        let network = expand(&spec, &Target::new(Mode::Infer, 1)).expect("a right spec");
        let found = lint(&Subject { spec: &spec, graph: &network.graph });
        let told: Vec<String> = found
            .iter()
            .map(|finding| {
                let text = render(std::slice::from_ref(&finding.diagnostic), &sources, false, 110);
                format!("{}:\n{text}", finding.rule.name)
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    });
}
