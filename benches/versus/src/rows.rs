//! What is compared: one row of the table each.

/// Peers of inference, as `peers.py --only` calls them.
const INFER: &[&str] = &["eager", "channels_last", "compile", "onnxruntime", "openvino"];

/// ONNX Runtime has no bf16 on CPUs.
const INFER_BF16: &[&str] = &["eager", "channels_last", "compile", "openvino"];

/// Peers of training.
const TRAIN: &[&str] = &["eager", "channels_last", "compile"];

/// A piece of work that both sides do.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// For `--only`: `resnet50-infer-b1-f32`.
    pub name: &'static str,
    /// Our spec.
    pub spec: &'static str,
    /// The peers' model; its images are `size` pixels wide and high.
    pub model: &'static str,
    /// Pixels.
    pub size: usize,
    /// Outputs.
    pub classes: usize,
    /// Images at a time.
    pub batch: usize,
    /// Whether it is a training step.
    pub train: bool,
    /// Whether in bf16.
    pub bf16: bool,
    /// Timed runs of each call.
    pub runs: usize,
    /// The peer's time over ours: at least, and aimed at.
    pub bars: [f64; 2],
}

impl Row {
    /// Who competes.
    pub fn peers(&self) -> &'static [&'static str] {
        match (self.train, self.bf16) {
            (true, _) => TRAIN,
            (false, true) => INFER_BF16,
            (false, false) => INFER,
        }
    }

    /// As `resnetc` and the peers call it.
    pub fn dtype(&self) -> &'static str {
        if self.bf16 { "bf16" } else { "f32" }
    }

    /// `ResNet-50, 224x224, training, batch 8, bf16`
    pub fn title(&self) -> String {
        let depth = self.model.trim_start_matches("resnet");
        let what = if self.train { "training step" } else { "inference" };
        format!("ResNet-{depth} {0}x{0} {what}, batch {1}, {2}", self.size, self.batch, self.dtype())
    }
}

/// Inference of an ImageNet network.
const fn infer(name: &'static str, model: &'static str, batch: usize, runs: usize, bars: [f64; 2]) -> Row {
    Row { name, spec: model, model, size: 224, classes: 1000, batch, train: false, bf16: false, runs, bars }
}

const fn bf16(name: &'static str, row: Row, bars: [f64; 2]) -> Row {
    Row { name, bf16: true, bars, ..row }
}

const RESNET50_B1: Row = infer("resnet50-infer-b1-f32", "resnet50", 1, 20, [1.12, 1.3]);
const RESNET50_B16: Row = infer("resnet50-infer-b16-f32", "resnet50", 16, 7, [1.12, 1.3]);

const RESNET20: Row = Row {
    name: "resnet20-train-b128-f32",
    spec: "resnet20",
    model: "resnet20",
    size: 32,
    classes: 10,
    batch: 128,
    train: true,
    bf16: false,
    runs: 20,
    bars: [1.6, 2.3],
};

const NOTEBOOK: Row = Row {
    name: "resnet50-32-train-b64-f32",
    spec: "notebook-resnet50-cifar10",
    model: "resnet50",
    batch: 64,
    runs: 9,
    bars: [1.8, 2.6],
    ..RESNET20
};

const RESNET50_TRAIN: Row =
    Row { name: "resnet50-train-b8-f32", train: true, batch: 8, runs: 5, bars: [1.25, 1.5], ..RESNET50_B1 };

/// The whole table.
pub const ROWS: &[Row] = &[
    RESNET50_B1,
    RESNET50_B16,
    bf16("resnet50-infer-b1-bf16", RESNET50_B1, [1.0, 1.1]),
    bf16("resnet50-infer-b16-bf16", RESNET50_B16, [1.0, 1.1]),
    infer("resnet18-infer-b1-f32", "resnet18", 1, 30, [1.35, 1.8]),
    infer("resnet34-infer-b1-f32", "resnet34", 1, 20, [1.35, 1.8]),
    infer("resnet101-infer-b1-f32", "resnet101", 1, 10, [1.12, 1.3]),
    infer("resnet152-infer-b1-f32", "resnet152", 1, 10, [1.12, 1.3]),
    RESNET20,
    bf16("resnet20-train-b128-bf16", RESNET20, [1.5, 2.0]),
    NOTEBOOK,
    bf16("resnet50-32-train-b64-bf16", NOTEBOOK, [1.8, 2.6]),
    RESNET50_TRAIN,
    bf16("resnet50-train-b8-bf16", RESNET50_TRAIN, [1.15, 1.5]),
];

/// Our resident memory over the peer's in training: at most, and aimed at.
pub const MEMORY_BARS: [f64; 2] = [0.6, 0.4];
