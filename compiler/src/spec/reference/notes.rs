//! What tables do not say: the introduction, and a few words with an example for each section.

/// How the document begins.
pub(super) const INTRODUCTION: &str = "\
# The spec language

This is the reference: every key, layer, argument, variable and function. To learn the language step by step, read
[A network of your own](authoring.md). `resnetc schema --markdown` prints this page.

A spec is one YAML file. It says what the network is, how it is trained, and what must hold of it. It is plain data and can
run no code. This is a whole one:

```yaml
name: tiny
input: [3, 32, 32]
classes: 10
stem: conv3x3(16) -> bn -> relu
unit: basic
stages:
  - {depth: 2, filters: 16}
  - {depth: 2, filters: 32, stride: 2}
```

Where to write what:

- `resnetc check FILE` reads a spec and tells all its faults at once, each with its place and the way out. Keys that have no effect
  beside the others are told too.
- `extends` takes over all keys of another spec. Maps are merged key by key. Lists and single values are replaced. Where a spec
  changes the network of its base, it drops the base's `expect`.
- `--set KEY=VALUE` changes a value from the command line: `--set train.epochs=20`, `--set stages.2.depth=5`. Items of lists
  count from 0. `--set train.optimizer.lr=0.1` means the optimizer that the spec has.
- `key: ~`, or `null`, takes away what the base says under the key. What holds by default holds then. `key:` with nothing behind
  is a fault: there a line was forgotten.
- `anchors` has room for values that a file uses several times, as below. Anchors hold within one file.
- Whole numbers may be grouped by single underscores, `25_557_032`. Flags are `true` and `false`, without quotes. Each key may
  stand once. Tags (`!!int`) have no meaning.
- A file is text in UTF-8. Every command reads a spec from standard input where its name is `-`.
- An editor with a YAML language server completes keys and checks values by `resnetc schema`.

```yaml
extends: resnet20
anchors:
  half: &half {depth: 2, stride: 2}
stages:
  - {depth: 2, filters: 16}
  - {<<: *half, filters: 32}
  - {<<: *half, filters: 64, depth: 4}
train: {schedule: ~}
```
";

/// How the part on the unit language begins.
pub(super) const UNIT_LANGUAGE: &str = "
## The unit language

`stem`, `transition`, `head` and the rules of `shortcut` are *layers* after one another, joined by `->`. `unit` and `norm` are
one call. A unit is a list of *bindings* under its signature:

```yaml
extends: resnet20
unit: wide(ratio=2)
units:
  wide(f, stride, ratio=4): |
    inner = f * ratio                        # numbers
    main  = x -> conv3x3(inner, stride) -> bn -> relu -> conv3x3(f) -> bn
    out   = main + shortcut -> relu          # what the unit gives on
```

- A signature names the unit's parameters, which are numbers. `f`, `stride` and `dilation` come from the stage: `filters`,
  `stride`, `dilation`. The others are arguments of a call, `unit: wide(ratio=2)`, or have a default. A default may use
  parameters before it and the place of the unit.
- A binding gives a name to a number or a feature map. Each name is bound once and used later. `out` is the unit's result; what it
  does not depend on is a fault.
- `x -> layer` applies a layer to a feature map. `->` binds weakest: `main + shortcut -> relu` applies `relu` to the sum.
- `+ - * /` compute with numbers, `+ - *` with feature maps too. A sum of feature maps needs equal shapes. A product takes a
  map of one pixel as a gate: each of its channels multiplies that channel of the other map. A map may be divided by a number.
- `*` and `/` bind stronger than `+` and `-`; brackets group.
- An argument is given by its place, `conv3x3(16, 2)`, or by its name, `conv3x3(16, stride=2)`. A flag is given by its name
  alone, `conv3x3(16, bias)`, or with a value, `bias=false`.
- A comment begins with `#`. Line breaks are white space.
";

/// How the table of layers begins. `MAX_WINDOW` stands for the largest window.
pub(super) const LAYERS: &str = "\
`KxK` is the window, rows by columns: `conv3x3`, `maxpool2x2`, `conv1x7`, up to MAX_WINDOW each. Arguments without names are
given in the order of this table, flags aside.
";

