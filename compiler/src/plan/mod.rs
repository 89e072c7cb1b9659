//! The plan: what an executor runs. A flat list of kernel steps over planned memory; no graph, no text, no names to
//! look up while it runs.
//!
//! Memory has a few [`Region`]s. [`Region::Arena`] holds what lives within one run, at offsets computed from lifetimes;
//! the other regions persist between runs. Several plans of one network (the full batch and the last, partial one)
//! have identical persistent regions, so they can share them.

mod arena;
mod buffer;
mod geometry;
mod kernel;
mod liveness;
pub mod lower;
mod order;
mod persistent;
pub mod print;
mod slices;
mod storage;
pub mod verify;

pub use buffer::{Buffer, BufferId, Region, Slice};
pub use geometry::{BlurGeometry, ConvGeometry, DropGeometry, GroupGeometry, PadGeometry, PoolGeometry};

use serde::{Deserialize, Serialize};

use crate::ir::graph::Mode;
use crate::ir::op::{Activation, DropPart, Epilogue, Init, Recipe, Role, SgdAttrs};
use crate::ir::types::DType;

/// Alignment of every buffer, in bytes: a cache line, and a 512-bit vector.
pub const ALIGN: usize = 64;

/// What a step computes, with all sizes. A feature map of any size counts as a matrix `[rows, channels]`, rows being
/// pixels of all images. Comments give `inputs -> outputs`, optional ones in brackets; formulas are those of the
/// operators in `ir::op` (linear layers are convolutions of 1x1 images).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// `x, weight [, bias] [, residual] -> y`, may lie on the residual
    Conv {
        /// Sizes.
        geometry: ConvGeometry,
        /// Whether there is a bias.
        bias: bool,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// `dy, weight [, residual] -> dx`, may lie on the residual
    ConvBackwardData {
        /// Sizes of the forward convolution.
        geometry: ConvGeometry,
        /// Whether a further gradient is added.
        residual: bool,
    },
    /// `x, dy -> dweight`
    ConvBackwardFilter {
        /// Sizes of the forward convolution.
        geometry: ConvGeometry,
    },
    /// `dy [rows, channels] -> db [channels]`
    ChannelSum {
        /// Pixels of all images.
        rows: usize,
        /// Channels.
        channels: usize,
    },
    /// `x, running_mean, running_var -> mean, rstd`; updates the running statistics in place.
    BnStats {
        /// Pixels of all images.
        rows: usize,
        /// Channels.
        channels: usize,
        /// Added to the variance.
        eps: f32,
        /// Weight of the batch in the running statistics.
        momentum: f32,
    },
    /// `x, mean, rstd, scale, shift [, residual] -> y`, may be in place
    BnApply {
        /// Pixels of all images.
        rows: usize,
        /// Channels.
        channels: usize,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// First pass of the gradient: `dy, x, mean, rstd [, scale, shift | , y] -> dscale, dshift`. Where the epilogue has an
    /// activation, `dy` is masked by what that was applied to, computed anew ([`Epilogue::recomputes_sign`]), or by its result.
    BnBackwardReduce {
        /// Pixels of all images.
        rows: usize,
        /// Channels.
        channels: usize,
        /// Of the forward operator.
        epilogue: Epilogue,
    },
    /// Second pass: `dy, x, mean, rstd, scale, dscale, dshift [, shift | , y] -> dx [, dresidual]`. Outputs may be `dy` or `x` in place.
    BnBackwardApply {
        /// Pixels of all images.
        rows: usize,
        /// Channels.
        channels: usize,
        /// Of the forward operator.
        epilogue: Epilogue,
    },
    /// `x -> mean, rstd`, both `[images, groups]`
    GroupStats {
        /// Sizes.
        geometry: GroupGeometry,
        /// Added to the variance.
        eps: f32,
    },
    /// `x, mean, rstd, scale, shift [, residual] -> y`, may be in place
    GroupApply {
        /// Sizes.
        geometry: GroupGeometry,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// First pass of the gradient: `dy, x, mean, rstd, scale [, y] -> dscale, dshift, slope, offset`, the last two
    /// `[images, groups]`: means over a group of `s * xhat` and of `s`, with `s = scale * dy`. `y` is there when `act` is,
    /// and masks `dy`.
    GroupBackwardReduce {
        /// Sizes.
        geometry: GroupGeometry,
        /// Activation behind the normalisation.
        act: Option<Activation>,
    },
    /// Second pass: `dy, x, mean, rstd, scale, slope, offset [, y] -> dx [, dresidual]`. Outputs may be `dy` or `x` in
    /// place.
    GroupBackwardApply {
        /// Sizes.
        geometry: GroupGeometry,
        /// Of the forward operator.
        epilogue: Epilogue,
    },
    /// `x, scale, shift [, residual] -> y`, may be in place
    Affine {
        /// Pixels of all images.
        rows: usize,
        /// Channels.
        channels: usize,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// `x -> y`, may be in place
    Activate {
        /// Elements.
        len: usize,
        /// Which one.
        act: Activation,
    },
    /// `dy, y -> dx`, may be in place; `y` is the activation's result or its input, as `Activation::grad_from` says
    ActivateBackward {
        /// Elements.
        len: usize,
        /// Which one.
        act: Activation,
    },
    /// `a, b -> a + b`, then the activation; may be in place. Either may be a slice of a wider map.
    Add {
        /// Elements.
        len: usize,
        /// Applied to the sum.
        act: Option<Activation>,
    },
    /// `a, b [, residual] -> y`: the product of `a [images, pixels, channels]` with `b` of the same size or, where
    /// `gate`, `[images, channels]`; may be in place
    Mul {
        /// Batch.
        images: usize,
        /// Rows times columns.
        pixels: usize,
        /// Channels.
        channels: usize,
        /// Whether `b` has one element per image and channel.
        gate: bool,
        /// Applied before the store.
        epilogue: Epilogue,
    },
    /// `dy, a, b [, y] -> da, db [, dresidual]`, all in one pass; `y` is there when the epilogue has an activation, and
    /// masks `dy`. Outputs may be inputs of their size in place.
    MulBackward {
        /// Batch.
        images: usize,
        /// Rows times columns.
        pixels: usize,
        /// Channels.
        channels: usize,
        /// Whether `b` has one element per image and channel.
        gate: bool,
        /// Of the forward operator.
        epilogue: Epilogue,
    },
    /// `x -> scale * x + shift`, may be in place
    ScaleShift {
        /// Elements.
        len: usize,
        /// Factor.
        scale: f32,
        /// Summand.
        shift: f32,
    },
    /// `x -> y`, may be in place; the random numbers follow from the run's arguments and the stream
    Drop {
        /// Sizes.
        geometry: DropGeometry,
        /// What is dropped as a whole.
        part: DropPart,
        /// Share that is dropped.
        rate: f32,
        /// Tells the network's random operators apart.
        stream: u64,
    },
    /// `x -> y [, positions]`; positions are `u8`, row-major in the window
    MaxPool {
        /// Sizes.
        geometry: PoolGeometry,
        /// Whether positions are wanted.
        positions: bool,
    },
    /// `dy, positions -> dx`
    MaxPoolBackward {
        /// Sizes of the forward pooling.
        geometry: PoolGeometry,
    },
    /// `x -> y`
    AvgPool {
        /// Sizes.
        geometry: PoolGeometry,
    },
    /// `dy -> dx`
    AvgPoolBackward {
        /// Sizes of the forward pooling.
        geometry: PoolGeometry,
    },
    /// `x [images, pixels, channels] -> y [images, channels]`
    GlobalAvgPool {
        /// Batch.
        images: usize,
        /// Rows times columns.
        pixels: usize,
        /// Channels.
        channels: usize,
    },
    /// `dy [images, channels] -> dx [images, pixels, channels]`
    GlobalAvgPoolBackward {
        /// Batch.
        images: usize,
        /// Rows times columns.
        pixels: usize,
        /// Channels.
        channels: usize,
    },
    /// `x [images, pixels, channels] -> y [images, channels] [, positions]`; positions are pixels as `u32`
    GlobalMaxPool {
        /// Batch.
        images: usize,
        /// Rows times columns.
        pixels: usize,
        /// Channels.
        channels: usize,
        /// Whether positions are wanted.
        positions: bool,
    },
    /// `dy [images, channels], positions -> dx [images, pixels, channels]`
    GlobalMaxPoolBackward {
        /// Batch.
        images: usize,
        /// Rows times columns.
        pixels: usize,
        /// Channels.
        channels: usize,
    },
    /// `x [n, h, w, c] -> y [n, out, out, c]`
    BlurPool(BlurGeometry),
    /// `dy -> dx`
    BlurPoolBackward(BlurGeometry),
    /// `x0 [rows, channels[0]], x1 [rows, channels[1]], ... -> y [rows, their sum]`. What could not be made slices of `y`
    /// to begin with.
    Concat {
        /// Pixels of all images.
        rows: usize,
        /// Channels of each input.
        channels: Vec<usize>,
    },
    /// `x [rows, channels] -> y [rows, taken]`: the channels from `start` on, where they cannot be a slice of `x`
    ChannelSlice {
        /// Pixels of all images.
        rows: usize,
        /// Channels of the input.
        channels: usize,
        /// First channel taken.
        start: usize,
        /// Channels of the output.
        taken: usize,
    },
    /// `x [n, h, w, cin] -> y [n, out, out, cout]`: strided pixels, channels padded with zeros on both sides
    PadShortcut(PadGeometry),
    /// `dy -> dx`
    PadShortcutBackward(PadGeometry),
    /// `logits -> probabilities`
    Softmax {
        /// Images.
        rows: usize,
        /// Classes.
        classes: usize,
    },
    /// `logits, labels -> loss, correct`, both single `f32`
    CrossEntropy {
        /// Images.
        rows: usize,
        /// Classes.
        classes: usize,
        /// Label smoothing.
        smoothing: f32,
    },
    /// `logits, labels -> dlogits`
    CrossEntropyBackward {
        /// Images.
        rows: usize,
        /// Classes.
        classes: usize,
        /// Label smoothing.
        smoothing: f32,
    },
    /// `param, grad, velocity -> ` (in place: `param` and `velocity`). Buffers may span many parameters that lie side by
    /// side with the same constants, padding between them included.
    SgdUpdate {
        /// Elements.
        len: usize,
        /// Constants.
        sgd: SgdAttrs,
    },
}

/// Position of a buffer among those of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Among the inputs.
    Input(usize),
    /// Among the outputs.
    Output(usize),
}

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
}

/// Bytes of each region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RegionSizes {
    /// Peak of the arena.
    pub arena: usize,
    /// Parameters (gradients and velocity have the same size in a training plan, none otherwise).
    pub params: usize,
    /// Running statistics.
    pub state: usize,
}

/// An executable network for one batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the network.
    pub name: String,
    /// Inference or training.
    pub mode: Mode,
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

    /// What convolutions and linear layers multiply in.
    pub fn precision(&self) -> DType {
        let geometry = |step: &Step| match &step.kernel {
            Kernel::Conv { geometry, .. } => Some(geometry.precision),
            _ => None,
        };
        let rounded = self.steps.iter().filter_map(geometry).any(|precision| precision == DType::Bf16);
        if rounded { DType::Bf16 } else { DType::F32 }
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
