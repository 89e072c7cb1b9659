//! Words for values that are chosen by a name: optimizers, schedules, shortcut rules and their like.

use super::word::{Word, near, none, same};

/// Kinds of values, as messages call them, with their words.
pub(super) const VALUES: &[(&str, &[Word])] = &[
    ("optimizer", OPTIMIZER),
    ("schedule", SCHEDULE),
    ("augmentation", AUGMENTATION),
    ("precision", PRECISION),
    ("loss scale", SCALE),
    ("unit of time", TIME),
    ("shortcut rule", RULE),
    ("distribution", DISTRIBUTION),
    ("unit", UNIT),
    ("data set", DATASET),
    ("interpolation", INTERPOLATION),
    ("crop", CROP),
    ("style", STYLE),
];

/// Sections, as messages call them, with what to write in place of one word or number.
pub(super) const SECTIONS: &[(&str, &str)] = &[
    ("`warmup`", "write `{length: {}}`; `by: step` counts steps instead of epochs"),
    ("`init`", "write `{conv: {}}`; `linear` has a key of its own"),
    (
        "`normalize`",
        "write the numbers, as ImageNet's: `{mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}`",
    ),
    (
        "`preprocess`",
        "write `{resize: 256}`; `interpolation`, `crop`, `mean` and `std` have keys of their own",
    ),
    ("`expect`", "write `{params: {}}`; `macs` and `output` have keys of their own"),
    ("a stage", "write `{depth: {}, filters: 64}`"),
    ("`sgd`", "write `{lr: {}}`"),
    ("`adamw`", "write `{lr: {}}`"),
    ("`lamb`", "write `{lr: {}}`"),
    ("`lars`", "write `{lr: {}}`"),
    ("`lion`", "write `{lr: {}}`"),
    ("`muon`", "write `{lr: {}}`"),
    ("`clip`", "write `{norm: {}}`"),
    ("a group", "write `{match: {}}` with `lr_scale` or `weight_decay`"),
    ("`step`", "write `{every: {}}`"),
    ("`multistep`", "write `{milestones: [{}]}`"),
    ("`crop`", "write `{padding: {}}`"),
    ("`flip`", "write `{probability: {}}`"),
    ("`cutout`", "write `{size: {}}`"),
];

const INTERPOLATION: &[Word] = &[
    same(&["nearest", "nearestexact", "none", "0"], "nearest"),
    same(&["bilinear", "linear", "triangle", "2"], "bilinear"),
    same(&["bicubic", "cubic", "catmullrom", "3"], "bicubic"),
    same(&["lanczos", "lanczos3", "antialias", "1"], "lanczos"),
    none(
        &["area", "box", "hamming", "lanczos4", "gaussian", "mitchell"],
        "there is no such filter; known: `nearest`, `bilinear`, `bicubic`, `lanczos`",
    ),
];

const CROP: &[Word] = &[
    same(&["center", "centre", "centercrop", "centrecrop", "middle"], "center"),
    same(&["squash", "stretch", "none", "warp", "resize", "nocrop"], "squash"),
    none(
        &["border", "pad", "letterbox", "fivecrop", "tencrop", "random", "randomresizedcrop"],
        "there is no such crop; known: `center`, `squash`",
    ),
];

const OPTIMIZER: &[Word] = &[
    same(&["sgd", "momentum", "sgdm", "momentumsgd"], "sgd"),
    near(&["nesterov", "nag"], "sgd: {nesterov: true}", "it is a setting of `sgd`"),
    same(&["adamw"], "adamw"),
    same(&["lamb", "fusedlamb"], "lamb"),
    same(&["lars", "larc"], "lars"),
    same(&["lion"], "lion"),
    same(&["muon", "muonwithauxadam", "singledevicemuon"], "muon"),
    near(
        &["adam", "nadam", "radam", "adamax"],
        "adamw",
        "its weight decay is taken off the weights, not added to the gradients; with `weight_decay: 0` it is Adam",
    ),
    none(
        &["rmsprop", "adagrad", "adadelta", "rprop", "lbfgs", "adafactor", "sam", "asgd"],
        "there is no such optimizer; known: `sgd`, `adamw`, `lamb`, `lars`, `lion`, `muon`",
    ),
];

