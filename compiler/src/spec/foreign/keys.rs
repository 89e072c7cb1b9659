//! Words for keys, section by section.

use super::optimizers::{ADAMW, LARS, LION, MUON, SGD};
use super::word::{Word, near, none, same};

/// Sections, as messages call them, with their words.
pub(super) const KEYS: &[(&str, &[Word])] = &[
    ("a spec", SPEC),
    ("a stage", STAGE),
    ("`train`", TRAIN),
    ("`sgd`", SGD),
    ("`adamw`", ADAMW),
    ("`lamb`", ADAMW),
    ("`lars`", LARS),
    ("`lion`", LION),
    ("`muon`", MUON),
    ("a group", GROUP),
    ("`shortcut`", SHORTCUT),
    ("`init`", INIT),
    ("`expect`", EXPECT),
    ("`normalize`", NORMALIZE),
    ("`preprocess`", PREPROCESS),
    ("`warmup`", WARMUP),
    ("`ema`", EMA),
    ("`swa`", SWA),
    ("`step`", SCHEDULE),
    ("`multistep`", SCHEDULE),
    ("`cosine`", SCHEDULE),
    ("`cosine_restarts`", RESTARTS),
    ("`polynomial`", SCHEDULE),
    ("`exponential`", SCHEDULE),
    ("`plateau`", PLATEAU),
    ("`early_stopping`", PLATEAU),
    ("`one_cycle`", SCHEDULE),
    ("`crop`", AUGMENT),
    ("`flip`", AUGMENT),
    ("`cutout`", AUGMENT),
];

const SPEC: &[Word] = &[
    same(
        &[
            "base",
            "inherit",
            "inherits",
            "inheritsfrom",
            "parent",
            "from",
            "include",
            "includes",
            "import",
            "extend",
            "defaults",
        ],
        "extends",
    ),
    same(&["numclasses", "nclasses", "nclass", "numlabels", "nc"], "classes"),
    near(
        &[
            "inputshape",
            "inputsize",
            "imagesize",
            "imgsize",
            "inputdim",
            "inchannels",
            "inchans",
            "resolution",
        ],
        "input: [3, 224, 224]",
        "channels, height, width",
    ),
    near(
        &["layers", "blocks", "depths", "body", "backbone", "groups", "repeats", "numblocks"],
        "stages: [{depth: 3, filters: 64}]",
        "one entry for each stage",
    ),
    same(&["block", "blocktype", "unittype"], "unit"),
    same(&["classifier", "top", "fc", "neck"], "head"),
    same(&["root", "entry"], "stem"),
    same(&["preprocessing", "preprocessor", "transform", "transforms", "pretransform"], "preprocess"),
    same(&["skip", "skips", "residual", "downsample", "identity", "shortcuttype", "shortcuts"], "shortcut"),
    same(&["normlayer", "normalization", "normalisation", "batchnorm", "bn"], "norm"),
    same(&["training", "trainer", "fit", "hyperparameters", "hparams"], "train"),
    same(&["assert", "expected", "expects", "checks", "asserts"], "expect"),
    same(&["output", "outindices", "returnlayers", "returns", "outfeatures"], "outputs"),
    same(&["initializer", "initialization", "weightinit", "initweights", "initialisation"], "init"),
    same(&["title", "id", "model", "modelname", "network", "arch", "architecture"], "name"),
    same(&["transitions", "transitionlayer"], "transition"),
    same(&["os"], "output_stride"),
    none(
        &["activation", "act", "actlayer", "nonlinearity"],
        "an activation is a layer in `stem`, units and `head`: `-> silu`",
    ),
    none(
        &["description", "comment", "comments", "notes", "author", "version", "license", "about"],
        "write it as a comment: `# ...`",
    ),
    near(
        &[
            "epochs",
            "batchsize",
            "lr",
            "learningrate",
            "optimizer",
            "schedule",
            "dataset",
            "seed",
            "augment",
            "warmup",
            "precision",
            "labelsmoothing",
            "weightdecay",
            "momentum",
            "evaluateevery",
            "checkpointevery",
        ],
        "train:",
        "it stands under this key, indented",
    ),
    none(
        &["definitions", "variables", "vars", "templates", "aliases", "constants"],
        "values with anchors stand under `anchors`",
    ),
];

