//! Any text as a spec: it compiles, or every mistake can be drawn.

#![no_main]

use std::io::{Error, ErrorKind};

use libfuzzer_sys::fuzz_target;
use resnetc_compiler::diagnostic::render;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, load};

/// Small enough for thousands of runs in a second.
fn limits() -> Limits {
    Limits { bytes: 1 << 14, units: 64, nodes: 2000, expressions: 4000, values: 2000, ..Limits::default() }
}

fuzz_target!(|text: &str| {
    let none = |path: &str| Err(Error::new(ErrorKind::NotFound, path.to_owned()));
    let request = Request { name: "fuzz.yaml", text, overrides: &[], read: &none, limits: limits() };
    let mut sources = SourceMap::default();
    let faults = match load(&request, &mut sources) {
        Ok(spec) => [Mode::Infer, Mode::Train]
            .into_iter()
            .filter_map(|mode| resnetc_compiler::compile(&spec, &Target::new(mode, 1)).err())
            .next()
            .unwrap_or_default(),
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a reason");
            faults
        }
    };
    render(&faults, &sources, false, 80);
});