const SCHEDULE: &[Word] = &[
    same(&["constant", "constantlr", "none", "fixed", "const"], "constant"),
    same(&["step", "steplr", "stepdecay"], "step"),
    same(&["multistep", "multisteplr", "piecewise", "piecewiseconstant", "milestones"], "multistep"),
    same(&["cosine", "cosineannealing", "cosineannealinglr", "cosinedecay", "cosinelr", "cos"], "cosine"),
    same(&["onecycle", "onecyclelr", "1cycle", "superconvergence"], "one_cycle"),
    same(&["exponential", "exponentiallr", "exp", "exponentialdecay"], "exponential"),
    same(&["poly", "polynomial", "polynomiallr"], "polynomial"),
    near(&["linear", "linearlr", "lineardecay"], "polynomial", "its `power` is 1 where nothing is written"),
    same(&["plateau", "reducelronplateau", "onplateau"], "plateau"),
    same(&["cosinerestarts", "sgdr", "warmrestarts", "cosineannealingwarmrestarts"], "cosine_restarts"),
    none(
        &["cyclic", "cycliclr", "triangular"],
        "there is no such schedule; `cosine_restarts` falls and begins anew, `one_cycle` is one triangle",
    ),
    none(
        &["warmup", "linearwarmup"],
        "a warm-up stands beside the schedule: `warmup: {length: 5, by: epoch}`",
    ),
];

const AUGMENTATION: &[Word] = &[
    same(&["randomresizedcrop", "resizedcrop", "rrc"], "random_resized_crop"),
    near(
        &["randomcrop", "crop", "padcrop", "padandcrop"],
        "crop: {padding: 4}",
        "the window has the image's size",
    ),
    same(
        &[
            "randomhorizontalflip",
            "hflip",
            "horizontalflip",
            "mirror",
            "fliplr",
            "randomflip",
            "randommirror",
            "flip",
        ],
        "flip",
    ),
    near(
        &["verticalflip", "vflip", "randomverticalflip", "flipud"],
        "flip: {direction: vertical}",
        "`flip` mirrors in one direction",
    ),
    near(&["cutout", "coarsedropout"], "cutout", "a square of one size, filled with zeros, in every image"),
    same(&["randomerasing", "erasing", "randomerase", "reprob"], "random_erasing"),
    same(&["colorjitter", "colourjitter", "jitter"], "color_jitter"),
    same(&["randaugment", "randomaugment", "randaug"], "rand_augment"),
    same(&["trivialaugment", "trivialaugmentwide"], "trivial_augment"),
    same(&["augmix"], "aug_mix"),
    none(
        &[
            "resize",
            "centercrop",
            "autoaugment",
            "rotate",
            "rotation",
            "randomrotation",
            "affine",
            "lighting",
            "grayscale",
            "blur",
            "gaussianblur",
            "scale",
        ],
        "there is no such augmentation; `docs/language.md` lists those that are there",
    ),
    none(
        &["mixup", "cutmix"],
        "batches are mixed by the key `mix` of `train`: `mix: {mixup: 0.2, cutmix: 1}`",
    ),
    none(
        &["normalize", "normalise", "totensor", "standardize"],
        "images are normalised by the key `normalize` of `train`",
    ),
];

const PRECISION: &[Word] = &[
    same(&["fp32", "float32", "float", "single", "f32", "32", "full"], "f32"),
    same(&["bfloat16", "bfloat", "bf16"], "bf16"),
    same(&["fp16", "f16", "float16", "half", "16"], "fp16"),
    near(
        &["amp", "mixed"],
        "bf16",
        "it needs no loss scale and runs on every device; `fp16` is the other one, for GPUs",
    ),
    near(&["tf32", "tensorfloat32"], "tf32: true", "it is a key of its own, beside `precision: f32`"),
    none(
        &["fp8", "f8", "int8", "i8", "f64", "fp64", "float64", "double"],
        "there is no such precision; known: `f32`, `bf16`, `fp16`",
    ),
];

const SCALE: &[Word] = &[
    same(&["auto", "automatic", "true", "on", "yes", "gradscaler", "adaptive"], "dynamic"),
    near(&["static", "fixed", "constant"], "1024", "a number is a scale that never changes"),
    none(
        &["none", "false", "off", "no"],
        "leave the key out, or write `1`: `f32` and `bf16` have no loss scale",
    ),
];

const TIME: &[Word] = &[
    same(&["epochs", "epoch", "e"], "epoch"),
    same(
        &[
            "steps",
            "step",
            "iteration",
            "iterations",
            "iter",
            "iters",
            "batch",
            "batches",
            "update",
            "updates",
        ],
        "step",
    ),
];

const RULE: &[Word] = &[
    same(&["a", "optiona", "zeropad", "padding", "zeropadding", "zeros"], "pad"),
    same(&["b", "optionb", "conv", "conv1x1", "downsample", "project", "1x1"], "projection"),
    same(&["c", "optionc", "projectall", "alwaysprojection"], "always_project"),
    same(&["d", "optiond", "avgdown", "avgpool", "resnetd", "avgprojection"], "pooled_projection"),
    same(&["same", "skip", "residual", "copy"], "identity"),
    none(
        &["none", "false", "off", "no"],
        "a network without shortcuts has units that do not say `shortcut`: `plain(f, stride): out = x -> conv3x3(f, stride) -> bn -> relu`",
    ),
];

