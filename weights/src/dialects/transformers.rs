//! Hugging Face transformers: `models/resnet/modeling_resnet.py`.

use super::scheme::{Dialect, Scheme};

pub(super) const DIALECT: Dialect = Dialect {
    name: "transformers",
    about: "Hugging Face transformers' ResNet, for image classification",
    schemes: &[Scheme {
        family: "resnet",
        rules: &[
            ("stem.conv1", "resnet.embedder.embedder.convolution"),
            ("stem.norm1", "resnet.embedder.embedder.normalization"),
            ("stage{s}.unit{u}.conv{n}", "resnet.encoder.stages.{s-1}.layers.{u}.layer.{n-1}.convolution"),
            ("stage{s}.unit{u}.norm{n}", "resnet.encoder.stages.{s-1}.layers.{u}.layer.{n-1}.normalization"),
            (
                "stage{s}.unit{u}.shortcut.conv1",
                "resnet.encoder.stages.{s-1}.layers.{u}.shortcut.convolution",
            ),
            (
                "stage{s}.unit{u}.shortcut.norm1",
                "resnet.encoder.stages.{s-1}.layers.{u}.shortcut.normalization",
            ),
            ("head.linear1", "classifier.1"),
        ],
    }],
};
