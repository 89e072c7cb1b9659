//! Compiled-in networks that timm 1.0.31 has too, by the same names, and what it has published of them.

/// A network of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    /// What both call it.
    pub name: &'static str,
    /// The weights on Hugging Face's hub that timm takes where none are named; it has some networks without any.
    pub tag: Option<&'static str>,
}

const fn shared(name: &'static str, tag: &'static str) -> Shared {
    Shared { name, tag: Some(tag) }
}

/// All of them. timm's `resnetblur50`, which blurs in fewer places than ours, and its `resnetv2_50`, whose stem is another, are not
/// among them.
pub(crate) const NETWORKS: &[Shared] = &[
    shared("resnet18", "a1_in1k"),
    shared("resnet34", "a1_in1k"),
    shared("resnet50", "a1_in1k"),
    shared("resnet101", "a1h_in1k"),
    shared("resnet152", "a1h_in1k"),
    shared("resnext50_32x4d", "a1h_in1k"),
    shared("resnext101_32x8d", "tv_in1k"),
    shared("resnext101_64x4d", "c1_in1k"),
    shared("wide_resnet50_2", "racm_in1k"),
    shared("wide_resnet101_2", "tv_in1k"),
    shared("densenet121", "ra_in1k"),
    shared("densenet161", "tv_in1k"),
    shared("densenet169", "tv_in1k"),
    shared("densenet201", "tv_in1k"),
    shared("resnet18d", "ra2_in1k"),
    shared("resnet50c", "gluon_in1k"),
    shared("resnet50d", "ra2_in1k"),
    shared("resnet50s", "gluon_in1k"),
    Shared { name: "resnet50t", tag: None },
    shared("seresnet50", "a1_in1k"),
    shared("ecaresnet50d", "miil_in1k"),
    shared("resnet50_gn", "a1h_in1k"),
];

/// Names and tags of those with published weights.
pub(crate) fn published() -> impl Iterator<Item = (&'static str, &'static str)> {
    NETWORKS.iter().filter_map(|network| Some((network.name, network.tag?)))
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::spec::builtin;

    use super::*;

    #[test]
    fn every_network_is_compiled_in() {
        assert!(NETWORKS.iter().all(|network| builtin::spec(network.name).is_some()));
    }
}
