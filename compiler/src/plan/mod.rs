//! The plan: what an executor runs. A flat list of kernel steps over planned memory; no graph, no text, no names to
//! look up while it runs.
//!
//! Memory has a few [`Region`]s. [`Region::Arena`] holds what lives within one run, at offsets computed from lifetimes;
//! the other regions persist between runs. Several plans of one network (the full batch and the last, partial one)
//! have identical persistent regions, so they can share them.

mod arena;
mod bounds;
mod buffer;
mod build;
mod in_place;
pub mod kernel;
mod liveness;
pub mod print;
pub mod reductions;
pub mod shards;
mod slices;
mod storage;
pub mod verify;

pub(crate) use arena::align;
pub use buffer::{Buffer, BufferId, Region, Shard, Slice};
pub use kernel::Kernel;
pub use kernel::geometry::{
    BlurGeometry, ConvGeometry, DropGeometry, GroupGeometry, LossGeometry, PadGeometry, PoolGeometry,
};
pub use kernel::operand::{Content, Operand, Operands};

use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Layouts};
use crate::ir::graph::Mode;
use crate::ir::init::Init;
use crate::ir::persistent::{Recipe, Role};
use crate::ir::ranks::Ranks;
use crate::ir::types::DType;

/// Alignment of the CPU's buffers, in bytes: a cache line, and a 512-bit vector.
pub use crate::backend::CACHE_LINE as ALIGN;

/// Before the names of a scaled loss' tensors.
pub const LOSS_SCALE: &str = "loss_scale.";

/// The optimizer's tensor that holds the sum of gradients over the batches of an update.
pub const GRADIENT_SUM: &str = "gradient_sum";

/// The optimizer's tensor that holds an average of the parameter over updates; before the names of averaged running statistics.
pub const AVERAGE: &str = "average";

/// One kernel call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the node it came from.
    pub name: String,
    /// What to compute.
    pub kernel: Kernel,
    /// Read (and, where the kernel's doc says so, updated) buffers.
    pub inputs: Vec<BufferId>,
    /// Written buffers. May lie exactly on an input where the kernel's doc allows it.
    pub outputs: Vec<BufferId>,
}

impl Step {
    /// The kernel's operands.
    ///
    /// # Panics
    /// Where the kernel's sizes contradict each other: [`Plan::check_memory`] finds such steps.
    pub fn operands(&self) -> Operands {
        self.kernel.operands().unwrap_or_else(|| panic!("`{}`: sizes that contradict each other", self.name))
    }

    /// All buffers, inputs first, in the order of [`Operands::all`].
    pub fn buffers(&self) -> impl Iterator<Item = BufferId> {
        self.inputs.iter().chain(&self.outputs).copied()
    }
}

/// A persistent tensor: how it starts and how it is loaded and saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// Its buffer, in [`Region::Params`] or [`Region::State`]; the buffer's name is the tensor's in checkpoints.
    pub buffer: BufferId,
    /// What it is.
    pub role: Role,
    /// First values.
    pub init: Init,
    /// Where its values come from when weights are loaded.
    pub recipe: Recipe,
    /// Names of its own rule's tensors of state, where a plan has more rules than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Vec<String>>,
}

/// Bytes of each region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RegionSizes {
    /// Peak of the arena.
    pub arena: usize,
    /// Parameters. Their gradients, and each tensor of the optimizer's state that is not cut over ranks ([`Plan::shards`]), have the same
    /// size, frozen ones aside.
    pub params: usize,
    /// Those at the end of them that are not trained: they have neither gradients nor state.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub frozen: usize,
    /// Running statistics, their averages, and the state of a scaled loss.
    pub state: usize,
    /// What changes from step to step: see [`Controls`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub control: usize,
}

fn cache_line() -> usize {
    Backend::CPU.align
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

fn channels_innermost() -> Layouts {
    Backend::CPU.layouts
}

fn is_zero(bytes: &usize) -> bool {
    *bytes == 0
}

/// Values in [`Region::Control`] that whoever runs the plan writes before a step; those that no kernel reads are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Controls {
    /// The learning rate, one `f32`.
    pub rate: Option<BufferId>,
    /// The number of the step from the training's start, one `u64`.
    pub step: Option<BufferId>,
    /// The training's seed, one `u64`.
    pub seed: Option<BufferId>,
    /// Where several batches make one update: its number from the training's start, one `u64`. Elsewhere that of the step is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<BufferId>,
    /// The share of the batch's images among those of its update, one `f32`; of a synchronisation, that of the rank's images among all that
    /// were since the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<BufferId>,
    /// What an average of the weights keeps of itself, one `f32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decay: Option<BufferId>,
    /// The factors of the classes in the loss, `[classes]` of `f32`: those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<BufferId>,
}

impl Controls {
    /// Those that are there.
    pub fn all(&self) -> impl Iterator<Item = BufferId> {
        let own = [self.rate, self.step, self.seed, self.update, self.share, self.decay, self.class_weights];
        own.into_iter().flatten()
    }
}