const PREPROCESS: &[Word] = &[
    same(&["size", "resizesize", "shortestedge", "shorter", "shorterside", "scale"], "resize"),
    same(&["filter", "resample", "resampling", "interpolationmode", "method"], "interpolation"),
    same(&["cropmode", "cropstyle", "croptype"], "crop"),
    near(&["centercrop", "centrecrop", "docentercrop"], "crop: center", "the size is that of `input`"),
    near(&["cropsize", "croppct"], "resize: 256", "what is cut out has the size of `input`"),
    same(&["means", "imagemean", "mu"], "mean"),
    same(&["stds", "imagestd", "sigma", "deviation"], "std"),
    none(&["antialias", "antialiasing"], "pictures that shrink are always antialiased, but for `nearest`"),
    none(
        &["normalize", "normalise", "normalization", "normalisation", "donormalize"],
        "write `mean` and `std` here",
    ),
];

const STAGE: &[Word] = &[
    same(
        &[
            "blocks",
            "repeat",
            "repeats",
            "numblocks",
            "n",
            "layers",
            "units",
            "num",
            "count",
            "times",
            "nblocks",
            "numlayers",
            "numunits",
        ],
        "depth",
    ),
    same(
        &[
            "channels",
            "width",
            "widths",
            "outchannels",
            "planes",
            "f",
            "filter",
            "features",
            "numfilters",
            "out",
            "dim",
            "outchs",
        ],
        "filters",
    ),
    same(&["strides", "s", "downsample", "subsample", "downsampling", "reduction"], "stride"),
    same(&["block", "type", "kind", "blocktype", "name", "module"], "unit"),
    same(&["dilations", "dilationrate", "atrous", "rate"], "dilation"),
    near(
        &["groups", "basewidth", "cardinality", "widthpergroup"],
        "unit: \"bottleneck(groups=32, base_width=4)\"",
        "it is an argument of the unit",
    ),
    none(
        &["inchannels", "inplanes", "input"],
        "leave it out: a stage takes its number of channels from the one before it",
    ),
    none(
        &["kernel", "kernelsize", "activation", "norm", "bias", "dropout", "se", "expansion", "padding"],
        "what a unit is made of stands under `units`; what differs between stages is an argument of the unit",
    ),
];

