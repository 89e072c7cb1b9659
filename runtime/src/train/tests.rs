//! Whole trainings of a small network (convolution, batch normalisation, ReLU, pooling, linear) with hand-built plans on
//! the reference device: repeated, resumed, interrupted, diverged.

use resnetc_compiler::ir::op::{Activation, BnTensors, ConvAttrs, Epilogue, Init, Recipe, Role, SgdAttrs};
use resnetc_compiler::ir::types::{DType, Layout, Shape};
use resnetc_compiler::plan::{
    ALIGN, Buffer, BufferId, ConvGeometry, Kernel, Region, RegionSizes, Slot, Step,
};
use resnetc_compiler::spec::train::{Augment, By, Normalize, Schedule};

use super::*;
use crate::data::shapes10;
use crate::reference::ReferenceDevice;

const CHANNELS: usize = 8;
const CLASSES: usize = 10;
/// Side of the feature map.
const OUT: usize = 8;

/// A plausible training configuration for the tests of this crate.
pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        dataset: Some("shapes10".into()),
        epochs: 4,
        batch_size: 8,
        lr: 0.1,
        sgd: SGD,
        decay_norm: true,
        schedule: Schedule::Cosine { min_lr: 0.0, by: By::Step },
        warmup: None,
        label_smoothing: 0.0,
        normalize: Normalize { mean: vec![0.5; 3], std: vec![0.25; 3] },
        augment: vec![Augment::Crop { padding: 4 }, Augment::Flip { probability: 0.5 }],
        evaluate_every: 2,
        checkpoint_every: 1,
        seed: 5,
        precision: DType::F32,
    }
}

const SGD: SgdAttrs = SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 1e-4 };

/// Collects buffers at ascending offsets: nothing shares memory, a plan need not be small here.
struct Builder {
    plan: Plan,
    grads: Vec<(BufferId, BufferId, BufferId)>,
}

impl Builder {
    fn new(mode: Mode, batch: usize) -> Self {
        let plan = Plan {
            name: "tiny".into(),
            mode,
            batch,
            sizes: RegionSizes::default(),
            buffers: Vec::new(),
            steps: Vec::new(),
            slots: Vec::new(),
            input: BufferId(0),
            labels: None,
            outputs: Vec::new(),
        };
        Builder { plan, grads: Vec::new() }
    }

    fn push(&mut self, buffer: Buffer) -> BufferId {
        self.plan.buffers.push(buffer);
        BufferId(self.plan.buffers.len() as u32 - 1)
    }

    fn buffer(
        &mut self,
        name: &str,
        shape: &[usize],
        dtype: DType,
        layout: Layout,
        region: Region,
    ) -> BufferId {
        let bytes = shape.iter().product::<usize>() * dtype.size();
        let sizes = &mut self.plan.sizes;
        let end = match region {
            Region::Arena => &mut sizes.arena,
            Region::State => &mut sizes.state,
            Region::Params | Region::Grads | Region::Velocity => &mut sizes.params,
        };
        let offset = *end;
        *end = (offset + bytes).next_multiple_of(ALIGN);
        let shape = Shape(shape.to_vec());
        let live = (region == Region::Arena).then_some((0, 99));
        self.push(Buffer {
            name: name.into(),
            shape,
            dtype,
            layout,
            region,
            offset,
            bytes,
            live,
            slice: None,
        })
    }

    /// A value of the arena, a feature map if it has four dimensions.
    fn value(&mut self, name: &str, shape: &[usize]) -> BufferId {
        let layout = if shape.len() == 4 { Layout::Nhwc } else { Layout::Plain };
        self.buffer(name, shape, DType::F32, layout, Region::Arena)
    }

