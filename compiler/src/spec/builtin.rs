//! What is compiled in: the units `basic` and `bottleneck`, shortcut rules of layers, and the shipped specs.

use crate::diagnostic::suggest::nearest_of;
use crate::source::{SourceId, SourceMap};

/// Name of the source with the built-in units.
pub const UNITS_NAME: &str = "<builtin>/units.yaml";

/// The built-in units, in the unit language.
pub const UNITS: &str = "\
# He et al. 2015, figure 5 left.
basic(f, stride, dilation=1): |
  main = x -> conv3x3(f, stride, dilation=dilation) -> bn -> relu -> conv3x3(f, dilation=dilation) -> bn
  out  = main + shortcut -> relu

# Figure 5 right, with the stride on the 3x3 (v1.5, as torchvision); groups and base_width as in ResNeXt and Wide ResNet.
bottleneck(f, stride, groups=1, base_width=64, dilation=1): |
  width = f * base_width / 64 * groups
  main  = x -> conv1x1(width) -> bn -> relu
            -> conv3x3(width, stride, groups=groups, dilation=dilation) -> bn -> relu
            -> conv1x1(4 * f) -> bn
  out   = main + shortcut -> relu

# As the paper has it: the stride on the first 1x1.
bottleneck_v1(f, stride, groups=1, base_width=64, dilation=1): |
  width = f * base_width / 64 * groups
  main  = x -> conv1x1(width, stride) -> bn -> relu
            -> conv3x3(width, groups=groups, dilation=dilation) -> bn -> relu
            -> conv1x1(4 * f) -> bn
  out   = main + shortcut -> relu
";

/// Name of the source with the default head.
pub const HEAD_NAME: &str = "<builtin>/head";

/// The head of a spec that has none.
pub const HEAD: &str = "global_avgpool -> linear(classes)";

/// A shortcut rule that is made of layers. Where input and main branch have one shape, it is the identity.
#[derive(Debug)]
pub struct LayeredRule {
    /// What a spec calls it.
    pub name: &'static str,
    /// Name of the source with its layers.
    pub source: &'static str,
    /// Its layers, in the unit language.
    pub layers: &'static str,
}

/// He et al. 2018 ("Bag of Tricks"), ResNet-D, as timm pads it: mean of the pixels that a stride would skip, then the
/// projection.
pub const POOLED_PROJECTION: &LayeredRule = &LayeredRule {
    name: "pooled_projection",
    source: "<builtin>/shortcut",
    layers: "avgpool2x2(stride, ceil, count_padding=false) -> conv1x1(out) -> bn",
};

/// Han et al. 2017 ("Deep Pyramidal Residual Networks"), as in the authors' code: mean of the pixels that a stride would
/// skip, zeros behind the input's channels.
pub const POOLED_PAD: &LayeredRule = &LayeredRule {
    name: "pooled_pad",
    source: "<builtin>/pooled_pad",
    layers: "avgpool2x2(stride, ceil, count_padding=false) -> pad_channels(out)",
};

/// All of them.
pub const LAYERED_RULES: [&LayeredRule; 2] = [POOLED_PROJECTION, POOLED_PAD];

/// Sources of these texts, which spans point into.
#[derive(Debug, Clone, Copy)]
pub struct Texts {
    /// The units.
    pub units: SourceId,
    /// The head of a spec without one.
    pub head: SourceId,
    /// Those of [`LAYERED_RULES`].
    pub rules: [SourceId; LAYERED_RULES.len()],
}

impl Texts {
    /// Adds all of them.
    pub fn add(sources: &mut SourceMap) -> Self {
        Texts {
            units: sources.add(UNITS_NAME, UNITS),
            head: sources.add(HEAD_NAME, HEAD),
            rules: LAYERED_RULES.map(|rule| sources.add(rule.source, rule.layers)),
        }
    }
}

/// Prefix of the compiled-in specs' names, where a file's name is expected.
pub const FOLDER: &str = "<builtin>/";

// `SPECS`: name, file below `specs/`, text; `build.rs` lists the folder.
include!(concat!(env!("OUT_DIR"), "/specs.rs"));

/// A compiled-in spec.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// What people call it.
    pub name: &'static str,
    /// Below `specs/`.
    pub file: &'static str,
    /// The spec.
    pub text: &'static str,
}

impl Shipped {
    /// Whether it is another one's network with a published way to train it.
    pub fn is_recipe(&self) -> bool {
        self.file.starts_with("recipes/")
    }
}

/// All compiled-in specs, variants and recipes last.
pub fn specs() -> impl Iterator<Item = Shipped> {
    SPECS.iter().map(|&(name, file, text)| Shipped { name, file, text })
}

/// A compiled-in spec by its name.
pub fn spec(name: &str) -> Option<Shipped> {
    specs().find(|spec| spec.name == name)
}

/// A compiled-in spec by the file that it was: `<builtin>/variants/cifar/preact164.yaml`.
pub fn file(path: &str) -> Option<Shipped> {
    let file = path.strip_prefix(FOLDER)?;
    specs().find(|spec| spec.file == file)
}

/// Names of compiled-in specs that a wrong one is near to, as the end of a sentence; empty where there are none.
pub fn near(name: &str) -> String {
    match nearest_of(name, specs().map(|spec| spec.name), 3) {
        near if near.is_empty() => String::new(),
        near => format!("; near: {}", near.join(", ")),
    }
}
