//! Naming schemes on the compiled-in networks: what is decided, and what is said where nothing fits.

use std::collections::BTreeMap;
use std::path::Path;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::report::Target;
use resnetc_compiler::source::SourceMap;
use resnetc_compiler::spec::limits::Limits;
use resnetc_compiler::spec::{builtin, load_builtin};
use resnetc_weights::dialects::DIALECTS;
use resnetc_weights::fit::{Fit, Listing, Wish, fit, names};
use resnetc_weights::{DType, Error, Listed, Network};

fn network(name: &str, set: &[&str]) -> Network {
    let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
    let spec = load_builtin(name, &set, Limits::default(), &mut SourceMap::default());
    let spec = spec.expect("compiled in").expect("right");
    let expanded = resnetc_compiler::expand(&spec, &Target::new(Mode::Infer, 1)).expect("right");
    Network::of(&expanded.graph)
}

/// A file that has a network's tensors by the names of a dialect.
fn listing(network: &Network, dialect: &str) -> Listing {
    let names = names(network, dialect).expect("all have names");
    let listed = network.tensors.iter().map(|t| Listed { dtype: DType::F32, shape: t.shape.clone() });
    names.into_iter().zip(listed).collect()
}

fn fitted(network: &Network, listing: &Listing, dialect: Option<&str>, new_head: bool) -> Result<Fit, Error> {
    fit(network, listing, Wish { dialect, new_head }, Path::new("x.pth"))
}

/// A network, a dialect, and some of its tensors with their names there.
type Case<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)]);

/// Names in files that people have, read off them; a name for each rule.
#[test]
fn known_names_are_found() {
    let cases: &[Case<'_>] = &[
        (
            "resnet50",
            "torchvision",
            &[
                ("stem.conv1.weight", "conv1.weight"),
                ("stem.bn1.running_var", "bn1.running_var"),
                ("stage1.unit0.shortcut.conv.weight", "layer1.0.downsample.0.weight"),
                ("stage4.unit2.bn3.bias", "layer4.2.bn3.bias"),
                ("head.linear.bias", "fc.bias"),
            ],
        ),
        (
            "densenet121",
            "torchvision",
            &[
                ("stem.bn1.weight", "features.norm0.weight"),
                ("stage1.unit0.conv2.weight", "features.denseblock1.denselayer1.conv2.weight"),
                ("stage4.unit15.bn1.running_mean", "features.denseblock4.denselayer16.norm1.running_mean"),
                ("stage2.transition.conv1.weight", "features.transition1.conv.weight"),
                ("head.bn.weight", "features.norm5.weight"),
            ],
        ),
        (
            "seresnet50",
            "timm",
            &[
                ("stage2.unit1.conv4.weight", "layer2.1.se.fc1.weight"),
                ("stage2.unit1.conv5.bias", "layer2.1.se.fc2.bias"),
            ],
        ),
        (
            "ecaresnet50d",
            "timm",
            &[
                ("stem.conv2.weight", "conv1.3.weight"),
                ("stem.bn3.weight", "bn1.weight"),
                ("stage1.unit0.channel_conv1.weight", "layer1.0.se.conv.weight"),
                ("stage1.unit0.shortcut.conv1.weight", "layer1.0.downsample.1.weight"),
                ("stage1.unit0.shortcut.bn1.bias", "layer1.0.downsample.2.bias"),
            ],
        ),
        (
            "resnet20_b",
            "cifar",
            &[
                ("stage2.unit0.shortcut.conv.weight", "layer2.0.shortcut.0.weight"),
                ("head.linear.weight", "linear.weight"),
            ],
        ),
        (
            "resnet18",
            "transformers",
            &[
                ("stem.conv1.weight", "resnet.embedder.embedder.convolution.weight"),
                ("stage2.unit0.conv2.weight", "resnet.encoder.stages.1.layers.0.layer.1.convolution.weight"),
                (
                    "stage2.unit0.shortcut.bn.bias",
                    "resnet.encoder.stages.1.layers.0.shortcut.normalization.bias",
                ),
                ("head.linear.bias", "classifier.1.bias"),
            ],
        ),
        (
            "preact50",
            "timm",
            &[
                ("stage1.unit0.bn1.weight", "stages.0.blocks.0.norm1.weight"),
                ("stage2.unit3.conv3.weight", "stages.1.blocks.3.conv3.weight"),
                ("stage1.unit0.shortcut.conv1.weight", "stages.0.blocks.0.downsample.conv.weight"),
                ("head.bn.bias", "norm.bias"),
                ("head.linear.weight", "head.fc.weight"),
            ],
        ),
    ];
    for (spec, dialect, pairs) in cases {
        let network = network(spec, &[]);
        let all = names(&network, dialect).expect("all have names");
        let all: BTreeMap<&str, String> =
            network.tensors.iter().map(|tensor| tensor.name.as_str()).zip(all).collect();
        for (ours, theirs) in *pairs {
            assert_eq!(all.get(ours).map(String::as_str), Some(*theirs), "{spec} by {dialect}: {ours}");
        }
    }
}

