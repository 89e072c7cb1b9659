//! The two collections of CIFAR networks that most repositories copied: akamaster's `pytorch_resnet_cifar10` (`module.` before each
//! name) and kuangliu's `pytorch-cifar`. Shortcuts of option A have no tensors.

use super::scheme::{Dialect, Scheme};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cifar",
    about: "CIFAR networks as akamaster's pytorch_resnet_cifar10 and kuangliu's pytorch-cifar have them",
    schemes: &[Scheme {
        family: "resnet",
        rules: &[
            ("stem.conv1", "conv1"),
            ("stem.norm1", "bn1"),
            ("stage{s}.unit{u}.conv{n}", "layer{s}.{u}.conv{n}"),
            ("stage{s}.unit{u}.norm{n}", "layer{s}.{u}.bn{n}"),
            // Of squeeze and excitation, kuangliu's `senet.py`.
            ("stage{s}.unit{u}.gate{n}", "layer{s}.{u}.fc{n}"),
            ("stage{s}.unit{u}.shortcut.conv1", "layer{s}.{u}.shortcut.0"),
            ("stage{s}.unit{u}.shortcut.norm1", "layer{s}.{u}.shortcut.1"),
            ("head.norm1", "bn"),
            ("head.linear1", "linear"),
        ],
    }],
};
