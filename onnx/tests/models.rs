//! Models of whole networks: what they are made of, that they are sound, and what is refused.

mod common;

use std::collections::HashSet;

use common::{Named, graph, spec};
use resnetc_compiler::build;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Recipe;
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{ResolvedSpec, builtin, load_builtin};
use resnetc_onnx::proto::{Model, Values};
use resnetc_onnx::{Error, Options, Weights, export, version};

/// Projection and option B, batch normalisation.
const PLAIN: &str = "
name: plain
input: [3, 8, 8]
classes: 4
stem: conv3x3(4) -> bn -> relu -> maxpool3x3(stride=2)
unit: basic
shortcut: projection
stages:
  - {depth: 1, filters: 4}
  - {depth: 1, filters: 8, stride: 2}
";

/// What takes more than one operator.
const VARIED: &str = "
name: varied
input: [3, 16, 16]
classes: 4
norm: group_norm(groups=2)
stem: conv3x3(4) -> bn -> gelu -> blurpool -> avgpool3x3(stride=2, ceil)
unit: mine
shortcut: pad
stages:
  - {depth: 1, filters: 4}
  - {depth: 1, filters: 8, stride: 2}
units:
  mine(f, stride): |
    main = x -> conv3x3(f, stride) -> bn -> mish -> dropout(0.5) -> conv3x3(f, groups=2) -> bn -> eca
    wide = concat(main, main) -> conv1x1(f)
    out  = 0.5 * wide + shortcut + 1 -> hard_swish
head: global_avgpool -> flatten -> linear(8) -> relu6 -> linear(classes)
";

fn model(text: &str, fold: bool, options: &Options) -> Model {
    export(&graph(&spec(text), fold), &Named, options).expect("written")
}

#[test]
fn a_plain_network() {
    let doc = "plain, of a test".to_owned();
    let metadata = vec![("network".to_owned(), "plain".to_owned())];
    let options = Options { doc, metadata, ..Options::default() };
    insta::assert_snapshot!("plain", model(PLAIN, false, &options));
    let options = Options { dynamic_batch: true, opset: 21, ..Options::default() };
    insta::assert_snapshot!("plain_folded", model(PLAIN, true, &options));
}

#[test]
fn a_network_of_all_sorts() {
    insta::assert_snapshot!("varied_17", model(VARIED, false, &Options::default()));
    let newest = Options { opset: version::LAST, ..Options::default() };
    insta::assert_snapshot!("varied_newest", model(VARIED, true, &newest));
}

#[test]
fn equal_networks_make_equal_bytes() {
    let bytes = || model(VARIED, true, &Options::default()).to_bytes();
    assert_eq!(bytes(), bytes());
    let folded = |fold: bool| model(PLAIN, fold, &Options::default()).to_bytes();
    assert!(folded(true) != folded(false), "folding changes what is written");
}

/// ONNX asks that every name is made once, and before it is read.
fn check(model: &Model) {
    let graph = &model.graph;
    let mut known = HashSet::new();
    for input in &graph.inputs {
        assert!(known.insert(&input.name), "{} is there twice", input.name);
    }
    for tensor in &graph.initializers {
        assert!(known.insert(&tensor.name), "{} is there twice", tensor.name);
        let count = match &tensor.values {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
        };
        assert_eq!(tensor.dims.iter().product::<usize>(), count, "{}", tensor.name);
    }
    let mut names = HashSet::new();
    for node in &graph.nodes {
        for input in &node.inputs {
            assert!(known.contains(input), "{} reads {input} before it is made", node.name);
        }
        assert!(known.insert(&node.output), "{} is there twice", node.output);
        assert!(names.insert(&node.name), "{} is there twice", node.name);
    }
    for output in &graph.outputs {
        assert!(known.contains(&output.name), "nothing makes {}", output.name);
    }
}

/// Tensors that need no memory before they are read: only what is around them is looked at.
struct Zeros;

