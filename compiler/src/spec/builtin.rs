//! What is compiled in: the units `basic` and `bottleneck`, the shortcut rule D, and the shipped specs by name.

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

/// What a spec calls the shortcut rule D.
pub const POOLED_RULE: &str = "pooled_projection";

/// Name of the source with that rule.
pub const RULE_NAME: &str = "<builtin>/shortcut";

/// He et al. 2018 ("Bag of Tricks"), ResNet-D, as timm pads it: mean of the pixels that a stride would skip, then the
/// projection.
pub const RULE: &str = "avgpool2x2(stride, ceil, count_padding=false) -> conv1x1(out) -> bn";

const SPECS: &[(&str, &str)] = &[
    ("notebook-resnet50-cifar10", include_str!("../../../specs/notebook-resnet50-cifar10.yaml")),
    ("resnet101", include_str!("../../../specs/resnet101.yaml")),
    ("resnet110", include_str!("../../../specs/resnet110.yaml")),
    ("resnet152", include_str!("../../../specs/resnet152.yaml")),
    ("resnet18", include_str!("../../../specs/resnet18.yaml")),
    ("resnet20", include_str!("../../../specs/resnet20.yaml")),
    ("resnet32", include_str!("../../../specs/resnet32.yaml")),
    ("resnet34", include_str!("../../../specs/resnet34.yaml")),
    ("resnet44", include_str!("../../../specs/resnet44.yaml")),
    ("resnet50", include_str!("../../../specs/resnet50.yaml")),
    ("resnet56", include_str!("../../../specs/resnet56.yaml")),
];

/// A compiled-in spec: its name and text.
pub fn spec(name: &str) -> Option<(&'static str, &'static str)> {
    SPECS.iter().copied().find(|&(known, _)| known == name)
}

/// Names of the compiled-in specs, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SPECS.iter().map(|&(name, _)| name)
}