const TRAIN: &[Word] = &[
    near(
        &["lr", "learningrate", "baselr", "initlr", "lr0"],
        "optimizer: {sgd: {lr: 0.1}}",
        "the rate belongs to the optimizer",
    ),
    near(
        &["momentum", "weightdecay", "wd", "nesterov", "l2", "decaynorm", "dampening"],
        "optimizer: {sgd: {momentum: 0.9, weight_decay: 1e-4}}",
        "it belongs to the optimizer",
    ),
    near(
        &["betas", "beta1", "beta2", "eps"],
        "optimizer: {adamw: {beta1: 0.9, beta2: 0.999}}",
        "they belong to the optimizer",
    ),
    same(&["optim", "opt", "optimiser", "solver"], "optimizer"),
    same(&["scheduler", "lrscheduler", "lrschedule", "sched", "lrpolicy", "decay"], "schedule"),
    near(
        &["milestones", "gamma", "stepsize", "lrsteps"],
        "schedule: {multistep: {milestones: [82, 123], gamma: 0.1}}",
        "they belong to the schedule",
    ),
    same(&["earlystop", "earlystopping"], "early_stopping"),
    near(&["patience"], "early_stopping: {patience: 10}", "it belongs to what watches the evaluations"),
    same(&["numepochs", "maxepochs", "nepochs", "trainepochs", "totalepochs"], "epochs"),
    near(
        &["steps", "iterations", "iters", "maxiter", "maxsteps", "maxiters"],
        "epochs",
        "a training is counted in epochs",
    ),
    same(
        &["batch", "batchsizes", "bs", "minibatch", "minibatchsize", "imagesperstep", "trainbatchsize"],
        "batch_size",
    ),
    same(
        &[
            "gradaccum",
            "gradaccumsteps",
            "gradientaccumulation",
            "gradientaccumulationsteps",
            "accumulategradbatches",
            "accumulationsteps",
            "accumsteps",
            "itersize",
        ],
        "accumulate",
    ),
    same(&["modelema", "useema", "weightaveraging", "movingaverage", "emamodel"], "ema"),
    near(&["modelemadecay", "emadecay", "emawarmup"], "ema: {decay: 0.9998}", "it belongs to the average"),
    same(&["stochasticweightaveraging", "useswa"], "swa"),
    near(
        &["swastart", "swalr", "swalrs", "swaepochstart"],
        "swa: {start: 0.75, lr: 0.05}",
        "it belongs to the average",
    ),
    same(&["smoothing", "labelsmooth", "smooth"], "label_smoothing"),
    same(&["data", "datasets", "trainset", "dataname"], "dataset"),
    same(
        &["augmentation", "augmentations", "transforms", "transform", "aug", "augs", "dataaugmentation"],
        "augment",
    ),
    same(
        &["augrepeats", "repeataug", "repeatedaug", "repeatedaugmentation", "rareps", "numrepeats"],
        "repeats",
    ),
    same(&["amp", "dtype", "mixedprecision", "type", "computedtype"], "precision"),
    same(&["lossscale", "lossscaling", "gradscaler", "gradscale", "scaler", "initscale"], "loss_scale"),
    same(&["allowtf32", "usetf32", "matmulprecision"], "tf32"),
    same(&["usedeterministicalgorithms", "cudnndeterministic", "reproducible"], "deterministic"),
    same(&["randomseed", "rngseed", "manualseed"], "seed"),
    near(
        &["warmupepochs", "warmupsteps", "warmuplength", "warmupiters", "warmuplr"],
        "warmup: {length: 5, by: epoch}",
        "length and unit stand side by side",
    ),
    same(
        &["evalevery", "valevery", "validateevery", "evalinterval", "valinterval", "testevery"],
        "evaluate_every",
    ),
    same(&["saveevery", "saveinterval", "ckptevery", "savefreq", "checkpointinterval"], "checkpoint_every"),
    near(
        &["mean", "std", "normalization", "normalise", "normalisation"],
        "normalize: {mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}",
        "mean and deviation stand side by side",
    ),
    same(&["criterion", "lossfn", "objective", "lossfunction"], "loss"),
    near(&["bce", "bceloss", "bcewithlogits"], "loss: binary_cross_entropy", "it is one of the losses"),
    near(&["focalloss", "focalgamma"], "loss: {focal: {gamma: 2}}", "it is one of the losses"),
    same(&["weights", "classweight", "lossweights"], "class_weights"),
    near(
        &["mixup", "mixupalpha", "cutmix", "cutmixalpha"],
        "mix: {mixup: 0.2, cutmix: 1}",
        "both stand under `mix`",
    ),
    near(
        &["mixupoffepoch", "mixupoff", "cutmixoffepoch"],
        "mix: {mixup: 0.2, epochs: 200}",
        "that many epochs are mixed",
    ),
    same(
        &["progressiveresize", "progressivesizes", "sizes", "imagesizes", "trainimgsizes"],
        "progressive_resizing",
    ),
    near(
        &["clipgrad", "gradclip", "gradientclip", "clipgradnorm", "gradclipnorm", "maxgradnorm", "clipnorm"],
        "clip: {norm: 1}",
        "the bound is that of the norm over all parameters",
    ),
    near(&["clipvalue", "clipgradvalue"], "clip: {value: 0.5}", "the bound is that of each element"),
    same(&["distillation", "kd", "knowledgedistillation"], "distill"),
    near(
        &[
            "teacher",
            "teachermodel",
            "teacherpath",
            "distillationtype",
            "distillationalpha",
            "distillationtau",
        ],
        "distill: {teacher: resnet56, weights: teacher.safetensors}",
        "all of it stands under `distill`",
    ),
    same(&["testtimeaugmentation", "testaug"], "tta"),
    near(
        &["fivecrop", "tencrop", "multicrop"],
        "tta: {crops: 10}",
        "the crops of evaluation stand under `tta`",
    ),
    same(&["paramgroups", "parametergroups"], "groups"),
    same(&["lrdecaylayers", "layerwisedecay", "layerlrdecay", "layerwiselrdecay"], "layer_decay"),
    same(&["frozen", "freezelayers", "freezestages"], "freeze"),
    near(&["headonly", "linearprobe"], "finetune: head", "the rest is frozen then"),
    none(
        &[
            "device",
            "gpu",
            "gpus",
            "cuda",
            "threads",
            "workers",
            "numworkers",
            "outdir",
            "out",
            "output",
            "resume",
            "datadir",
            "root",
        ],
        "that is said on the command line: `resnetc run --help`",
    ),
];

const GROUP: &[Word] = &[
    same(&["pattern", "params", "parameters", "name", "names", "regex", "layers"], "match"),
    same(&["lr", "lrmult", "lrfactor", "learningrate", "lrmultiplier"], "lr_scale"),
    same(&["wd", "decay"], "weight_decay"),
];

const SHORTCUT: &[Word] = &[
    same(&["identity", "equal", "unchanged", "agree", "match"], "same"),
    same(&["different", "differ", "downsample", "projection", "mismatch", "unequal"], "changed"),
];