impl Weights for Zeros {
    fn tensor(&self, _: &str, shape: &Shape, _: &Recipe) -> Result<Vec<f32>, String> {
        Ok(vec![0.0; shape.numel().ok_or("too large")?])
    }
}

fn shipped(name: &str) -> ResolvedSpec {
    let loaded = load_builtin(name, &[], Limits::default(), &mut SourceMap::default());
    loaded.expect("a compiled-in network").expect("a right spec")
}

#[test]
fn models_of_all_compiled_in_networks_are_sound() {
    for name in builtin::specs().map(|spec| spec.name) {
        let spec = shipped(name);
        for (fold, opset) in [(false, version::FIRST), (true, version::LAST)] {
            let options = Options { opset, ..Options::default() };
            let model = export(&graph(&spec, fold), &Zeros, &options);
            check(&model.unwrap_or_else(|error| panic!("{name}: {error}")));
        }
    }
}

#[test]
fn random_layers_leave_nothing() {
    let model = model(VARIED, false, &Options::default());
    assert!(model.graph.nodes.iter().all(|node| !node.name.contains("drop")), "{model}");
}

#[test]
fn sets_that_are_not_written_are_refused() {
    let graph = graph(&spec(PLAIN), false);
    for asked in [0, 16, 29, i64::MAX] {
        let options = Options { opset: asked, ..Options::default() };
        assert_eq!(export(&graph, &Named, &options), Err(Error::Opset { asked }));
    }
    let text = Error::Opset { asked: 16 }.to_string();
    assert_eq!(text, "--opset 16: models are written for 17 to 28");
}

#[test]
fn a_training_graph_is_refused_by_the_name_of_what_belongs_to_training() {
    let built = build::build(&spec(PLAIN), Mode::Train, 1).expect("a right spec");
    let (graph, _) = resnetc_compiler::pass::run_list(
        built,
        &resnetc_compiler::pass::front(),
        &resnetc_compiler::pass::PassContext::new(
            spec(PLAIN).train.optimizer,
            0.1,
            resnetc_compiler::backend::Backend::CPU,
        ),
    )
    .expect("a right spec");
    let error = export(&graph, &Named, &Options::default()).expect_err("a training graph").to_string();
    assert!(error.ends_with("belongs to training: only the network for inference can be written as ONNX"));
    assert!(error.starts_with("`labels` (labels"), "{error}");
}

/// Weights that do not fit are refused before any of them is asked for.
#[test]
fn a_file_over_two_gibibytes_is_refused() {
    struct Nobody;
    impl Weights for Nobody {
        fn tensor(&self, name: &str, _: &Shape, _: &Recipe) -> Result<Vec<f32>, String> {
            panic!("`{name}` was asked for")
        }
    }
    let text =
        PLAIN.replace("\nstages:", "\nhead: global_avgpool -> linear(70_000) -> linear(classes)\nstages:");
    let text =
        text.replace("classes: 4", "classes: 8_000").replace("70_000", "70000").replace("8_000", "8000");
    let error = export(&graph(&spec(&text), false), &Nobody, &Options::default()).expect_err("too large");
    let Error::TooLarge { bytes, .. } = error else { panic!("{error}") };
    assert!(bytes > 70_000 * 8_000 * 4, "{bytes}");
    assert!(error.to_string().contains("an ONNX file has 2130706432 at most"), "{error}");
}

#[test]
fn a_missing_tensor_is_told_as_the_weights_tell_it() {
    struct Without;
    impl Weights for Without {
        fn tensor(&self, name: &str, _: &Shape, _: &Recipe) -> Result<Vec<f32>, String> {
            Err(format!("no tensor `{name}`"))
        }
    }
    let error = export(&graph(&spec(PLAIN), false), &Without, &Options::default()).expect_err("no weights");
    assert_eq!(error, Error::Weights("no tensor `stem.conv1.weight`".to_owned()));
}
