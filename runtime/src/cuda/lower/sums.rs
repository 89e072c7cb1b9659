//! Sums that convolutions leave for the statistics behind them, so that these need no pass over the map.
//!
//! They lie at the beginning of the scratch memory, before what each step needs for itself, from the convolution's step to the
//! statistics'. Only narrow maps have them: without a pivot, cancellation costs digits that `f32` would miss (`bn_stats_of_sums`), and
//! engines that multiply `f32` as such have no sums.

use std::collections::{BTreeMap, BTreeSet};

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::kernel::BnStats;
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Step};

use super::scratch::Scratch;
use crate::cuda::launch::{Arg, Base, Launch, Place, count};
use crate::error::Result;

/// Statistics of a map, which a convolution's sums would serve.
#[derive(Clone, Copy)]
pub(super) struct Statistics<'p> {
    /// Their step.
    pub step: &'p Step,
    /// What it does.
    pub kernel: &'p BnStats,
    /// Where sums of the map and of its squares lie.
    pub sums: [Place; 2],
}

/// The sums of a plan.
#[derive(Default)]
pub(super) struct Sums<'p> {
    /// By the map.
    of: BTreeMap<BufferId, Statistics<'p>>,
    /// Maps that are lowered, and whose convolutions leave sums.
    left: BTreeSet<BufferId>,
    /// All memory for sums.
    pub memory: Scratch,
}

impl<'p> Sums<'p> {
    /// With room for those of all narrow maps that convolutions write and statistics are taken of.
    pub fn of(plan: &'p Plan) -> Self {
        let mut sums = Sums::default();
        let convolutions = plan.steps.iter().filter(|step| matches!(step.kernel, Kernel::Conv(_)));
        let convolved: BTreeSet<BufferId> = convolutions.flat_map(|step| &step.outputs).copied().collect();
        for step in &plan.steps {
            let (Kernel::BnStats(kernel), Some(&map)) = (&step.kernel, step.inputs.first()) else { continue };
            let narrow = plan.buffer(map).dtype != DType::F32;
            if narrow && plan.gap(map) == 0 && convolved.contains(&map) {
                let bytes = kernel.channels * DType::F32.size();
                let places = [sums.memory.take(bytes), sums.memory.take(bytes)];
                sums.of.insert(map, Statistics { step, kernel, sums: places });
            }
        }
        sums
    }

    /// The statistics that are taken of a map.
    pub fn wanted(&self, map: BufferId) -> Option<Statistics<'p>> {
        self.of.get(&map).copied()
    }

    /// Where the sums of a map lie, if a convolution has left them.
    pub fn left(&self, map: BufferId) -> Option<[Place; 2]> {
        self.left.get(&map).and_then(|map| self.of.get(map)).map(|statistics| statistics.sums)
    }

    /// Takes down that a convolution leaves the sums of its map. The first one has to set all of them to zero before.
    ///
    /// # Errors
    /// Where there are too many to be counted.
    pub fn leave(&mut self, map: BufferId) -> Result<Option<Launch<Place>>> {
        let is_first = self.left.is_empty();
        self.left.insert(map);
        if !is_first {
            return Ok(None);
        }
        let (first, len) = (Place { base: Base::Scratch, offset: 0 }, self.memory.bytes / DType::F32.size());
        let args = vec![Arg::At(first), Arg::Int(count(len)?)];
        Launch::flat("zero_sums".to_owned(), len, args).map(Some)
    }
}