const INIT: &[Word] = &[
    same(&["conv2d", "convolution", "weight", "weights", "kernel"], "conv"),
    same(&["fc", "dense", "classifier"], "linear"),
    same(
        &[
            "zeroinitresidual",
            "zeroinitlast",
            "zerogamma",
            "zeroinitlastbn",
            "bnzero",
            "zerobn",
            "lastbnzero",
            "zeroinit",
        ],
        "zero_last_bn",
    ),
    none(
        &["bn", "norm", "batchnorm", "bias"],
        "normalisations start with scale 1 and shift 0, biases as `linear` says; `zero_last_bn` is there, and `bias_init` of a convolution",
    ),
];

const EXPECT: &[Word] = &[
    same(&["parameters", "numparams", "nparams", "numparameters", "weights"], "params"),
    near(
        &["flops", "gflops", "gmacs", "multadds", "madds", "mults", "ops"],
        "macs",
        "multiply-accumulates of one image; a multiply and an add count as one, so that flops are twice as many",
    ),
    same(&["outputshape", "shape", "outshape", "logits", "outputs"], "output"),
];

const NORMALIZE: &[Word] = &[
    same(&["means", "mu", "average"], "mean"),
    same(&["stds", "stddev", "sigma", "deviation", "standarddeviation"], "std"),
];

const WARMUP: &[Word] = &[
    near(&["epochs", "warmupepochs"], "length: 5, by: epoch", "the unit has a key of its own"),
    near(
        &["steps", "iters", "iterations", "warmupsteps"],
        "length: 500, by: step",
        "the unit has a key of its own",
    ),
    near(
        &["startfactor", "factor", "start", "warmupfactor", "lr", "startlr", "warmuplr"],
        "from: 0.01",
        "it is a factor of the rate, not a rate",
    ),
    same(&["unit", "per"], "by"),
];

const PLATEAU: &[Word] = &[
    same(&["monitor", "metricname", "quantity", "mode", "watch"], "metric"),
    same(&["epochs", "wait", "patienceepochs"], "patience"),
    same(&["gamma", "decay"], "factor"),
    same(&["mindelta", "delta", "tolerance"], "min_delta"),
    same(&["minlr", "etamin"], "min_lr"),
];

const RESTARTS: &[Word] = &[
    same(&["t0", "cycle", "cyclelength", "firstcycle", "length", "every"], "period"),
    same(&["tmult", "cyclemult", "mult"], "factor"),
    same(&["etamin", "minlr", "endlr", "finallr", "minimumlr"], "min_lr"),
    same(&["unit", "per"], "by"),
];

const SWA: &[Word] = &[
    same(&["swastart", "swaepochstart", "from", "begin", "startepoch"], "start"),
    same(&["swalr", "swalrs", "rate", "learningrate"], "lr"),
    none(
        &["annealepochs", "annealingepochs", "annealstrategy", "annealingstrategy"],
        "leave it out: the rate is `lr` at once",
    ),
    none(&["freq", "every", "cfreq", "swafreq"], "leave it out: each epoch counts"),
];

const EMA: &[Word] = &[
    same(&["modelemadecay", "emadecay", "beta", "momentum", "factor", "alpha"], "decay"),
    same(&["usewarmup", "modelemawarmup", "emawarmup"], "warmup"),
    none(
        &["everyepoch", "every", "updateafterstep", "start", "updateevery", "device"],
        "leave it out: the average takes in every update, from the first on",
    ),
];

const SCHEDULE: &[Word] = &[
    same(&["exponent", "degree"], "power"),
    same(&["stepsize", "period", "interval", "epochs", "everyepochs"], "every"),
    same(&["decay", "factor", "decayrate", "lrdecay"], "gamma"),
    same(&["steps", "epochsat", "boundaries", "points"], "milestones"),
    same(&["etamin", "minlr", "endlr", "finallr", "minimumlr"], "min_lr"),
    none(&["tmax", "totalsteps", "maxepochs", "maxiter"], "leave it out: a schedule spans the training"),
    none(&["maxlr", "lr", "peaklr", "lrmax", "initiallr"], "the full rate is the optimizer's `lr`"),
    near(&["pctstart", "peakat"], "peak", "the part of the training at which the rate is highest"),
    near(&["divfactor"], "start", "it is the factor itself, not its inverse"),
    near(&["finaldivfactor"], "end", "it is the factor of the full rate, not an inverse"),
    same(&["unit", "per"], "by"),
    none(
        &["warmup", "warmupepochs", "warmupsteps"],
        "a warm-up stands beside the schedule: `warmup: {length: 5, by: epoch}`",
    ),
];

const AUGMENT: &[Word] = &[
    same(&["pad", "pixels", "margin"], "padding"),
    same(&["p", "prob", "chance"], "probability"),
    same(&["length", "width", "side", "holes"], "size"),
];