    /// A persistent tensor; of a trained one in a training plan, gradient and velocity too.
    fn slot(&mut self, name: &str, shape: &[usize], role: Role, init: Init, recipe: Recipe) -> BufferId {
        let region = if role.trained() { Region::Params } else { Region::State };
        let layout = if shape.len() > 1 { Layout::Hwio } else { Layout::Plain };
        let id = self.buffer(name, shape, DType::F32, layout, region);
        self.plan.slots.push(Slot { buffer: id, role, init, recipe });
        if role.trained() && self.plan.mode == Mode::Train {
            let twin = |region, suffix: &str| {
                let param = self.plan.buffer(id).clone();
                Buffer { name: format!("{name}.{suffix}"), region, ..param }
            };
            let (grad, velocity) = (twin(Region::Grads, "grad"), twin(Region::Velocity, "velocity"));
            let twins = (id, self.push(grad), self.push(velocity));
            self.grads.push(twins);
        }
        id
    }

    fn own(&mut self, name: &str, shape: &[usize], role: Role, init: Init) -> BufferId {
        self.slot(name, shape, role, init, Recipe::Own)
    }

    fn grad(&self, param: BufferId) -> BufferId {
        self.grads.iter().find(|(p, ..)| *p == param).expect("a trained parameter").1
    }

    fn step(&mut self, name: &str, kernel: Kernel, inputs: &[BufferId], outputs: &[BufferId]) {
        let step = Step { name: name.into(), kernel, inputs: inputs.to_vec(), outputs: outputs.to_vec() };
        self.plan.steps.push(step);
    }

    fn updates(&mut self) {
        for (param, grad, velocity) in self.grads.clone() {
            let len = self.plan.buffer(param).bytes / 4;
            self.step("update", Kernel::SgdUpdate { len, sgd: SGD }, &[param, grad, velocity], &[]);
        }
    }
}

fn conv_geometry(n: usize) -> ConvGeometry {
    let attrs = ConvAttrs { kernel: [3, 3], stride: [4, 4], padding: [1, 1], dilation: [1, 1], groups: 1 };
    ConvGeometry { n, h: 32, w: 32, cin: 3, cout: CHANNELS, out: [OUT, OUT], attrs, precision: DType::F32 }
}

fn linear_geometry(n: usize) -> ConvGeometry {
    let attrs = ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
    ConvGeometry { n, h: 1, w: 1, cin: CHANNELS, cout: CLASSES, out: [1, 1], attrs, precision: DType::F32 }
}

const RELU: Epilogue = Epilogue { residual: false, act: Some(Activation::Relu) };

/// Pooling and the linear layer: from the feature map to the logits. Returns `[pooled, weight, bias, logits]`.
fn head(b: &mut Builder, n: usize, y: BufferId) -> [BufferId; 4] {
    let pooled = b.value("pool", &[n, CHANNELS, 1, 1]);
    let pool = Kernel::GlobalAvgPool { images: n, pixels: OUT * OUT, channels: CHANNELS };
    b.step("pool", pool, &[y], &[pooled]);
    let init = Init::Uniform { bound: 0.35 };
    let weight = b.own("fc.weight", &[CLASSES, CHANNELS], Role::LinearWeight, init);
    let bias = b.own("fc.bias", &[CLASSES], Role::Bias, init);
    let logits = b.value("fc", &[n, CLASSES]);
    let linear = Kernel::Conv { geometry: linear_geometry(n), bias: true, epilogue: Epilogue::default() };
    b.step("fc", linear, &[pooled, weight, bias], &[logits]);
    b.plan.outputs.push(("logits".into(), logits));
    [pooled, weight, bias, logits]
}

