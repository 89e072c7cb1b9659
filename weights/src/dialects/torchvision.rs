//! torchvision: `models/resnet.py` and `models/densenet.py`.

use super::scheme::{Dialect, Scheme};

pub(super) const DIALECT: Dialect = Dialect {
    name: "torchvision",
    about: "torchvision's ResNet, ResNeXt, Wide ResNet and DenseNet",
    schemes: &[
        Scheme {
            family: "resnet",
            rules: &[
                ("stem.conv1", "conv1"),
                ("stem.norm1", "bn1"),
                ("stage{s}.unit{u}.conv{n}", "layer{s}.{u}.conv{n}"),
                ("stage{s}.unit{u}.norm{n}", "layer{s}.{u}.bn{n}"),
                ("stage{s}.unit{u}.shortcut.conv1", "layer{s}.{u}.downsample.0"),
                ("stage{s}.unit{u}.shortcut.norm1", "layer{s}.{u}.downsample.1"),
                ("head.linear1", "fc"),
            ],
        },
        Scheme {
            family: "densenet",
            rules: &[
                ("stem.conv1", "features.conv0"),
                ("stem.norm1", "features.norm0"),
                ("stage{s}.unit{u}.conv{n}", "features.denseblock{s}.denselayer{u+1}.conv{n}"),
                ("stage{s}.unit{u}.norm{n}", "features.denseblock{s}.denselayer{u+1}.norm{n}"),
                // Here what stands before a stage's units is the stage's; there it is what follows the one before.
                ("stage{s}.transition.conv1", "features.transition{s-1}.conv"),
                ("stage{s}.transition.norm1", "features.transition{s-1}.norm"),
                ("head.norm1", "features.norm5"),
                ("head.linear1", "classifier"),
            ],
        },
    ],
};
