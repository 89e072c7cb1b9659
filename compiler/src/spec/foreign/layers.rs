//! Words for layers.

use super::word::{Word, near, none, same};

/// Layers.
pub(super) const LAYERS: &[Word] = &[
    // Convolutions.
    near(
        &[
            "conv",
            "conv2d",
            "convolution",
            "convolution2d",
            "convbn",
            "convnorm",
            "convbnrelu",
            "convnormact",
        ],
        "conv3x3(out)",
        "the window stands in the name, the first argument is the number of channels that come out; `bn` and `relu` are layers of their own",
    ),
    near(
        &["dwconv", "depthwiseconv", "depthwise", "dwconv2d", "depthwiseconv2d", "convdw"],
        "convKxK(f, groups=f)",
        "with `f` the number of channels: a depthwise convolution has as many groups; a plain `convKxK` would mix them",
    ),
    near(
        &["separableconv", "sepconv", "separableconv2d", "sepconv2d", "dsconv"],
        "convKxK(channels, groups=channels) -> conv1x1(out)",
        "a separable convolution is two; a plain `convKxK` would have many more weights",
    ),
    near(&["pwconv", "pointwise", "pointwiseconv", "convpw"], "conv1x1(out)", "its window is one pixel"),
    near(
        &["gconv", "groupconv", "groupedconv", "convgroup"],
        "convKxK(out, groups=32)",
        "the number of groups is an argument",
    ),
    near(
        &["dilatedconv", "atrousconv", "atrous", "dconv", "dilconv"],
        "convKxK(out, dilation=2)",
        "the dilation is an argument",
    ),
    none(
        &[
            "deconv",
            "convtranspose",
            "convtranspose2d",
            "conv2dtranspose",
            "transposedconv",
            "transposeconv",
            "upconv",
            "tconv",
        ],
        "there is no transposed convolution: it makes images larger, `convKxK` keeps them or makes them smaller",
    ),
    none(
        &["deformconv", "deformconv2d", "deformableconv", "dcn"],
        "there is no deformable convolution; `convKxK` reads the same pixels for all images",
    ),
    none(
        &[
            "wsconv",
            "stdconv",
            "stdconv2d",
            "scaledstdconv2d",
            "weightstandardization",
            "spectralnorm",
            "weightnorm",
        ],
        "weights are not normalised here; `convKxK(out)` takes them as they are",
    ),
    none(
        &["conv1d", "conv3d", "convolution1d", "convolution3d"],
        "networks here are of images: windows have two sides, `conv3x3`",
    ),
    // Normalisations.
    near(
        &["batchnorm", "batchnorm2d", "batchnormalization", "bn2d", "batchnormact2d", "batchnorm1d", "bnorm"],
        "bn",
        "it takes its number of channels from what it reads",
    ),
    near(
        &[
            "syncbatchnorm",
            "syncbn",
            "frozenbatchnorm",
            "frozenbatchnorm2d",
            "frozenbn",
            "ghostbatchnorm",
            "inplaceabn",
        ],
        "bn",
        "its statistics are those of the batch of one device, and are trained",
    ),
    same(&["groupnorm", "groupnormalization", "gn", "groupnorm2d"], "group_norm(groups=32)"),
    near(
        &["layernorm", "layernormalization", "ln", "layernorm2d"],
        "group_norm(groups=1)",
        "it normalises all channels and pixels of an image together; timm's LayerNorm2d, each pixel alone, is not there",
    ),
    near(
        &["instancenorm", "instancenorm2d", "instancenormalization", "in"],
        "group_norm(groups=f)",
        "with `f` the number of channels: each is then normalised by itself; scale and shift are trained",
    ),
    none(
        &[
            "lrn",
            "localresponsenorm",
            "localresponsenormalization",
            "responsenorm",
            "rmsnorm",
            "filterresponsenorm",
            "frn",
            "evonorm",
        ],
        "there is no such normalisation: `bn` and `group_norm(groups=32)` are there",
    ),
    // Activations.
    same(&["relu", "rectifier", "rectifiedlinear", "reluactivation"], "relu"),
    same(&["relu6", "reluclip6"], "relu6"),
    same(&["swish", "silu", "sil"], "silu"),
    same(&["hardswish", "hswish", "hardsilu"], "hard_swish"),
    same(&["hardsigmoid", "hsigmoid"], "hard_sigmoid"),
    same(&["sigmoid", "logistic", "sigm"], "sigmoid"),
    same(&["tanh", "hyperbolictangent"], "tanh"),
    same(&["gelu", "gelunew"], "gelu"),
    near(
        &["quickgelu", "gelutanh", "fastgelu", "approxgelu"],
        "gelu",
        "it is the exact form, not the approximation",
    ),
    same(&["mish"], "mish"),
    near(
        &["leakyrelu", "leaky", "lrelu", "leakyrectifier"],
        "leaky_relu(0.01)",
        "the argument is the slope: 0.01 in PyTorch, 0.1 in Darknet, 0.3 in Keras",
    ),
    near(
        &["prelu", "rrelu", "parametricrelu", "randomizedrelu"],
        "leaky_relu(0.25)",
        "its slope is a constant, neither learnt nor random",
    ),
    none(
        &[
            "elu",
            "selu",
            "celu",
            "softplus",
            "softsign",
            "glu",
            "swiglu",
            "geglu",
            "hardtanh",
            "hardmish",
            "hmish",
            "logsigmoid",
            "threshold",
            "softshrink",
            "hardshrink",
            "tanhshrink",
            "crelu",
            "maxout",
            "starrelu",
            "squaredrelu",
            "relu2",
            "abs",
            "exp",
            "snake",
            "identityactivation",
        ],
        "there is no such activation, and another one makes another network; known: `relu`, `relu6`, `leaky_relu`, `silu`, `gelu`, `mish`, `tanh`, `sigmoid`, `hard_swish`, `hard_sigmoid`",
    ),
    none(
        &["act", "activation", "nonlinearity", "actlayer"],
        "an activation is a layer by its own name: `relu`, `silu`, `gelu`",
    ),
    none(
        &["softmax", "logsoftmax", "softmax2d"],
        "leave it out: the loss takes logits, and `resnetc run --softmax` shows probabilities",
    ),
    none(
        &["identity", "noop", "none", "nothing", "nop", "linearactivation", "passthrough"],
        "leave it out: a value that nothing changes needs no layer",
    ),
    // Pooling.
    near(
        &["maxpool", "maxpool2d", "maxpooling2d", "maxpooling", "mp"],
        "maxpool3x3(stride=2)",
        "the window stands in the name",
    ),
    near(
        &[
            "avgpool",
            "avgpool2d",
            "averagepool",
            "averagepooling",
            "averagepooling2d",
            "meanpool",
            "avgpooling",
            "ap",
        ],
        "avgpool2x2",
        "the window stands in the name; the stride is the window where none is given",
    ),
    same(
        &[
            "globalavgpool",
            "globalaveragepool",
            "globalaveragepooling2d",
            "globalaveragepooling",
            "globalavgpool2d",
            "gap",
            "globalpool",
            "selectadaptivepool2d",
            "avgpoolglobal",
            "globalmeanpool",
        ],
        "global_avgpool",
    ),
    same(
        &["globalmaxpool", "globalmaxpooling2d", "globalmaxpooling", "globalmaxpool2d", "gmp"],
        "global_maxpool",
    ),
    near(
        &["adaptiveavgpool", "adaptiveavgpool2d"],
        "global_avgpool",
        "it leaves one pixel; other sizes are not there",
    ),
    near(
        &["adaptivemaxpool", "adaptivemaxpool2d"],
        "global_maxpool",
        "it leaves one pixel; other sizes are not there",
    ),
    none(
        &[
            "minpool",
            "sumpool",
            "medianpool",
            "lppool",
            "lppool2d",
            "stochasticpool",
            "fractionalmaxpool2d",
            "softpool",
            "gem",
            "gempool",
            "globalminpool",
            "globalsumpool",
            "rmspool",
            "l2pool",
        ],
        "there is no such pooling, and another one makes another network; known: `maxpoolKxK`, `avgpoolKxK`, `blurpool`, `global_avgpool`, `global_maxpool`",
    ),
    same(&["blurpool2d", "blur", "blurpooling", "antialias", "aapool", "downsampleblur"], "blurpool"),
    none(
        &["upsample", "interpolate", "resize", "upsampling2d", "pixelshuffle", "unpool", "maxunpool2d"],
        "nothing here makes images larger",
    ),
    none(
        &["zeropad2d", "zeropadding2d", "pad", "padding", "reflectionpad2d", "constantpad2d", "zeropad"],
        "padding is an argument of convolutions and poolings: `conv3x3(out, padding=1)`, with zeros",
    ),
    // What drops.
    same(&["dropout", "dropoutlayer"], "dropout(p)"),
    near(
        &["dropout2d", "spatialdropout", "spatialdropout2d", "featuredropout", "channeldropout"],
        "drop_block(p, size)",
        "it drops squares of all channels; dropping whole channels is not there, and `dropout(p)` drops single values",
    ),
    none(
        &["alphadropout", "featurealphadropout", "gaussiandropout", "dropconnect"],
        "there is no such dropout: `dropout(p)` sets single values to 0",
    ),
    same(&["droppath", "stochasticdepth"], "drop_path(p)"),
    same(&["dropblock", "dropblock2d"], "drop_block(p, size)"),
    // Heads.
    same(&["linear", "dense", "fc", "fullyconnected", "innerproduct", "gemm", "affine"], "linear(out)"),
    none(
        &["reshape", "view", "squeeze", "permute", "transpose", "rearrange"],
        "leave it out: `linear` reads a map of one pixel, which `global_avgpool` gives",
    ),
    // Gates.
    none(
        &[
            "se",
            "semodule",
            "seblock",
            "squeezeexcite",
            "squeezeexcitation",
            "squeezeandexcitation",
            "sqex",
            "cse",
        ],
        "write the gate in a unit: `gate = main -> global_avgpool -> conv1x1(f / 16, bias) -> relu -> conv1x1(f, bias) -> sigmoid`, then `main * gate`",
    ),
    near(
        &["ecamodule", "efficientchannelattn", "efficientchannelattention", "ecalayer"],
        "eca",
        "its kernel follows the channels where none is given",
    ),
    none(
        &[
            "cbam",
            "bam",
            "attention",
            "selfattention",
            "mhsa",
            "nonlocal",
            "gcnet",
            "ska",
            "selectivekernel",
            "coordattention",
        ],
        "there is no such layer: a unit multiplies a feature map by a gate of one pixel, `main * gate`; `eca` is there",
    ),
    // What is no layer.
    none(
        &["add", "addition", "eltwise", "sum", "merge", "plus"],
        "values are added in a unit: `main + shortcut`",
    ),
    none(&["mul", "multiply", "times", "product"], "values are multiplied in a unit: `main * gate`"),
    none(&["concat", "concatenate", "cat", "stack"], "values are joined in a unit: `concat(a, b)`"),
    none(
        &["shortcut", "skip", "residual", "skipconnection", "downsample"],
        "the shortcut is a term of a unit's sum, `main + shortcut`; the key `shortcut` says what it is made of",
    ),
    none(
        &["sequential", "modulelist", "module", "block", "layer", "lambda", "repeat"],
        "layers follow one another by arrows: `conv3x3(16) -> bn -> relu`",
    ),
    near(
        &["layerscale", "rezero", "gamma", "scalar"],
        "scale(by)",
        "it multiplies by a constant that is not learnt",
    ),
    none(
        &["x", "input", "inputs", "img", "image", "images"],
        "leave it and its arrow out: `stem`, `head` and rules begin with their first layer",
    ),
    none(
        &["basic", "bottleneck", "basicblock", "resblock", "residualblock", "preactblock"],
        "units stand under `unit`, for all stages or in one",
    ),
];