/// How the table of limits begins.
pub(super) const LIMITS: &str = "
## Limits

A spec that asks for more than any published network is refused at once. `--limit NAME=N` raises a limit:
`resnetc check mine.yaml --limit nodes=50_000`.

";

/// Words and an example for a section, by its path; those of the whole spec have none.
const SECTIONS: &[(&str, &str)] = &[
    ("", "A spec that extends another needs none of these keys.\n\n"),
    (
        "shortcut",
        "A word is one of the [rules](#shortcut-rules). Layers apply wherever a unit says `shortcut`; poolings of stride 1 \
         are left out. A map says both cases apart:

```yaml
extends: resnet18
shortcut:
  same: identity
  changed: avgpool2x2(stride) -> conv1x1(out) -> bn
```

",
    ),
    (
        "stages",
        "Each item is one stage. Its units are alike, but only the first has the stage's stride. A list of groups is one stage \
         whose units differ. `filters` may be a formula of the unit's [place](#variables):

```yaml
extends: resnet20
stages:
  - {depth: 3, filters: 16}
  - {depth: 3, filters: 16 + 8 * unit, stride: 2}
  - - {depth: 2, filters: 64, stride: 2}
    - {depth: 1, filters: 64, unit: bottleneck}
```

",
    ),
    (
        "init",
        "Values are [distributions](#distributions). Weights of normalisations start with 1, their biases with 0.

```yaml
extends: resnet50
init: {conv: he_normal(fan_out), linear: normal(0.01), zero_last_bn: true}
```

",
    ),
    (
        "expect",
        "Where a figure differs, compilation fails and says what came out. To find the figures, write 0 and read the errors.

```yaml
extends: resnet20
stem: conv3x3(16) -> bn -> silu
expect: {params: 269_722, macs: 40_551_040, output: [classes]}
```

",
    ),
    (
        "preprocess",
        "`resnetc run SPEC --predict` reads pictures of any size. By default an ImageNet network gets torchvision's evaluation
transform, and a network for small pictures gets them squashed. Statistics that a training in the same spec has need not be
said again. See [Pictures](pictures.md).

```yaml
extends: resnet50
preprocess: {resize: 232, interpolation: bicubic}
```

",
    ),
    (
        "train",
        "Commands that train read it; each value may be set on the command line.

```yaml
extends: resnet20
train:
  dataset: cifar10
  epochs: 30
  batch_size: 256
  precision: bf16
```

`dataset` may be a path of your own pictures, which has a slash in it: `./pictures`. A relative one is looked for in the working
directory. See [Training](training.md).

`accumulate: 4` makes one update of four batches, by the mean gradient of all their images: the memory of small batches, the updates
of large ones. Steps of schedules are updates. Batch normalisation sees each batch alone.

`precision: fp16` is for GPUs: `--device cpu` refuses it. Gradients are small, and half precision ends at `6e-8`. So the loss is
multiplied with `loss_scale` before gradients are computed, and updates divide by it. `dynamic` is PyTorch's `GradScaler`: the scale is
65536 at first and doubles after 2000 good steps in a row; a step whose gradients are not all finite is left out, and halves the
scale. A number is a scale that never changes; steps whose gradients are not all finite are left out with it, too. Checkpoints hold the
scale. `tf32: true` lets GPUs round what they multiply in `f32` to 10 bits behind the point, which is faster. CPUs do not.

`deterministic: false` lets GPUs take engines of convolutions that may give other last bits each time, where such are the fastest. With
`true` they take none, and a checkpoint names the engine of each convolution: a training that goes on takes the same ones. On CPUs
the same seed and number of threads give the same weights in any case.

```yaml
extends: resnet20
train:
  precision: fp16
  loss_scale: 1024
```

",
    ),
    (
        "train.optimizer",
        "A name alone, `optimizer: sgd`, or a map from the name to settings. The initial learning rate stands here too.

```yaml
extends: resnet20
train:
  optimizer: {sgd: {lr: 0.2, momentum: 0.9, nesterov: true, decay_norm: false}}
```
",
    ),
    (
        "train.clip",
        "As PyTorch's `clip_grad_norm_` over all trained parameters, and its `clip_grad_value_`.

```yaml
extends: resnet20
train:
  clip: {norm: 1}
```

",
    ),
    (
        "train.groups",
        "`norm` are scales and shifts of normalisations, `bias` biases of layers, `head` the last linear layer. Other words are names of
parameters, or of what they belong to; `*` stands for anything. A pattern that matches nothing is an error.

```yaml
extends: resnet20
train:
  groups: [{match: norm|bias, weight_decay: 0}, {match: stage1, lr_scale: 0.1}]
  layer_decay: 0.75
```

",
    ),
    (
        "train.finetune",
        "For networks that begin with weights. At a factor of 0 all but the last linear layer is frozen, as `finetune: head` says it.

```yaml
extends: resnet20
train:
  finetune: {backbone_lr: 0.1}
```

",
    ),
    (
        "train.ema",
        "timm's `ModelEmaV3`, and with `warmup: false` PyTorch's `AveragedModel` with `get_ema_multi_avg_fn`: parameters and running
statistics, `average = decay * average + (1 - decay) * weights` after each update; the first update begins it. Checkpoints hold both,
and `--weights` takes the average of those that have one.

```yaml
extends: resnet20
train:
  ema: {decay: 0.999, warmup: true}
```

",
    ),
    (
        "train.swa",
        "Stochastic weight averaging (Izmailov et al. 2018), as PyTorch's `AveragedModel`: the mean of the weights at the ends of epochs.
When the training has ended, one more pass over its images finds the batch statistics that belong to the mean (`update_bn`); it is
evaluated then. It excludes `ema` and `early_stopping`.

```yaml
extends: resnet20
train:
  epochs: 40
  swa: {start: 0.75, lr: 0.05}
```

",
    ),
    (
        "train.schedule",
        "A name alone or a map from the name to settings. Names are those of PyTorch's schedulers.

```yaml
extends: resnet20
train:
  epochs: 30
  schedule: {multistep: {milestones: [15, 25], gamma: 0.1}}
```

`resnetc schedule SPEC` draws the rate over a training. `plateau` alone does not follow from the spec: what evaluations give decides, and
a checkpoint keeps what they gave.
",
    ),
    (
        "train.warmup",
        "The learning rate rises linearly to its full value; the schedule follows.

```yaml
extends: resnet20
train:
  warmup: {length: 5, by: epoch}
```

",
    ),
    (
        "train.early_stopping",
        "Evaluations that get no better end the training: here the tenth after the best one. The last checkpoint is written as at every end,
`best.safetensors` is that of the best evaluation, and `--resume` with more patience goes on.

```yaml
extends: resnet20
train:
  epochs: 200
  early_stopping: {patience: 10, metric: accuracy}
```
",
    ),
    (
        "train.loss",
        "A name, or a map from a name to its settings. `label_smoothing`, `class_weights` and `mix` apply to all of them. Evaluation
always counts the plain cross-entropy, so that trainings can be compared.

```yaml
extends: resnet20
train:
  loss: {binary_cross_entropy: {target_threshold: 0.2}}
  label_smoothing: 0.1
```
",
    ),
    (
        "train.keep",
        "`last.safetensors` always stays. `best.safetensors` is the checkpoint of the best evaluation. Those of epochs are called
`epoch-007.safetensors`: here those of the newest three epochs and of every tenth.

```yaml
extends: resnet20
train:
  keep: {last: 3, every: 10}
```

",
    ),
    (
        "train.normalize",
        "A pixel becomes `(pixel / 255 - mean) / std`, with one number per channel of `input`.

```yaml
extends: resnet20
train:
  normalize: {mean: [0.49, 0.48, 0.45], std: [0.25, 0.24, 0.26]}
```

",
    ),
    (
        "train.mix",
        "Each image is mixed with the one as far from the batch's end as it is from its beginning, by one share for the whole
batch: mixup adds up the pixels of both, cutmix puts a window of one into the other. The loss takes both labels, each by
its share; accuracy is counted against the first.

```yaml
extends: resnet20
train:
  mix: {mixup: 0.2, cutmix: 1, probability: 0.8}
```

With `epochs: 30` the first thirty epochs are mixed and the others see whole images (timm's `mixup-off-epoch`).

",
    ),
    (
        "train.progressive_resizing",
        "Small images take less time, and teach what does not depend on details (MosaicML Composer's `ProgressiveResizing`). After a share `t`
of the training the sides are those of `input` times

    initial + (1 - initial) * clamp((t - delay) / (1 - finetune - delay), 0, 1)

to the nearest multiple of `multiple`. An epoch has one size, that of its middle; the last one has the size of `input`, as every evaluation.
Each size is a plan of its own, and all are checked before the training starts: layers have to take all of them with the same parameters.

```yaml
extends: resnet18
train:
  epochs: 90
  progressive_resizing: {initial: 0.5, delay: 0.5, finetune: 0.2, multiple: 32}
```

`resnetc schedule` tells which epochs have which size.

",
    ),
    (
        "train.parallel",
        "For trainings that `mpirun`, `srun` or the like started as several processes; one that is alone reads none of it.
[Training on many machines](scaling.md) tells how they share the work. `batch_size` is each one's own: four processes with 64 have a batch of
256. `linear` multiplies the rate with the number of processes, as Goyal et al. (2017) do, with a warm-up before it; `sqrt` with its root.
With `shard_optimizer: true` each process keeps a part of the optimizer's state alone, and of an average of the weights (ZeRO stage 1,
Rajbhandari et al. 2020): the weights come out the same, bit for bit. It takes an optimizer whose step looks at single elements: `sgd`,
`adamw` or `lion`.

```yaml
extends: resnet50
train:
  batch_size: 64
  warmup: {length: 5}
  parallel: {sync_bn: true, scale_lr: linear, gradients: bf16}
```

With `sync_every: 8` each process makes eight updates by its own gradients before weights, momentum and all else that the optimizer keeps become
the mean of all processes (local SGD; Stich 2019; Yu, Jin and Yang 2019): an eighth of the messages, and not the same training.

",
    ),
    (
        "train.distill",
        "The loss is `(1 - alpha) * loss + alpha * temperature^2 * KL(teacher || network)`, with the softmax of both logits divided by
`temperature`; with `hard: true` the second part is the cross-entropy with the teacher's likeliest class (DeiT, Touvron et al. 2021).

```yaml
extends: resnet20
train:
  distill: {teacher: resnet56, weights: out/resnet56-cifar10/best.safetensors}
```

",
    ),
    (
        "train.tta",
        "`flip` takes the mean logits of an image and its mirror image. `crops` needs pictures that `preprocess` resizes to more than
`input` has, so neither `crop: squash` nor data sets whose pictures have the size of `input` go with it.

```yaml
extends: resnet18
train:
  tta: {crops: 10}
```

",
    ),
    (
        "train.augment",
        "A list of names, or of maps from names to settings. Each training image passes through all of them.

```yaml
extends: resnet20
train:
  augment: [{crop: {padding: 4}}, flip]
```

Pictures without a top, as those from above, are mirrored in both directions by `[flip, {flip: {direction: vertical}}]`.
`random_resized_crop` takes pictures of any size, so it has to be the first:

```yaml
extends: resnet18
train:
  dataset: ./pictures
  augment: [{random_resized_crop: {scale: [0.2, 1]}}, flip]
```
",
    ),
    (
        "sweep",
        "`resnetc run mine.yaml --train` makes a training of each combination; `--sweep KEY=VALUES` on the command line adds a key, or puts
other values in the place of a key's. [Training](training.md#sweeps) says what comes of it.

```yaml
extends: resnet20
sweep:
  over:
    lr: [0.05, 0.1, 0.2]
    stages.0.depth: [2, 3]
    seed: 0..4
  halving: 3
```

",
    ),
];

/// The words and the example of a section.
///
/// # Panics
/// Where a section has none: a new section wants some.
pub(super) fn of(path: &str) -> &'static str {
    let found = SECTIONS.iter().find(|(known, _)| *known == path);
    found.unwrap_or_else(|| panic!("the reference has no words for `{path}`")).1
}