/// Every dialect that names a compiled-in network is found again by what the file has, and gives each tensor a name of its own.
#[test]
fn what_a_dialect_names_is_recognised() {
    let mut counts = BTreeMap::new();
    // A thousand layers take long and say nothing new.
    for shipped in
        builtin::specs().filter(|shipped| !shipped.name.contains("100") && shipped.name != "resnet1202")
    {
        let network = network(shipped.name, &[]);
        // Deeper ones say nothing new.
        if network.tensors.len() > 400 {
            continue;
        }
        for dialect in DIALECTS {
            let Ok(all) = names(&network, dialect.name) else { continue };
            let listing = listing(&network, dialect.name);
            assert_eq!(
                listing.len(),
                all.len(),
                "{} by {}: names that are there twice",
                shipped.name,
                dialect.name
            );
            let found = fitted(&network, &listing, None, false).expect("it fits");
            let known = found.dialect == dialect.name || found.alike.contains(&dialect.name);
            assert!(known, "{} by {} is taken for {}", shipped.name, dialect.name, found.dialect);
            *counts.entry(dialect.name).or_insert(0) += 1;
        }
    }
    assert!(counts["torchvision"] >= 25 && counts["timm"] >= 30 && counts["cifar"] >= 15, "{counts:?}");
}

#[test]
fn all_that_does_not_fit_stands_in_one_table() {
    let network = network("resnet20", &[]);
    let mut file = listing(&network, "cifar");
    let moved = file.remove("layer1.0.conv1.weight").expect("there");
    file.insert("layer1.0.conv_1.weight".into(), moved);
    file.insert("layer1.0.bn1.weight".into(), Listed { dtype: DType::F32, shape: vec![8] });
    file.insert("bn1.bias".into(), Listed { dtype: DType::Whole("i64", 8), shape: vec![16] });
    file.insert("bn1.num_batches_tracked".into(), Listed { dtype: DType::Whole("i64", 8), shape: vec![] });
    let error = fitted(&network, &file, None, false).expect_err("three do not fit").to_string();
    let expected = "\
x.pth: its tensors are not those of network `resnet20`: by the names of cifar, 94 of 97 fit
  in the network             in the file             network    file
  stem.bn1.bias              bn1.bias                16         16         whole numbers (i64)
  stage1.unit0.conv1.weight  layer1.0.conv1.weight   16x16x3x3  -          missing; the nearest is layer1.0.conv_1.weight
  stage1.unit0.bn1.weight    layer1.0.bn1.weight     16         8
  -                          layer1.0.conv_1.weight  -          16x16x3x3  not in the network
Nothing was loaded. `resnetc weights inspect FILE` says which compiled-in network the file fits.";
    assert_eq!(error, expected);
    let none = fitted(&network, &Listing::new(), None, false).expect_err("nothing").to_string();
    assert!(none.contains("0 of 97 fit") && none.contains("and 85 more"), "{none}");
}

#[test]
fn other_numbers_of_classes_are_told_or_replaced() {
    let (thousand, ten) = (network("resnet50", &[]), network("resnet50", &["classes=10"]));
    let file = listing(&thousand, "torchvision");
    let error = fitted(&ten, &file, None, false).expect_err("other classes").to_string();
    assert!(error.contains("tell 1000 classes apart, network `resnet50` 10: `--head new`"), "{error}");
    let fit = fitted(&ten, &file, None, true).expect("a new head");
    assert_eq!(fit.fresh, ["head.linear.weight", "head.linear.bias"]);
    assert_eq!(fit.names.len() + 2, ten.tensors.len());
    // With a new head it need not even be there.
    let mut headless = file.clone();
    headless.retain(|name, _| !name.starts_with("fc."));
    assert!(fitted(&ten, &headless, None, true).is_ok());
    assert!(matches!(fitted(&ten, &headless, None, false), Err(Error::Misfit { .. })));
}

#[test]
fn ones_at_the_end_of_a_shape_do_not_count() {
    let network = network("resnet50", &[]);
    let mut file = listing(&network, "torchvision");
    file.get_mut("fc.weight").expect("there").shape = vec![1000, 2048, 1, 1];
    assert!(fitted(&network, &file, None, false).is_ok());
    file.get_mut("fc.weight").expect("there").shape = vec![2048, 1000];
    assert!(fitted(&network, &file, None, false).is_err());
}

#[test]
fn dialects_are_asked_for_by_name() {
    let network = network("resnet18", &[]);
    let file = listing(&network, "torchvision");
    let auto = fitted(&network, &file, Some("auto"), false).expect("it fits");
    assert_eq!((auto.dialect, &auto.alike[..]), ("torchvision", &["timm"][..]));
    assert_eq!(fitted(&network, &file, Some("timm"), false).expect("the same names").dialect, "timm");
    let error = fitted(&network, &file, Some("transformers"), false).expect_err("others").to_string();
    assert!(error.contains("by the names of transformers, 0 of 102 fit"), "{error}");
    let error = fitted(&network, &file, Some("keras"), false).expect_err("unknown").to_string();
    assert_eq!(
        error,
        "there is no dialect `keras`; known: auto, resnetc, torchvision, timm, cifar, transformers"
    );
    let deep = self::network("resnet50d", &[]);
    let error = names(&deep, "torchvision").expect_err("a deep stem").to_string();
    assert!(error.contains("has no name for `stem.conv2.weight` of network `resnet50d`"), "{error}");
}
