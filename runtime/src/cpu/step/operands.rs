//! The buffers of a step, as its kernel names them.

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{BufferId, Kernel, Operand, Plan, Region, Step};

use crate::cpu::maps::{MapDst, MapSrc, Rows};
use crate::cpu::memory::{Dst, Src};
use crate::cpu::simd::Element;

/// Where the regions lie during a run.
pub(in crate::cpu) struct Bases {
    /// First byte and size of each region, in the order of [`region_index`].
    pub regions: [(*mut u8, usize); REGIONS],
    /// This process's number among those that share a training: of what is cut over them, which part is its own.
    pub rank: usize,
}

/// Tensors of an optimizer's state that there is room for: AdamW has two; sums of accumulated gradients and averages are further ones.
pub(in crate::cpu) const OPTIMIZER_REGIONS: usize = 4;
/// Number of regions.
pub(in crate::cpu) const REGIONS: usize = 5 + OPTIMIZER_REGIONS;

/// All regions, in the order of the device's memory; the arena first.
pub(in crate::cpu) const ALL_REGIONS: [Region; REGIONS] = [
    Region::Arena,
    Region::Params,
    Region::Grads,
    Region::Optimizer(0),
    Region::Optimizer(1),
    Region::Optimizer(2),
    Region::Optimizer(3),
    Region::State,
    Region::Control,
];

/// Position of a region in the device's memory.
pub(in crate::cpu) fn region_index(region: Region) -> usize {
    ALL_REGIONS.iter().position(|&known| known == region).expect("loading has checked the plan's regions")
}

/// The buffers of a step by the names that its kernel's operand table gives them, looked up once when the plan is loaded.
pub(in crate::cpu) struct Bound {
    inputs: Vec<(&'static str, BufferId)>,
    outputs: Vec<(&'static str, BufferId)>,
    /// Whether the maps that may be stored as bf16 are, where they are one group: the only narrow type here.
    narrow: bool,
}

impl Bound {
    /// Of a step that `Plan::check_memory` has found sound.
    pub fn new(plan: &Plan, step: &Step) -> Self {
        let operands = step.operands();
        let names = |operands: &[Operand], ids: &[BufferId]| {
            operands.iter().map(|operand| operand.name).zip(ids.iter().copied()).collect()
        };
        let first_map = step.buffers().zip(operands.all()).find(|(_, operand)| operand.narrow == Some(0));
        Bound {
            narrow: first_map.is_some_and(|(id, _)| plan.buffer(id).dtype == DType::Bf16),
            inputs: names(&operands.inputs, &step.inputs),
            outputs: names(&operands.outputs, &step.outputs),
        }
    }
}

fn find(names: &[(&'static str, BufferId)], name: &str) -> Option<BufferId> {
    names.iter().find(|(known, _)| *known == name).map(|&(_, id)| id)
}

/// Operands of a step by name: views into the regions. All have been checked against the kernel's table at load.
pub(in crate::cpu) struct Operands<'a> {
    bases: &'a Bases,
    plan: &'a Plan,
    step: &'a Step,
    bound: &'a Bound,
}

impl<'a> Operands<'a> {
    pub fn new(bases: &'a Bases, plan: &'a Plan, step: &'a Step, bound: &'a Bound) -> Self {
        Operands { bases, plan, step, bound }
    }

    fn read_id(&self, name: &str) -> BufferId {
        find(&self.bound.inputs, name).unwrap_or_else(|| panic!("{} has no input {name}", self.step.name))
    }

    fn written_id(&self, name: &str) -> BufferId {
        find(&self.bound.outputs, name).unwrap_or_else(|| panic!("{} has no output {name}", self.step.name))
    }

    /// First byte, and bytes to the end of the last pixel.
    fn place(&self, id: BufferId) -> (*mut u8, usize) {
        let buffer = self.plan.buffer(id);
        let (base, len) = self.bases.regions[region_index(buffer.region)];
        let offset = buffer.offset_on(self.bases.rank);
        debug_assert!(offset + buffer.bytes <= len);
        // SAFETY: `Plan::check_memory` has found the buffer, on any rank, inside of its region.
        let first = unsafe { base.add(offset) };
        let pixels = buffer.shape.nchw().map_or(1, |[n, _, h, w]| n * h * w);
        (first, buffer.bytes + pixels.saturating_sub(1) * self.plan.gap(id) * buffer.dtype.size())
    }

    /// Rows and channels of the operands of a step over `len` elements. Rows matter to slices alone, which are maps.
    pub fn matrix(&self, len: usize) -> [usize; 2] {
        let mut operands = self.step.inputs.iter().map(|&id| self.plan.buffer(id));
        let channels = operands.find(|b| b.slice.is_some()).and_then(|b| b.shape.0.get(1).copied());
        let channels = channels.unwrap_or(len).max(1);
        [len / channels, channels]
    }

    /// An input with the gaps between its pixels.
    pub fn rows<E: Element>(&self, name: &str) -> Rows<'a, E> {
        let id = self.read_id(name);
        Rows { view: self.read(id), gap: self.plan.gap(id) }
    }

    /// Elements between the pixels of an output.
    pub fn output_gap(&self, name: &str) -> usize {
        self.plan.gap(self.written_id(name))
    }

    /// Whether its maps that may be stored as bf16 are.
    pub fn is_narrow(&self) -> bool {
        self.bound.narrow
    }

    /// What the step computes.
    pub fn kernel(&self) -> &'a Kernel {
        &self.step.kernel
    }

    fn read<T: bytemuck::Pod>(&self, id: BufferId) -> Src<'a, T> {
        let (ptr, bytes) = self.place(id);
        // SAFETY: inside of its region and aligned to a cache line; the device is borrowed while it runs.
        unsafe { Src::new(ptr.cast(), bytes / size_of::<T>()) }
    }

