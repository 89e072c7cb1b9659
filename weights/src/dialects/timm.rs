//! timm: `models/resnet.py`, `models/resnetv2.py` and `models/densenet.py`.

use super::scheme::{Dialect, Scheme};

pub(super) const DIALECT: Dialect = Dialect {
    name: "timm",
    about: "timm's ResNet with its stems, shortcuts, SE and ECA, its pre-activation ResNet and DenseNet",
    schemes: &[
        Scheme {
            family: "resnet",
            rules: &[
                ("deep: stem.conv1", "conv1.0"),
                ("deep: stem.norm1", "conv1.1"),
                ("deep: stem.conv2", "conv1.3"),
                ("deep: stem.norm2", "conv1.4"),
                ("deep: stem.conv3", "conv1.6"),
                ("deep: stem.norm3", "bn1"),
                ("stem.conv1", "conv1"),
                ("stem.norm1", "bn1"),
                ("stage{s}.unit{u}.conv{n}", "layer{s}.{u}.conv{n}"),
                ("stage{s}.unit{u}.norm{n}", "layer{s}.{u}.bn{n}"),
                ("stage{s}.unit{u}.gate{n}", "layer{s}.{u}.se.fc{n}"),
                ("stage{s}.unit{u}.channel1", "layer{s}.{u}.se.conv"),
                // The pooling, or nothing in its place, is number 0.
                ("pooled: stage{s}.unit{u}.shortcut.conv1", "layer{s}.{u}.downsample.1"),
                ("pooled: stage{s}.unit{u}.shortcut.norm1", "layer{s}.{u}.downsample.2"),
                ("stage{s}.unit{u}.shortcut.conv1", "layer{s}.{u}.downsample.0"),
                ("stage{s}.unit{u}.shortcut.norm1", "layer{s}.{u}.downsample.1"),
                ("head.linear1", "fc"),
            ],
        },
        Scheme {
            family: "resnetv2",
            rules: &[
                ("deep: stem.conv{n}", "stem.conv{n}"),
                ("deep: stem.norm{n}", "stem.norm{n}"),
                ("stem.conv1", "stem.conv"),
                ("stem.norm1", "stem.norm"),
                ("stage{s}.unit{u}.conv{n}", "stages.{s-1}.blocks.{u}.conv{n}"),
                ("stage{s}.unit{u}.norm{n}", "stages.{s-1}.blocks.{u}.norm{n}"),
                ("stage{s}.unit{u}.shortcut.conv1", "stages.{s-1}.blocks.{u}.downsample.conv"),
                ("stage{s}.unit{u}.shortcut.norm1", "stages.{s-1}.blocks.{u}.downsample.norm"),
                ("head.norm1", "norm"),
                ("head.linear1", "head.fc"),
            ],
        },
        Scheme {
            family: "densenet",
            rules: &[
                ("deep: stem.conv{n}", "features.conv{n-1}"),
                ("deep: stem.norm{n}", "features.norm{n-1}"),
                ("stem.conv1", "features.conv0"),
                ("stem.norm1", "features.norm0"),
                ("stage{s}.unit{u}.conv{n}", "features.denseblock{s}.denselayer{u+1}.conv{n}"),
                ("stage{s}.unit{u}.norm{n}", "features.denseblock{s}.denselayer{u+1}.norm{n}"),
                ("stage{s}.transition.conv1", "features.transition{s-1}.conv"),
                ("stage{s}.transition.norm1", "features.transition{s-1}.norm"),
                ("head.norm1", "features.norm5"),
                ("head.linear1", "classifier"),
            ],
        },
    ],
};