const DISTRIBUTION: &[Word] = &[
    near(
        &["kaimingnormal", "henormal", "msra", "msrafill", "kaiming", "he"],
        "he_normal",
        "alone it counts `fan_in`, PyTorch's default; torchvision's ResNets have `he_normal(fan_out)`",
    ),
    near(
        &["kaiminguniform", "heuniform"],
        "he_uniform",
        "alone it counts `fan_in`, PyTorch's default; what PyTorch's layers start with is `uniform(1 / sqrt(fan_in))`",
    ),
    same(&["xavieruniform", "glorotuniform"], "xavier_uniform"),
    same(&["xaviernormal", "glorotnormal"], "xavier_normal"),
    near(&["xavier", "glorot"], "xavier_uniform", "`xavier_normal` is there too"),
    near(
        &["truncnormal", "truncatednormal", "tn"],
        "truncated_normal(0.02)",
        "the argument is the standard deviation",
    ),
    near(
        &["gaussian", "randn", "randomnormal", "normal"],
        "normal(0.01)",
        "the argument is the standard deviation",
    ),
    near(
        &["rand", "randomuniform", "uniform"],
        "uniform(0.05)",
        "the argument is the bound on either side of 0",
    ),
    near(&["zeros", "zero"], "constant(0)", "all weights that are equal stay equal"),
    near(&["ones", "one"], "constant(1)", "all weights that are equal stay equal"),
    near(
        &["lecunnormal", "lecun"],
        "uniform(1.732 / sqrt(fan_in))",
        "it has the same deviation, `1 / sqrt(fan_in)`; that of `he_normal(fan_in)` is larger, `sqrt(2 / fan_in)`",
    ),
    near(&["lecununiform"], "uniform(1.732 / sqrt(fan_in))", "which is the same distribution"),
    none(
        &["orthogonal", "sparse", "dirac", "identity", "variancescaling", "delta"],
        "there is no such distribution; known: `he_normal`, `he_uniform`, `xavier_normal`, `xavier_uniform`, `uniform`, `normal`, `truncated_normal`, `constant`",
    ),
];

const UNIT: &[Word] = &[
    same(&["basicblock", "basicunit", "basic", "residualblock", "resblock"], "basic"),
    same(&["bottleneckblock", "bottleneckunit", "bottleneck"], "bottleneck"),
    near(&["bottleneckv1", "bottlenecks"], "bottleneck_v1", "its stride is on the first 1x1"),
    near(&["bottleneckv15"], "bottleneck", "its stride is on the 3x3, as v1.5 has it"),
    near(
        &["resnext", "resnextblock", "resnextbottleneck"],
        "bottleneck(groups=32, base_width=4)",
        "a ResNeXt unit is one with groups",
    ),
    near(
        &["wide", "widebottleneck"],
        "bottleneck(base_width=128)",
        "a wide bottleneck has a larger inner width",
    ),
    none(
        &[
            "preact",
            "preactblock",
            "preactbottleneck",
            "se",
            "sebottleneck",
            "sebasic",
            "seblock",
            "dense",
            "densenet",
            "denselayer",
            "invertedresidual",
            "mbconv",
            "fusedmbconv",
            "convnext",
            "plain",
        ],
        "it is written under `units`: `resnetc list` shows networks that have such units, and `resnetc build NAME --emit spec` their texts",
    ),
];

const DATASET: &[Word] = &[
    same(&["cifar10", "cifar"], "cifar10"),
    same(&["cifar100"], "cifar100"),
    same(&["shapes10", "shapes"], "shapes10"),
    none(
        &[
            "mnist",
            "fashionmnist",
            "fmnist",
            "svhn",
            "stl10",
            "imagenet",
            "imagenet1k",
            "ilsvrc",
            "ilsvrc2012",
            "imagenet2012",
            "tinyimagenet",
            "imagenette",
            "kmnist",
            "emnist",
            "food101",
        ],
        "there is no such data set; `resnetc list --datasets` shows those that are there. A folder of pictures is a path: `./pictures`",
    ),
];

const STYLE: &[Word] = &[
    same(&["15", "v15", "v1b", "pytorch", "torchvision"], "v1.5"),
    same(&["1", "v10", "caffe", "paper", "original", "msra"], "v1"),
    none(
        &["v2", "2", "preact", "preactivation"],
        "pre-activation is another unit: `resnetc list` shows the networks `preact...`",
    ),
];
