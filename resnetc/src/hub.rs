//! Networks with weights as other programs keep them: named as they name tensors, and in a folder that timm loads.

use std::borrow::Cow;

use resnetc_compiler::spec::sections::expect::Expect;
use resnetc_runtime::weights::ParamStore;
use resnetc_weights::write::{Written, safetensors};

use crate::error::{Error, Result};
use crate::spec::{Spec, SpecOptions};
use crate::timm;
use crate::weights::dialect_names;

/// The dialect of the programs that read such folders.
const TIMM: &str = "timm";

/// The linear layer of timm's pre-activation networks, which it has as a convolution of one pixel: its weight has two sizes more there.
const AS_CONVOLUTION: &str = "head.fc.weight";

/// The bytes of a safetensors file with a network's weights by the names of a dialect: torchvision, timm, cifar, transformers.
///
/// # Errors
/// Where there is no such dialect, it has no names for some of the network's tensors, or the weights are another network's.
pub fn to_dialect(spec: &Spec, weights: &ParamStore, dialect: &str) -> Result<Vec<u8>> {
    let names = dialect_names(spec, dialect)?;
    let failed = |reason: String| Error::Hub(reason);
    let mut tensors: Vec<Written<'_>> = Vec::with_capacity(names.len());
    for (ours, theirs) in names {
        let Some(tensor) = weights.get(&ours) else {
            return Err(failed(format!("the weights have no tensor `{ours}`, which {} needs", spec.name())));
        };
        let mut shape = tensor.shape.0.clone();
        if dialect == TIMM && theirs == AS_CONVOLUTION && shape.len() == 2 {
            shape.extend([1, 1]);
        }
        tensors.push((theirs, shape, Cow::Borrowed(&tensor.data)));
    }
    safetensors(&tensors).map_err(failed)
}

/// What timm calls a network: that of the compiled-in one that computes the same, whatever the spec's name, classes and input.
///
/// # Errors
/// Where it has none that is known here; where the spec cannot be compiled.
pub fn architecture(spec: &Spec) -> Result<&'static str> {
    let wanted = signature(spec)?;
    let resolved = spec.resolved();
    let [channels, height, width] = resolved.input.value;
    let set = [format!("classes={}", resolved.classes.value), format!("input=[{channels},{height},{width}]")];
    let options = set.into_iter().fold(SpecOptions::default(), SpecOptions::set);
    // The likeliest first: that of its own name.
    let names = timm::NETWORKS.iter().map(|network| network.name);
    let (own, others): (Vec<_>, Vec<_>) = names.partition(|name| *name == spec.name());
    for name in own.into_iter().chain(others) {
        // One that cannot be made for this input is another network.
        let known = Spec::builtin(name, &options);
        if known.and_then(|known| signature(&known)).is_ok_and(|known| known == wanted) {
            return Ok(name);
        }
    }
    Err(Error::Hub(format!(
        "no architecture of timm is known that computes what {} does; `--architecture NAME` takes one on your word",
        spec.name()
    )))
}

/// What a network computes, without names and first values.
fn signature(spec: &Spec) -> Result<String> {
    let mut resolved = spec.resolved().clone();
    // What it expects of itself holds for other classes, or another input.
    resolved.expect = Expect::default();
    let graph = resnetc_compiler::portable(&resolved, 1, false).map_err(|faults| spec.faults(faults))?;
    Ok(graph.signature())
}

/// What a folder's `config.json` says, apart from the weights beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct HubConfig {
    /// timm's name of the network.
    pub architecture: String,
    /// Of the last layer.
    pub classes: usize,
    /// Numbers that the last layer reads.
    pub features: usize,
    /// `[channels, height, width]`
    pub input: [usize; 3],
    /// Rows and columns of the last map.
    pub pool: [usize; 2],
    /// What images are normalised with.
    pub mean: Vec<f32>,
    /// See `mean`.
    pub std: Vec<f32>,
    /// Name of the first convolution there.
    pub first_conv: String,
    /// Name of the last layer there.
    pub classifier: String,
}

impl HubConfig {
    /// Of a network; `architecture` as timm calls it.
    ///
    /// # Errors
    /// Where timm has no names for the network's tensors, or it has no head.
    pub fn of(spec: &Spec, architecture: &str) -> Result<Self> {
        let network = crate::weights::network(spec)?;
        let names = dialect_names(spec, TIMM)?;
        let layer = |tensor: &str| {
            let name = names.get(tensor).map_or("", String::as_str);
            name.trim_end_matches(".weight").to_owned()
        };
        let first = network.tensors.first();
        let last = network.tensors.iter().find(|tensor| tensor.last && tensor.leaf == "weight");
        let (Some(first), Some(last)) = (first, last) else {
            return Err(Error::Hub(format!("{} has no last layer, which timm's networks have", spec.name())));
        };
        let summary = spec.expand()?.summary;
        // The last but the head.
        let map = summary.units.iter().rev().find(|unit| unit.output_shape.len() == 3);
        let map = map.map_or([1, 1], |unit| [unit.output_shape[1], unit.output_shape[2]]);
        let resolved = spec.resolved();
        Ok(HubConfig {
            architecture: architecture.to_owned(),
            classes: resolved.classes.value,
            features: last.shape.get(1).copied().unwrap_or(0),
            input: resolved.input.value,
            pool: map,
            mean: resolved.preprocess.normalize.mean.clone(),
            std: resolved.preprocess.normalize.std.clone(),
            first_conv: layer(&first.name),
            classifier: layer(&last.name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_known_by_what_they_compute() {
        let options = SpecOptions::default();
        let named =
            |text: &str| architecture(&Spec::from_text("mine.yaml", text, &options).expect("a right spec"));
        let mine = "extends: resnet18\nname: mine\nclasses: 7\ninput: [3, 64, 96]\nexpect: {}\n";
        assert_eq!(named(mine).expect("known"), "resnet18");
        let other = "extends: resnet18\nname: resnet18\nact: silu\n";
        let other =
            other.replace("act: silu", "stem: conv7x7(64, stride=2) -> bn -> silu -> maxpool3x3(stride=2)");
        let error = named(&other).expect_err("another activation").to_string();
        assert!(error.contains("--architecture NAME"), "{error}");
    }
}