/// The training plan of the tests' network.
pub(crate) fn tiny_plan(n: usize) -> Plan {
    let (rows, channels) = (n * OUT * OUT, CHANNELS);
    let mut b = Builder::new(Mode::Train, n);
    let x = b.value("input", &[n, 3, 32, 32]);
    let labels = b.buffer("labels", &[n], DType::U32, Layout::Plain, Region::Arena);
    (b.plan.input, b.plan.labels) = (x, Some(labels));
    let weight = b.own("conv.weight", &[CHANNELS, 3, 3, 3], Role::ConvWeight, Init::Normal { std: 0.27 });
    let scale = b.own("bn.weight", &[CHANNELS], Role::NormScale, Init::Constant(1.0));
    let shift = b.own("bn.bias", &[CHANNELS], Role::NormShift, Init::Constant(0.0));
    let running_mean = b.own("bn.running_mean", &[CHANNELS], Role::RunningMean, Init::Constant(0.0));
    let running_var = b.own("bn.running_var", &[CHANNELS], Role::RunningVar, Init::Constant(1.0));
    let map = [n, CHANNELS, OUT, OUT];
    let (conv, y) = (b.value("conv", &map), b.value("bn", &map));
    let (mean, rstd) = (b.value("mean", &[CHANNELS]), b.value("rstd", &[CHANNELS]));
    let geometry = conv_geometry(n);
    let plain = Epilogue::default();
    b.step("conv", Kernel::Conv { geometry, bias: false, epilogue: plain }, &[x, weight], &[conv]);
    let stats = Kernel::BnStats { rows, channels, eps: 1e-5, momentum: 0.1 };
    b.step("bn", stats, &[conv, running_mean, running_var], &[mean, rstd]);
    b.step("bn", Kernel::BnApply { rows, channels, epilogue: RELU }, &[conv, mean, rstd, scale, shift], &[y]);
    let [pooled, fc_weight, fc_bias, logits] = head(&mut b, n, y);
    let (loss, correct) = (b.value("loss", &[]), b.value("correct", &[]));
    b.plan.outputs.extend([("loss".into(), loss), ("correct".into(), correct)]);
    let (classes, smoothing) = (CLASSES, 0.0);
    let entropy = Kernel::CrossEntropy { rows: n, classes, smoothing };
    b.step("loss", entropy, &[logits, labels], &[loss, correct]);

    let dlogits = b.value("fc.d", &[n, CLASSES]);
    let backward = Kernel::CrossEntropyBackward { rows: n, classes, smoothing };
    b.step("loss", backward, &[logits, labels], &[dlogits]);
    let fc = linear_geometry(n);
    let (dpooled, dy, dconv) =
        (b.value("pool.d", &[n, CHANNELS, 1, 1]), b.value("bn.d", &map), b.value("conv.d", &map));
    let (d_fc_weight, d_fc_bias) = (b.grad(fc_weight), b.grad(fc_bias));
    b.step("fc", Kernel::ConvBackwardFilter { geometry: fc }, &[pooled, dlogits], &[d_fc_weight]);
    b.step("fc", Kernel::ChannelSum { rows: n, channels: classes }, &[dlogits], &[d_fc_bias]);
    let data = Kernel::ConvBackwardData { geometry: fc, residual: false };
    b.step("fc", data, &[dlogits, fc_weight], &[dpooled]);
    let unpool = Kernel::GlobalAvgPoolBackward { images: n, pixels: OUT * OUT, channels };
    b.step("pool", unpool, &[dpooled], &[dy]);
    let (dscale, dshift, dweight) = (b.grad(scale), b.grad(shift), b.grad(weight));
    let reduce = Kernel::BnBackwardReduce { rows, channels, epilogue: RELU };
    b.step("bn", reduce, &[dy, conv, mean, rstd, scale, shift], &[dscale, dshift]);
    let apply = Kernel::BnBackwardApply { rows, channels, epilogue: RELU };
    b.step("bn", apply, &[dy, conv, mean, rstd, scale, dscale, dshift, shift], &[dconv]);
    b.step("conv", Kernel::ConvBackwardFilter { geometry }, &[x, dconv], &[dweight]);
    b.updates();
    b.plan
}

/// The inference plan of the same network, batch normalisation folded.
fn tiny_inference(n: usize) -> Plan {
    let mut b = Builder::new(Mode::Infer, n);
    let x = b.value("input", &[n, 3, 32, 32]);
    b.plan.input = x;
    let name = |s: &str| format!("bn.{s}");
    let bn = BnTensors {
        scale: name("weight"),
        shift: name("bias"),
        mean: name("running_mean"),
        var: name("running_var"),
        eps: 1e-5,
    };
    let zero = Init::Constant(0.0);
    let folded = Recipe::FoldedWeight { weight: "conv.weight".into(), bn: bn.clone() };
    let weight = b.slot("conv.folded", &[CHANNELS, 3, 3, 3], Role::ConvWeight, zero, folded);
    let folded = Recipe::FoldedShift { bias: None, bn };
    let bias = b.slot("conv.folded_bias", &[CHANNELS], Role::Bias, zero, folded);
    let y = b.value("conv", &[n, CHANNELS, OUT, OUT]);
    let conv = Kernel::Conv { geometry: conv_geometry(n), bias: true, epilogue: RELU };
    b.step("conv", conv, &[x, weight, bias], &[y]);
    head(&mut b, n, y);
    b.plan
}

