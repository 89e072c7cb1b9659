//! Plans in the making: how the lowering adds buffers, and what it hands over to the planner.

use std::ops::Range;

use super::arena::align;
use super::{Buffer, BufferId, Plan, Region, RegionSizes, Shard, liveness, slices, storage};
use crate::backend::Backend;
use crate::ir::graph::Mode;
use crate::ir::types::{DType, TensorType};

impl Plan {
    /// A plan without steps.
    pub(crate) fn new(name: &str, mode: Mode, backend: &Backend) -> Self {
        Plan {
            name: name.to_owned(),
            mode,
            align: backend.align,
            layouts: backend.layouts,
            tf32: false,
            deterministic: true,
            ranks: None,
            batch: 0,
            sizes: RegionSizes::default(),
            buffers: Vec::new(),
            steps: Vec::new(),
            slots: Vec::new(),
            input: BufferId(0),
            labels: None,
            partners: None,
            teacher: None,
            class_weights: Vec::new(),
            controls: super::Controls::default(),
            optimizer: Vec::new(),
            shards: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Decides what is a slice, what is stored in a narrow type, and where everything in the arena lies, once all steps are there.
    /// Buffers of a pair in `alike` are stored in one type.
    pub(crate) fn place(&mut self, backend: &Backend, alike: &[[BufferId; 2]]) {
        if backend.slices {
            slices::remove_copies(self);
        }
        storage::choose(self, backend, alike);
        self.sizes.arena = liveness::plan_arena(self, backend);
    }

    /// Adds a buffer of a type; the planner fills in lifetimes and offsets of the arena's later.
    pub(crate) fn add_buffer(
        &mut self,
        name: String,
        ty: &TensorType,
        region: Region,
        offset: usize,
    ) -> BufferId {
        let id = BufferId(u32::try_from(self.buffers.len()).expect("a plan has fewer than 2^32 buffers"));
        self.buffers.push(Buffer {
            name,
            shape: ty.shape.clone(),
            dtype: ty.dtype,
            layout: ty.layout,
            region,
            offset,
            bytes: ty.bytes().expect("the verifier bounds sizes"),
            live: None,
            slice: None,
            span: None,
        });
        id
    }

    /// Cuts a span of the parameters, behind those that are cut already, over so many ranks.
    pub(crate) fn add_shard(&mut self, span: Range<usize>, ranks: usize) -> Shard {
        let shard = Shard::cut(span, ranks, self.align, self.sharded_bytes());
        self.shards.push(shard);
        shard
    }

    /// Adds each rank's part of a span that is cut; a vector of `f32`.
    pub(crate) fn add_part(&mut self, name: String, region: Region, shard: &Shard) -> BufferId {
        let ty = TensorType::f32([shard.bytes / DType::F32.size()]);
        let id = self.add_buffer(name, &ty, region, shard.offset);
        self.buffers[id.0 as usize].span = Some(shard.span);
        id
    }

    /// The learning rate's buffer.
    pub(crate) fn rate(&mut self) -> BufferId {
        let rate = self.controls.rate.unwrap_or_else(|| self.add_control("rate", &scalar(DType::F32)));
        *self.controls.rate.insert(rate)
    }

    /// The buffer of the step's number.
    pub(crate) fn step_number(&mut self) -> BufferId {
        let step = self.controls.step.unwrap_or_else(|| self.add_control("step", &scalar(DType::U64)));
        *self.controls.step.insert(step)
    }

    /// The seed's buffer.
    pub(crate) fn seed(&mut self) -> BufferId {
        let seed = self.controls.seed.unwrap_or_else(|| self.add_control("seed", &scalar(DType::U64)));
        *self.controls.seed.insert(seed)
    }

    /// The buffer of the update's number.
    pub(crate) fn update_number(&mut self) -> BufferId {
        let update = self.controls.update.unwrap_or_else(|| self.add_control("update", &scalar(DType::U64)));
        *self.controls.update.insert(update)
    }

    /// The buffer of the batch's share of the update.
    pub(crate) fn share(&mut self) -> BufferId {
        let share = self.controls.share.unwrap_or_else(|| self.add_control("share", &scalar(DType::F32)));
        *self.controls.share.insert(share)
    }

    /// The buffer of what an average keeps of itself.
    pub(crate) fn decay(&mut self) -> BufferId {
        let decay = self.controls.decay.unwrap_or_else(|| self.add_control("decay", &scalar(DType::F32)));
        *self.controls.decay.insert(decay)
    }

    /// The buffer of the classes' factors, which are these.
    pub(crate) fn class_weights(&mut self, weights: &[f32]) -> BufferId {
        self.class_weights = weights.to_vec();
        let ty = TensorType::f32([weights.len()]);
        let buffer = self.controls.class_weights.unwrap_or_else(|| self.add_control("class_weights", &ty));
        *self.controls.class_weights.insert(buffer)
    }

    fn add_control(&mut self, name: &str, ty: &TensorType) -> BufferId {
        let id = self.add_buffer(name.to_owned(), ty, Region::Control, self.sizes.control);
        self.sizes.control = align(self.sizes.control + self.buffer(id).bytes, self.align);
        id
    }
}

fn scalar(dtype: DType) -> TensorType {
    TensorType { dtype, ..TensorType::f32([]) }
}
