//! Words of what stands in brackets: arguments, functions and variables.

use super::word::{Word, near, none, same};

/// Arguments of layers.
pub(super) const ARGUMENTS: &[Word] = &[
    same(&["strides", "step", "subsample", "s"], "stride"),
    same(&["pad", "pads", "paddings"], "padding"),
    same(&["dilationrate", "dilations", "atrousrate", "rate2d"], "dilation"),
    same(&["group", "numgroups", "cardinality", "numbergroups", "ngroups"], "groups"),
    same(&["usebias", "withbias", "biases"], "bias"),
    same(&["epsilon"], "eps"),
    same(&["negativeslope", "alpha"], "slope"),
    same(&["rate", "prob", "probability", "dropprob", "droprate"], "p"),
    near(&["keepprob"], "p", "it is the share that is dropped, not the one that is kept"),
    same(&["blocksize"], "size"),
    same(&["ceilmode"], "ceil"),
    same(&["countincludepad", "includepad"], "count_padding"),
    same(
        &[
            "outchannels",
            "filters",
            "channels",
            "planes",
            "units",
            "outfeatures",
            "outplanes",
            "outchs",
            "numoutput",
            "features",
            "cout",
            "nout",
        ],
        "out",
    ),
    none(
        &[
            "kernelsize",
            "kernel",
            "ksize",
            "k",
            "window",
            "windowsize",
            "poolsize",
            "filtersize",
            "kernelshape",
        ],
        "the window stands in the layer's name: `conv5x5`, `maxpool2x2`",
    ),
    none(
        &[
            "inchannels",
            "infeatures",
            "inplanes",
            "numfeatures",
            "numchannels",
            "inputchannels",
            "cin",
            "inchs",
            "normalizedshape",
            "nin",
        ],
        "leave it out: a layer takes its number of channels from what it reads",
    ),
    none(
        &[
            "inplace",
            "paddingmode",
            "device",
            "dtype",
            "dataformat",
            "name",
            "inputshape",
            "trackrunningstats",
            "trainable",
            "outputsize",
            "returnindices",
        ],
        "leave it out: nothing depends on it here",
    ),
    none(
        &["affine", "elementwiseaffine", "center", "gamma", "beta"],
        "leave it out: normalisations have a scale and a shift, both trained",
    ),
    none(
        &["activation", "act", "actlayer", "nonlinearity"],
        "an activation is a layer of its own: `conv3x3(f) -> relu`",
    ),
    none(
        &["norm", "normlayer", "usebn", "batchnorm"],
        "a normalisation is a layer of its own: `conv3x3(f) -> bn`",
    ),
    none(&["decay"], "`momentum` is the weight of the batch: a decay of 0.9 is `momentum=0.1`"),
    none(
        &["kernelinitializer", "weightinit", "init", "initializer", "biasinitializer"],
        "first values stand under the key `init`; of a bias, `bias_init` is the constant",
    ),
    none(&["approximate"], "leave it out: `gelu` is the exact form"),
];

/// Functions on numbers, and on feature maps.
pub(super) const FUNCTIONS: &[Word] = &[
    same(&["cat", "concatenate", "torchcat", "stack", "join"], "concat"),
    same(&["int", "trunc", "floordiv"], "floor"),
    same(&["mathceil", "ceiling"], "ceil"),
    same(&["maximum"], "max"),
    same(&["minimum"], "min"),
    same(&["squareroot", "root"], "sqrt"),
    none(&["add", "sum"], "write the sum out: `a + b`"),
    none(&["mul", "multiply", "prod"], "write the product out: `a * b`"),
    none(&["pow", "power", "square"], "write the product out: `f * f`"),
    none(&["makedivisible", "rounddivisible"], "write `8 * round(f / 8)`, which rounds to a multiple of 8"),
    none(&["skip", "residual", "identity"], "write `shortcut`, or `shortcut(pre)`"),
    none(
        &["abs", "exp", "log", "log2", "mod", "len", "mean"],
        "there is no such function on numbers; known: `sqrt`, `round`, `floor`, `ceil`, `min`, `max`",
    ),
];

/// Variables.
pub(super) const VARIABLES: &[Word] = &[
    near(&["true", "yes", "on"], "true", "in small letters"),
    near(&["false", "no", "off"], "false", "in small letters"),
    none(&["none", "null", "nil"], "leave the argument out: what holds by default holds then"),
    same(&["identity", "residual", "skip", "downsample", "res"], "shortcut"),
    same(&["input", "inputs", "inp", "img", "image"], "x"),
    same(&["inchannels", "inplanes", "cin", "inchs", "nin"], "channels"),
    same(&["filters", "planes", "width"], "f"),
    same(&["strides", "s", "subsample"], "stride"),
    same(&["numclasses", "nclasses", "nclass"], "classes"),
    same(&["i", "block", "blockidx", "blockindex"], "unit"),
    same(&["numblocks", "blocks", "nblocks"], "units"),
];