/// 44 images: five steps of eight and one of four.
fn dataset() -> Dataset {
    shapes10::generate(&shapes10::Config { train: 44, test: 20, seed: 0, threads: 1 })
}

fn options(out: &Path) -> Options {
    Options { out: out.into(), resume: None, threads: 1, workers: 1, stop: Arc::default() }
}

fn trainer(config: &TrainConfig, options: Options) -> Result<Trainer> {
    let mut compile = |mode, n| {
        Ok(Arc::new(match mode {
            Mode::Train => tiny_plan(n),
            Mode::Infer => tiny_inference(n),
        }))
    };
    let mut device = || Ok(Box::new(ReferenceDevice::cpu()?) as Box<dyn Device>);
    let backend = Backend { compile: &mut compile, device: &mut device };
    Trainer::new(config, dataset(), backend, options)
}

/// The whole training in a folder: its last checkpoint, and its log without times.
fn trained(dir: &Path) -> (Checkpoint, Vec<EpochRecord>) {
    let outcome = trainer(&config(), options(dir)).expect("fits").run(&mut |_| ()).expect("trains");
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    state(dir)
}

fn state(dir: &Path) -> (Checkpoint, Vec<EpochRecord>) {
    let text = std::fs::read_to_string(dir.join(LOG)).expect("a log");
    let records = text.lines().map(|line| {
        let record: EpochRecord = serde_json::from_str(line).expect("one object per line");
        EpochRecord { seconds: 0.0, images_per_second: 0.0, ..record }
    });
    (Checkpoint::load(&dir.join(LAST)).expect("valid"), records.collect())
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("temp folder")
}

