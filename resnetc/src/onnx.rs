//! Networks with weights as ONNX models.

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::Recipe;
use resnetc_compiler::ir::types::Shape;
use resnetc_onnx::Options;
use resnetc_runtime::weights::{ParamStore, recipe};

use crate::error::Result;
use crate::spec::Spec;

pub use resnetc_onnx::{Error, version};

/// What of a network a model has, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxOptions {
    /// The set of operators, see [`version`].
    pub opset: i64,
    /// Images per run; `None` for any number.
    pub batch: Option<usize>,
    /// Whether normalisations are folded into the weights of the convolutions before them.
    pub fold_bn: bool,
    /// Further facts for the model's metadata, by their names.
    pub metadata: Vec<(String, String)>,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        OnnxOptions { opset: version::DEFAULT, batch: Some(1), fold_bn: false, metadata: Vec::new() }
    }
}

/// The bytes of an ONNX model of a network for inference. Its input is called `input`, `[n, channels, height, width]`,
/// normalised as in training; its result `logits`, or as the stages where the network has no head. Equal networks and weights
/// give equal bytes.
///
/// # Errors
/// Where the spec cannot be compiled, the weights are another network's, there is no such set of operators, or the weights are
/// too many for a file.
pub fn to_onnx(spec: &Spec, weights: &ParamStore, options: &OnnxOptions) -> Result<Vec<u8>> {
    let graph = resnetc_compiler::portable(spec.resolved(), options.batch.unwrap_or(1), options.fold_bn);
    let graph = graph.map_err(|faults| spec.faults(faults))?;
    let backend = Backend::that_multiplies_in(spec.resolved().train.precision);
    // Tensors of the weights that the network does not have are another network's.
    weights.check_names(&*spec.plan(Mode::Infer, 1, backend)?)?;
    let program = env!("CARGO_PKG_VERSION");
    let doc = format!("{}, compiled from its spec by resnetc {program}", spec.name());
    let mut metadata = facts(spec);
    metadata.extend(options.metadata.iter().cloned());
    let dynamic_batch = options.batch.is_none();
    let options = Options { opset: options.opset, dynamic_batch, doc, metadata };
    Ok(resnetc_onnx::export(&graph, &Store(weights), &options)?.to_bytes())
}

/// What a reader of the model wants to know: the network, its images, and how they are normalised.
fn facts(spec: &Spec) -> Vec<(String, String)> {
    let resolved = spec.resolved();
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
    let input = resolved.input.value.map(|size| size.to_string()).join(",");
    let mut facts = vec![("network".to_owned(), spec.name().to_owned()), ("input".to_owned(), input)];
    if resolved.head.layers.is_some() {
        facts.push(("classes".to_owned(), resolved.classes.value.to_string()));
    }
    let normalize = &resolved.preprocess.normalize;
    facts.push(("mean".to_owned(), list(&normalize.mean)));
    facts.push(("std".to_owned(), list(&normalize.std)));
    facts
}

struct Store<'s>(&'s ParamStore);

impl resnetc_onnx::Weights for Store<'_> {
    fn tensor(&self, name: &str, shape: &Shape, recipe: &Recipe) -> Result<Vec<f32>, String> {
        recipe::tensor(name, shape, recipe, self.0).map_err(|error| error.to_string())
    }
}