/// An executable network for one batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the network.
    pub name: String,
    /// Inference or training.
    pub mode: Mode,
    /// Every buffer lies at a multiple of that many bytes, slices aside.
    #[serde(default = "cache_line")]
    pub align: usize,
    /// Orders in memory of maps and weights.
    #[serde(default = "channels_innermost")]
    pub layouts: Layouts,
    /// Whether devices may round the factors of what multiplies in `f32` to TF32.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tf32: bool,
    /// Whether devices have to compute it in ways that give the same bits each time.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub deterministic: bool,
    /// Processes that share the training, each with a batch of its own; nothing where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Ranks>,
    /// Images per run.
    pub batch: usize,
    /// Bytes of each region.
    pub sizes: RegionSizes,
    /// All tensors.
    pub buffers: Vec<Buffer>,
    /// What to run, in order.
    pub steps: Vec<Step>,
    /// Persistent tensors, in the order of the graph.
    pub slots: Vec<Slot>,
    /// The images: logical `[n, c, h, w]`.
    pub input: BufferId,
    /// The classes; in training only.
    pub labels: Option<BufferId>,
    /// Of a training on mixed images: the classes of what each is mixed with, and the shares of the images themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partners: Option<[BufferId; 2]>,
    /// Of a training that learns from another network: its logits, `[n, classes]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<BufferId>,
    /// The factors of the classes in the loss; empty where no kernel reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_weights: Vec<f32>,
    /// What changes from step to step.
    #[serde(default)]
    pub controls: Controls,
    /// Names of the optimizer's tensors of state, one of each per trained parameter: the tensor `i` of a parameter lies in
    /// [`Region::Optimizer`]`(i)` at the parameter's offset, in its shape and layout. Empty in inference.
    /// Where rules differ, those of all of them share the first ones: `momentum_buffer|exp_avg`.
    #[serde(default)]
    pub optimizer: Vec<String>,
    /// Where the optimizer's state is cut over the ranks: the spans of the trained parameters, in the order in which they lie. Empty where
    /// each rank has all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<Shard>,
    /// Named results: `logits`; in training also `loss` and `correct`.
    pub outputs: Vec<(String, BufferId)>,
}

/// Channels of a map `[n, c, h, w]`.
fn channels(buffer: &Buffer) -> usize {
    buffer.shape.0.get(1).copied().unwrap_or(0)
}

impl Plan {
    /// The buffer behind an id.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0 as usize]
    }

    /// What is written before each run, [`Plan::controls`] aside: images, labels, what images are mixed with, and a
    /// teacher's logits.
    pub fn fed(&self) -> impl Iterator<Item = BufferId> {
        [self.input]
            .into_iter()
            .chain(self.labels)
            .chain(self.partners.into_iter().flatten())
            .chain(self.teacher)
    }

    /// What convolutions and linear layers multiply in.
    pub fn precision(&self) -> DType {
        let geometries = self.steps.iter().filter_map(|step| step.kernel.conv_geometry());
        geometries
            .map(|geometry| geometry.precision)
            .find(|precision| precision.is_narrow())
            .unwrap_or(DType::F32)
    }

    /// The optimizer's tensors of a trained parameter: number, name, and the buffer it would be if nothing were cut over ranks. Nothing
    /// for running statistics.
    pub fn optimizer_tensors<'a>(&'a self, slot: &'a Slot) -> impl Iterator<Item = (u8, &'a str, Buffer)> {
        let param = self.buffer(slot.buffer);
        let trained =
            slot.role.trained() && param.offset + param.bytes <= self.sizes.params - self.sizes.frozen;
        let names = (0..).zip(&self.optimizer).filter(move |_| trained);
        let own = |(index, name): (u8, &'a String)| match &slot.state {
            Some(state) if ![GRADIENT_SUM, AVERAGE].contains(&name.as_str()) => {
                state.get(usize::from(index)).map(|name| (index, name))
            }
            _ => Some((index, name)),
        };
        names.filter_map(own).map(|(index, name)| {
            let buffer = Buffer { region: Region::Optimizer(index), live: None, ..param.clone() };
            (index, name.as_str(), buffer)
        })
    }

    /// Elements between the last channel of a pixel and the first of the next: 0 for all but slices.
    pub fn gap(&self, id: BufferId) -> usize {
        let buffer = self.buffer(id);
        buffer.slice.map_or(0, |slice| channels(self.buffer(slice.of)) - channels(buffer))
    }

    /// `channels 64..96 of stage1.concat`, of a slice.
    pub fn slice_text(&self, buffer: &Buffer) -> Option<String> {
        let Slice { of, start } = buffer.slice?;
        Some(format!("channels {start}..{} of {}", start + channels(buffer), self.buffer(of).name))
    }

    /// Bytes that a step reads and writes if each of its buffers passes through memory once.
    pub fn traffic(&self, step: &Step) -> usize {
        step.inputs.iter().chain(&step.outputs).map(|&id| self.buffer(id).bytes).sum()
    }

    /// The input of the step `index` that its output lies on.
    pub fn overwritten(&self, index: usize, output: BufferId) -> Option<&Buffer> {
        let to = self.buffer(output);
        let on = |from: &&Buffer| (from.region, from.offset) == (to.region, to.offset);
        let dies = |from: &&Buffer| from.live.is_some_and(|(_, last)| last == index);
        self.steps[index].inputs.iter().map(|&id| self.buffer(id)).filter(dies).find(on)
    }

    /// The buffer of a named result.
    pub fn output(&self, name: &str) -> Option<BufferId> {
        self.outputs.iter().find(|(n, _)| n == name).map(|&(_, id)| id)
    }
}
