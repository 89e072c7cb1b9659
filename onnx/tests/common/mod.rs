//! Networks and weights for the suites.

use resnetc_compiler::ir::graph::Graph;
use resnetc_compiler::ir::op::Recipe;
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{self, Request, ResolvedSpec};
use resnetc_onnx::Weights;

/// Tensors of one number each, which follows from the name.
pub struct Named;

impl Weights for Named {
    fn tensor(&self, name: &str, shape: &Shape, _: &Recipe) -> Result<Vec<f32>, String> {
        let value = name.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        Ok(vec![(value % 1000) as f32; shape.numel().ok_or("too large")?])
    }
}

/// A spec in a text.
pub fn spec(text: &str) -> ResolvedSpec {
    let none = |path: &str| Err(std::io::Error::new(std::io::ErrorKind::NotFound, path.to_owned()));
    let request = Request { name: "<test>", text, overrides: &[], read: &none, limits: Limits::default() };
    spec::load(&request, &mut SourceMap::default()).expect("a right spec")
}

/// What is exported of a spec.
pub fn graph(spec: &ResolvedSpec, fold: bool) -> Graph {
    resnetc_compiler::portable(spec, 1, fold).expect("a right spec")
}
