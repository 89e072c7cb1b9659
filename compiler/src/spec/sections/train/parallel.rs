//! Trainings that several processes share: what they do alike, and what their number changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::ir::ranks::{is_one, one};
use crate::ir::types::DType;
use crate::ir::update::UpdateRule;
use crate::spec::yaml::fields::Fields;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Section, Shape};

/// Keys of the section.
pub const PARALLEL: Section = Section {
    what: "`parallel`",
    keys: &[
        Key::new(
            "sync_bn",
            Shape::Flag,
            "Whether batch normalisation takes its statistics from the images of all processes.",
        )
        .default("false"),
        Key::new(
            "scale_lr",
            Shape::Word(&["none", "linear", "sqrt"]),
            "What the learning rate is multiplied with: `linear` takes the number of processes, `sqrt` its root.",
        )
        .default("none"),
        Key::new(
            "gradients",
            Shape::Word(&["f32", "bf16"]),
            "What gradients are sent as; they are summed in `f32`.",
        )
        .default("f32"),
        Key::new(
            "shard_optimizer",
            Shape::Flag,
            "Whether each process keeps a part of the optimizer's state alone, and updates the parameters that it belongs to (ZeRO stage 1).",
        )
        .default("false"),
        Key::new(
            "sync_every",
            Shape::Count(1, 1 << 24),
            "Updates that each process makes by its own gradients before the weights become the mean of all; with 1 gradients are summed.",
        )
        .default("1"),
    ],
};

/// What a learning rate is multiplied with where several processes train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleLr {
    /// Nothing: it stays what the spec says.
    #[default]
    None,
    /// The number of processes (Goyal et al. 2017).
    Linear,
    /// The root of it (Krizhevsky 2014).
    Sqrt,
}

impl ScaleLr {
    /// The factor of so many processes.
    pub fn factor(self, ranks: usize) -> f32 {
        match self {
            ScaleLr::None => 1.0,
            ScaleLr::Linear => ranks as f32,
            ScaleLr::Sqrt => (ranks as f32).sqrt(),
        }
    }

    /// As specs spell it.
    pub fn word(self) -> &'static str {
        match self {
            ScaleLr::None => "none",
            ScaleLr::Linear => "linear",
            ScaleLr::Sqrt => "sqrt",
        }
    }
}

/// How processes that share a training do it; `batch_size` is each one's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parallel {
    /// Whether batch normalisation takes its statistics from the images of all of them.
    pub sync_bn: bool,
    /// What their number does to the learning rate.
    pub scale_lr: ScaleLr,
    /// What gradients are sent as.
    pub wire: DType,
    /// Whether each of them keeps a part of the optimizer's state alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shard_optimizer: bool,
    /// Updates from one mean of the weights to the next (local SGD; Stich 2019); 1 where gradients are summed in each of them.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub sync_every: usize,
}

impl Default for Parallel {
    fn default() -> Self {
        Parallel {
            sync_bn: false,
            scale_lr: ScaleLr::None,
            wire: DType::F32,
            shard_optimizer: false,
            sync_every: 1,
        }
    }
}

impl Parallel {
    /// Whether nothing was asked for.
    pub fn is_default(&self) -> bool {
        *self == Parallel::default()
    }
}

/// As specs spell it.
impl fmt::Display for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parallel { sync_bn, scale_lr, wire, shard_optimizer, sync_every } = self;
        write!(f, "{{sync_bn: {sync_bn}, scale_lr: {}, gradients: {wire}", scale_lr.word())?;
        if *shard_optimizer {
            write!(f, ", shard_optimizer: true")?;
        }
        if *sync_every > 1 {
            write!(f, ", sync_every: {sync_every}")?;
        }
        f.write_str("}")
    }
}

/// What a spec asks for, of a training with that optimizer.
pub fn read(reader: &mut Reader<'_>, node: &Node, optimizer: &UpdateRule) -> Parallel {
    let fields = Fields::read(reader, Some(node), &PARALLEL);
    let scale_lr = match fields.word(reader, "scale_lr", "rule of the learning rate") {
        "linear" => ScaleLr::Linear,
        "sqrt" => ScaleLr::Sqrt,
        _ => ScaleLr::None,
    };
    let narrow = fields.word(reader, "gradients", "element type") == "bf16";
    Parallel {
        sync_bn: fields.flag(reader, "sync_bn"),
        scale_lr,
        wire: if narrow { DType::Bf16 } else { DType::F32 },
        shard_optimizer: shard_optimizer(reader, &fields, optimizer),
        sync_every: fields.count(reader, "sync_every").max(1),
    }
}

/// Whether the state is cut, which only rules allow that look at single elements: a part may begin and end within a parameter.
fn shard_optimizer(reader: &mut Reader<'_>, fields: &Fields<'_>, optimizer: &UpdateRule) -> bool {
    let sharded = fields.flag(reader, "shard_optimizer");
    if let Some(node) = fields.get("shard_optimizer").filter(|_| sharded && !optimizer.is_elementwise()) {
        let name = optimizer.name();
        let fault = Diagnostic::error(
            format!("the state of `{name}` cannot be cut over processes: its step needs whole parameters"),
            node.span,
            "asked for here",
        );
        reader.fault(fault.help("take `shard_optimizer` out, or an optimizer whose step looks at single elements: `sgd`, `adamw` or `lion`"));
    }
    sharded
}
