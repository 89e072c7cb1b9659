//! Specs that need no other file, and their plans.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::compile;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{Request, ResolvedSpec, load};

/// Bottleneck units, with projections, behind an ImageNet stem.
pub const BOTTLENECK: &str = "
name: bottleneck
input: [3, 32, 32]
classes: 10
stem: conv7x7(16, stride=2) -> bn -> relu -> maxpool3x3(stride=2)
unit: bottleneck
stages: [{depth: 2, filters: 8}, {depth: 2, filters: 16, stride: 2}]
head: global_avgpool -> linear(classes)
";
/// Concatenations, whose maps are slices, and a head with maps of its own.
pub const DENSENET: &str = "
name: densenet
input: [3, 16, 16]
classes: 10
stem: conv3x3(16)
unit: dense(growth=12)
stages: [{depth: 3}, {depth: 3}]
head: bn -> relu -> global_avgpool -> linear(classes)
units:
  dense(growth): out = concat(x, x -> bn -> relu -> conv1x1(4 * growth) -> bn -> relu -> conv3x3(growth))
";
/// A network of nearly every kind of kernel: both normalisations, gates, concatenation, pools, blurs, dropouts, long and short activations.
pub const EVERYTHING: &str = "\
name: everything
input: [3, 24, 24]
classes: 10
stem: conv3x3(16) -> group_norm(groups=4) -> leaky_relu(0.1) -> maxpool3x3(stride=2)
unit: gated
shortcut: pad
stages:
  - {depth: 2, filters: 16}
  - {depth: 1, filters: 32, stride: 2, unit: dense}
head: global_avgpool -> dropout(0.2) -> linear(classes)
units:
  gated(f, stride): |
    main = x -> conv3x3(f, stride) -> bn -> silu -> conv3x3(f, groups=4) -> bn -> drop_path(0.1)
    gate = main -> global_avgpool -> conv1x1(f / 4, bias) -> relu -> conv1x1(f, bias) -> sigmoid
    out = main * gate + shortcut -> relu
  dense(f, stride): |
    grown = concat(x, x -> bn -> relu -> conv3x3(f), x -> avgpool3x3(stride=1, padding=1))
    main = grown -> conv1x1(f) -> bn -> relu -> blurpool(stride) -> drop_block(0.1, 3)
    out = 0.5 * main + shortcut -> gelu
";

/// Reads a spec.
///
/// # Panics
/// Where it is wrong, with the text and its faults.
pub fn resolve(text: &str) -> ResolvedSpec {
    let none = |path: &str| Err(Error::new(ErrorKind::NotFound, path.to_owned()));
    let request = Request { name: "spec.yaml", text, overrides: &[], read: &none, limits: Limits::default() };
    load(&request, &mut SourceMap::default()).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"))
}

/// Compiles a spec for the CPU and so many images at a time.
///
/// # Panics
/// Where it cannot be compiled.
pub fn plan(spec: &ResolvedSpec, mode: Mode, batch: usize) -> Arc<Plan> {
    plan_for(spec, mode, batch, Backend::CPU)
}

/// Compiles a spec for a backend and so many images at a time.
///
/// # Panics
/// Where it cannot be compiled.
pub fn plan_for(spec: &ResolvedSpec, mode: Mode, batch: usize, backend: Backend) -> Arc<Plan> {
    let compiled = compile(spec, &Target { backend, ..Target::new(mode, batch) });
    Arc::new(compiled.unwrap_or_else(|faults| panic!("{faults:?}")).plan)
}