    fn write<T: bytemuck::Pod>(&self, id: BufferId) -> Dst<'a, T> {
        let (ptr, bytes) = self.place(id);
        // SAFETY: as in `read`.
        unsafe { Dst::new(ptr.cast(), bytes / size_of::<T>()) }
    }

    /// An input.
    pub fn input<T: bytemuck::Pod>(&self, name: &str) -> Src<'a, T> {
        self.read(self.read_id(name))
    }

    /// An input that may be absent.
    pub fn optional<T: bytemuck::Pod>(&self, name: &str) -> Option<Src<'a, T>> {
        find(&self.bound.inputs, name).map(|id| self.read(id))
    }

    /// The input of that number, of kernels with any number of them.
    pub fn part<T: bytemuck::Pod>(&self, index: usize) -> Src<'a, T> {
        self.read(self.step.inputs[index])
    }

    /// An input of one element.
    pub fn value<T: bytemuck::Pod>(&self, name: &str) -> T {
        self.input::<T>(name).get(0)
    }

    /// An input that is updated in place.
    pub fn update(&self, name: &str) -> Dst<'a, f32> {
        self.write(self.read_id(name))
    }

    /// A map, to be read as it is stored.
    pub fn map(&self, name: &str) -> MapSrc<'a> {
        self.map_of(self.read_id(name))
    }

    /// A map that may be absent.
    pub fn optional_map(&self, name: &str) -> Option<MapSrc<'a>> {
        find(&self.bound.inputs, name).map(|id| self.map_of(id))
    }

    fn map_of(&self, id: BufferId) -> MapSrc<'a> {
        match self.plan.buffer(id).dtype {
            DType::Bf16 => MapSrc::Bf16(self.read(id)),
            _ => MapSrc::F32(self.read(id)),
        }
    }

    /// An output, a map as it is to be stored.
    pub fn output_map(&self, name: &str) -> MapDst<'a> {
        let id = self.written_id(name);
        match self.plan.buffer(id).dtype {
            DType::Bf16 => MapDst::Bf16(self.write(id)),
            _ => MapDst::F32(self.write(id)),
        }
    }

    /// An output.
    pub fn output<T: bytemuck::Pod>(&self, name: &str) -> Dst<'a, T> {
        self.write(self.written_id(name))
    }

    /// An output that may be absent.
    pub fn optional_output<T: bytemuck::Pod>(&self, name: &str) -> Option<Dst<'a, T>> {
        find(&self.bound.outputs, name).map(|id| self.write(id))
    }
}
