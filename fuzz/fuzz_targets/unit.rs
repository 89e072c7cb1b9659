//! Any text as a unit of an otherwise correct network.

#![no_main]

use std::io::{Error, ErrorKind};

use libfuzzer_sys::fuzz_target;
use resnetc_compiler::diagnostic::render;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, load};

fuzz_target!(|unit: &str| {
    let mut text = String::from(
        "name: fuzz\ninput: [3, 32, 32]\nclasses: 10\nstem: conv3x3(8) -> bn -> relu\nunit: own\nshortcut: projection\n\
         stages: [{depth: 1, filters: 8}, {depth: 2, filters: 16, stride: 2}]\nhead: global_avgpool -> linear(classes)\n\
         units:\n  own(f, stride): |\n",
    );
    for line in unit.lines() {
        text += &format!("    {line}\n");
    }
    let none = |path: &str| Err(Error::new(ErrorKind::NotFound, path.to_owned()));
    let limits = Limits { bytes: 1 << 14, nodes: 2000, expressions: 4000, ..Limits::default() };
    let request = Request { name: "fuzz.yaml", text: &text, overrides: &[], read: &none, limits };
    let mut sources = SourceMap::default();
    let faults = match load(&request, &mut sources) {
        Ok(spec) => resnetc_compiler::compile(&spec, &Target::new(Mode::Train, 2)).err().unwrap_or_default(),
        Err(faults) => faults,
    };
    render(&faults, &sources, false, 80);
});