#[test]
fn the_same_seed_trains_the_same_weights_and_the_loss_falls() {
    let (a, b) = (folder(), folder());
    let (first, log) = trained(a.path());
    assert_eq!((&first, &log), (&trained(b.path()).0, &trained(b.path()).1));
    assert_eq!(log.iter().map(|r| r.epoch).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(log.iter().map(|r| r.test_accuracy.is_some()).collect::<Vec<_>>(), [false, true, false, true]);
    assert!(log[3].train_loss < log[0].train_loss, "{log:?}");
    assert_eq!((first.progress.epoch, first.progress.step), (4, 0));
    let other = TrainConfig { seed: 6, ..config() };
    trainer(&other, options(b.path())).expect("fits").run(&mut |_| ()).expect("trains");
    assert_ne!(first.params, state(b.path()).0.params);
    for name in ["epoch-001.safetensors", "epoch-004.safetensors", BEST] {
        assert!(a.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn resumed_from_an_epochs_checkpoint_it_ends_bit_for_bit_the_same() {
    let dir = folder();
    let whole = trained(dir.path());
    for epoch in 1..=3 {
        let resume = Some(dir.path().join(format!("epoch-{epoch:03}.safetensors")));
        let options = Options { resume, ..options(dir.path()) };
        trainer(&config(), options).expect("same training").run(&mut |_| ()).expect("trains");
        assert_eq!(whole, state(dir.path()), "from epoch {epoch}");
    }
}

#[test]
fn interrupted_at_any_step_it_ends_bit_for_bit_the_same() {
    let dir = folder();
    let whole = trained(dir.path());
    // Within an epoch, before its last step, after it (that is, after the epoch).
    for steps in [1, 8, 11, 12] {
        let dir = folder();
        let options = options(dir.path());
        let stop = Arc::clone(&options.stop);
        let mut left = steps;
        let mut observe = |event: Event<'_>| {
            if let Event::Step(_) = event {
                left -= 1;
                stop.store(left == 0, Ordering::Relaxed);
            }
        };
        let outcome = trainer(&config(), options).expect("fits").run(&mut observe).expect("stops");
        let checkpoint = dir.path().join(LAST);
        let expected =
            Outcome::Interrupted { checkpoint: checkpoint.clone(), epoch: steps / 6, step: steps % 6 };
        assert_eq!(outcome, expected);
        let options = Options { resume: Some(checkpoint), workers: 2, ..self::options(dir.path()) };
        let mut resumed = trainer(&config(), options).expect("same training");
        let mut first = None;
        let mut observe = |event: Event<'_>| {
            if let Event::Resumed { epoch, step, .. } = event {
                first = Some((epoch, step));
            }
        };
        resumed.run(&mut observe).expect("trains");
        assert_eq!(first, Some((steps / 6, steps % 6)));
        assert_eq!(whole, state(dir.path()), "after {steps} steps");
    }
}

#[test]
fn a_resumed_training_with_other_settings_tells_them() {
    let dir = folder();
    trained(dir.path());
    let resume = Some(dir.path().join("epoch-002.safetensors"));
    let slower = TrainConfig { lr: 0.05, ..config() };
    for (config, expected) in [(config(), vec![]), (slower, vec![("lr", "0.1", "0.05")])] {
        let options = Options { resume: resume.clone(), ..options(dir.path()) };
        let mut told = Vec::new();
        let mut observe = |event: Event<'_>| {
            if let Event::Changed(change) = event {
                told.push(change.clone());
            }
        };
        trainer(&config, options).expect("same training").run(&mut observe).expect("trains");
        let told: Vec<_> = told.iter().map(|c| (c.setting.as_str(), c.was.as_str(), c.is.as_str())).collect();
        assert_eq!(told, expected);
        // What is saved is what it was trained with last.
        assert_eq!(state(dir.path()).0.progress.settings, Settings::of(&config));
    }
}

#[test]
fn a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint() {
    let dir = folder();
    // The first epoch warms up at a rate of zero; the second explodes.
    let warmup = resnetc_compiler::spec::train::Warmup { length: 1, by: By::Epoch, from: 0.0 };
    let wild = TrainConfig { lr: 1e30, warmup: Some(warmup), schedule: Schedule::Constant, ..config() };
    let error = trainer(&wild, options(dir.path())).expect("fits").run(&mut |_| ()).expect_err("diverges");
    let good = dir.path().join(LAST);
    let Error::Diverged { loss, epoch, step, last_good } = &error else { panic!("{error}") };
    assert!(!loss.is_finite() && *epoch == 2 && *step > 1, "{error}");
    assert_eq!(last_good.as_ref(), Some(&good));
    assert!(error.to_string().contains("last good checkpoint is"), "{error}");
    let kept = Checkpoint::load(&good).expect("untouched").params;
    assert!(kept.iter().all(|(_, t)| t.data.iter().all(|v| v.is_finite())));
}

#[test]
fn data_that_do_not_fit_and_folders_that_cannot_be_made_are_refused() {
    let mut small = dataset();
    small.train = Arc::new(Split::new([16, 16, 3], vec![0; 768 * 4], vec![0; 4], 10).expect("valid"));
    let plan = tiny_plan(8);
    let error = check_fit(&plan, &small.train).expect_err("16x16 images").to_string();
    assert!(error.contains("3x16x16") && error.contains("3x32x32"), "{error}");
    let many = Split::new([32, 32, 3], vec![0; 3072], vec![99], 100).expect("valid");
    let error = check_fit(&plan, &many).expect_err("class 99").to_string();
    assert!(error.contains("100 classes") && error.contains("has 10"), "{error}");
    let dir = folder();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("writable");
    let error = trainer(&config(), options(&file.join("out"))).err().expect("below a file").to_string();
    assert!(error.contains("file/out"), "{error}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let dir = folder();
    let out = dir.path().join("out");
    let whole = trained(&out);
    let mut again = trainer(&config(), options(&out)).expect("fits");
    // The folder disappears while training.
    std::fs::rename(&out, dir.path().join("moved")).expect("writable");
    let error = again.run(&mut |_| ()).expect_err("no folder").to_string();
    assert!(error.contains("out"), "{error}");
    assert_eq!(Checkpoint::load(&dir.path().join("moved").join(LAST)).expect("untouched"), whole.0);
}
