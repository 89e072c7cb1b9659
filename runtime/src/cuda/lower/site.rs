//! A step on its way to calls: its operands by name, the calls so far, memory of its own.

use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{BufferId, Operands, Plan, Step};

use super::fusions::{Fused, Fusions};
use super::masks::Masked;
use super::norms::{Backward, Forward};
use super::scratch::Scratch;
use super::sums::Statistics;
use crate::cuda::driver::Preparer;
use crate::cuda::launch::{Arg, Base, Call, Launch, Place, Prepared, THREADS, count};
use crate::error::{Error, Result};

/// Bytes that a thread moves at once, where it can.
const WIDE: usize = 16;
/// Partial results of a sum over rows, at most: their sum has a thread per channel.
const MAX_PARTS: usize = 256;
/// Rows that a thread adds up at least.
const ROWS_OF_A_THREAD: usize = 8;

/// An operand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Operand {
    pub place: Place,
    pub dtype: DType,
    /// Elements from one pixel to the next.
    pub pitch: usize,
    /// Channels; all elements of a vector.
    pub channels: usize,
    pub numel: usize,
}

impl Operand {
    /// Whether nothing lies between its pixels.
    pub fn packed(&self) -> bool {
        self.pitch == self.channels
    }

    /// Whether vectors of so many elements of its pixels are aligned.
    pub fn aligned(&self, lanes: usize) -> bool {
        let bytes = lanes * self.dtype.size();
        self.place.offset.is_multiple_of(bytes) && self.pitch.is_multiple_of(lanes)
    }
}

/// A step that calls are made for.
pub(super) struct Site<'a> {
    plan: &'a Plan,
    step: &'a Step,
    table: Operands,
    pub preparer: &'a dyn Preparer,
    calls: Vec<Call<Place>>,
    scratch: Scratch,
    fusions: &'a Fusions<'a>,
    /// What its convolution takes in of other steps.
    fused: Option<Fused>,
    /// Operands of a trial, which lie in scratch memory.
    moved: Vec<(BufferId, Place)>,
}

/// What a step came to.
pub(super) struct Made {
    pub calls: Vec<Call<Place>>,
    /// Bytes of scratch memory that they need.
    pub scratch: usize,
    /// What its convolution takes in of other steps.
    pub fused: Option<Fused>,
}

impl<'a> Site<'a> {
    /// Its scratch memory lies behind what is no step's alone.
    pub fn new(plan: &'a Plan, step: &'a Step, preparer: &'a dyn Preparer, fusions: &'a Fusions<'a>) -> Self {
        let (table, calls, moved) = (step.operands(), Vec::new(), Vec::new());
        let scratch = fusions.reserved;
        Site { plan, step, table, preparer, calls, scratch, fusions, fused: None, moved }
    }

    /// Another step of the plan.
    pub fn beside(&self, step: &'a Step) -> Self {
        Site::new(self.plan, step, self.preparer, self.fusions)
    }

    /// Another step, to be measured by itself: all of its operands lie in scratch memory.
    pub fn trial(&self, step: &'a Step) -> Self {
        let mut site = Site { scratch: Scratch::default(), ..self.beside(step) };
        let places = step.buffers().map(|id| (id, site.scratch.take(self.plan.buffer(id).bytes)));
        site.moved = places.collect();
        site
    }

    /// All that it came to.
    pub fn finish(self) -> Made {
        Made { calls: self.calls, scratch: self.scratch.bytes, fused: self.fused }
    }

    fn operand(&self, id: BufferId) -> Operand {
        let buffer = self.plan.buffer(id);
        let numel = buffer.shape.numel().unwrap_or(0);
        let channels = match buffer.shape.0.as_slice() {
            [_, channels, ..] => *channels,
            _ => numel,
        };
        let place = Place { base: Base::Region(buffer.region), offset: buffer.offset };
        let place = self.moved.iter().find(|(moved, _)| *moved == id).map_or(place, |(_, place)| *place);
        Operand { place, dtype: buffer.dtype, pitch: channels + self.plan.gap(id), channels, numel }
    }

    fn buffer(&self, name: &str) -> Option<BufferId> {
        let named = self.table.all().zip(self.step.buffers()).find(|(operand, _)| operand.name == name);
        named.map(|(_, id)| id)
    }

    /// An operand that may be absent.
    pub fn find(&self, name: &str) -> Option<Operand> {
        self.buffer(name).map(|id| self.operand(id))
    }

    /// The statistics that are taken of a map.
    pub fn statistics_of(&self, name: &str) -> Option<Statistics<'a>> {
        self.buffer(name).and_then(|id| self.fusions.sums.wanted(id))
    }

    /// Where the sums of a map lie, if its convolution has left them.
    pub fn sums_of(&self, name: &str) -> Option<[Place; 2]> {
        self.buffer(name).and_then(|id| self.fusions.sums.left(id))
    }

    /// Tells that the step leaves the sums of a map.
    pub fn leave_sums_of(&mut self, name: &str) {
        self.fused = self.buffer(name).map(Fused::Sums);
    }

    /// What masks a gradient in the steps behind this one, with the mask.
    pub fn mask_of(&self, name: &str) -> Option<(Masked<'a>, Operand)> {
        let masked = self.buffer(name).and_then(|id| self.fusions.masks.wanted(id))?;
        Some((masked, self.operand(masked.mask)))
    }

    /// Whether a gradient's convolution has masked it.
    pub fn is_masked(&self, name: &str) -> bool {
        self.buffer(name).is_some_and(|id| self.fusions.masks.has_applied(id))
    }

    /// Tells that the step masks a gradient.
    pub fn apply_mask_of(&mut self, name: &str) {
        self.fused = self.buffer(name).map(Fused::Mask);
    }

    /// The statistics that this mean is one of, and what applies them, where both may be computed at once.
    pub fn norm_of(&self, mean: &str) -> Option<Forward<'a>> {
        self.buffer(mean).and_then(|id| self.fusions.norms.forward(id))
    }

    /// The sums that this gradient of a scale is one of, and the gradient of the map, likewise.
    pub fn norm_gradient_of(&self, dscale: &str) -> Option<Backward<'a>> {
        self.buffer(dscale).and_then(|id| self.fusions.norms.backward(id))
    }

    /// What computes both of such a pair, where that is taken, by the first result of its first step.
    pub fn taken_norm(&self, made: &str) -> Option<Prepared> {
        self.buffer(made).and_then(|id| self.fusions.norms.taken(id, self.step))
    }

    /// Tells that the step leaves its work to the second one of its pair.
    pub fn leave_to_second(&mut self, made: &str, prepared: Prepared) {
        self.fused = self.buffer(made).map(|id| Fused::Norm(id, prepared));
    }

    /// An operand that is always there.
    pub fn get(&self, name: &str) -> Result<Operand> {
        self.find(name).ok_or_else(|| self.fault(&format!("its kernel has no operand `{name}`")))
    }

    /// Places of operands that are always there, with their names.
    pub fn named(&self, names: &[&'static str]) -> Result<Vec<(&'static str, Place)>> {
        names.iter().map(|&name| Ok((name, self.get(name)?.place))).collect()
    }

    /// Whether the spec allows TF32.
    pub fn allows_tf32(&self) -> bool {
        self.plan.tf32
    }

    /// Whether the same bits have to come out each time.
    pub fn is_deterministic(&self) -> bool {
        self.plan.deterministic
    }

    /// Ranks that share the training.
    pub fn ranks(&self) -> usize {
        self.fusions.buckets.ranks
    }

    /// Where a bucket's gradients are sent from, where that is not where they are, and where those of the others go.
    pub fn bucket(&self, bucket: usize) -> (Option<Place>, Place) {
        self.fusions.buckets.memory(bucket)
    }

    /// All inputs, of kernels with any number of them.
    pub fn inputs(&self) -> Vec<Operand> {
        self.step.inputs.iter().map(|&id| self.operand(id)).collect()
    }

    /// An error of this step.
    pub fn fault(&self, why: &str) -> Error {
        Error::Device(format!("cuda: step {} ({}): {why}", self.step.name, self.step.kernel.name()))
    }

    /// A driver's error, with the step.
    pub fn told(&self, error: Error) -> Error {
        match error {
            // It says of which work, and what to do.
            Error::Engines(_) => error,
            error => self.fault(&error.to_string()),
        }
    }

    /// A pointer to an operand.
    pub fn at(&self, name: &str) -> Result<Arg<Place>> {
        Ok(Arg::At(self.get(name)?.place))
    }

    /// A pointer to an operand; to nothing where it is absent.
    pub fn maybe(&self, name: &str) -> Arg<Place> {
        self.find(name).map_or(Arg::Null, |operand| Arg::At(operand.place))
    }

    /// A number of elements, rows or packs, which kernels count in 32 bits.
    pub fn count(&self, count: usize) -> Result<Arg<Place>> {
        self::count(count).map(Arg::Int).map_err(|why| self.fault(&why.to_string()))
    }

    /// Memory for the step alone.
    pub fn scratch(&mut self, bytes: usize) -> Place {
        self.scratch.take(bytes)
    }

    /// Memory for a map, packed.
    pub fn scratch_map(&mut self, like: &Operand, dtype: DType) -> Operand {
        let place = self.scratch(like.numel * dtype.size());
        Operand { place, dtype, pitch: like.channels, ..*like }
    }

    /// Elements that a thread takes at once of maps with so many channels, all of one type.
    pub fn lanes(&self, channels: usize, maps: &[Operand]) -> usize {
        let lanes = maps.first().map_or(1, |map| WIDE / map.dtype.size());
        let fits = channels.is_multiple_of(lanes) && maps.iter().all(|map| map.aligned(lanes));
        if fits { lanes } else { 1 }
    }

    /// The entry of a kernel for maps of a type.
    pub fn entry(&self, kernel: &str, dtype: DType, lanes: usize) -> String {
        format!("{kernel}_{dtype}x{lanes}")
    }

    /// Adds a call.
    pub fn call(&mut self, call: Call<Place>) {
        self.calls.push(call);
    }

    /// Adds a launch of a thread per item.
    pub fn launch_flat(&mut self, function: String, items: usize, args: Vec<Arg<Place>>) -> Result<()> {
        let launch = Launch::flat(function, items, args).map_err(|why| self.fault(&why.to_string()))?;
        self.call(Call::Launch(launch));
        Ok(())
    }

    /// Adds a launch with a block of threads for each of so many rows, which has a float of shared memory for each thread.
    pub fn launch_rows(&mut self, function: String, grid: [usize; 2], args: Vec<Arg<Place>>) -> Result<()> {
        let [x, y] = self.grid(grid)?;
        let shared = THREADS * size_of::<f32>();
        self.launch(function, [x, y, 1], [THREADS as u32, 1, 1], shared, args);
        Ok(())
    }

    /// Adds a launch of blocks of packs of channels by rows, with so many words of shared memory for each thread.
    pub fn launch_columns(
        &mut self,
        function: String,
        columns: &Columns,
        words: usize,
        args: Vec<Arg<Place>>,
    ) -> Result<()> {
        let [x, y] = self.grid([columns.parts, columns.blocks])?;
        let block = [columns.width as u32, (THREADS / columns.width) as u32, 1];
        self.launch(function, [x, y, 1], block, THREADS * words * size_of::<f32>(), args);
        Ok(())
    }

    /// Adds a launch with a block for each of so many square tiles, which has two tiles of shared memory.
    pub fn launch_tiles(&mut self, function: String, tiles: [usize; 2], args: Vec<Arg<Place>>) -> Result<()> {
        let [x, y] = self.grid(tiles)?;
        self.launch(function, [x, y, 1], [THREADS as u32, 1, 1], 2 * THREADS * size_of::<f32>(), args);
        Ok(())
    }

    fn grid(&self, [x, y]: [usize; 2]) -> Result<[u32; 2]> {
        match (u32::try_from(x), u16::try_from(y)) {
            (Ok(x), Ok(y)) if x <= u32::MAX / 2 => Ok([x, u32::from(y)]),
            _ => Err(self.fault("it has more channels or rows than a launch has blocks")),
        }
    }

    fn launch(
        &mut self,
        function: String,
        grid: [u32; 3],
        block: [u32; 3],
        shared: usize,
        args: Vec<Arg<Place>>,
    ) {
        let shared = shared as u32;
        self.call(Call::Launch(Launch { function, grid, block, shared, args }));
    }
}

/// How sums over the rows of a map are cut: the same on every GPU, so that they have the same bits.
pub(super) struct Columns {
    /// Packs of channels side by side in a block, a power of two.
    pub width: usize,
    /// Blocks side by side.
    pub blocks: usize,
    /// Blocks that share the rows.
    pub parts: usize,
}

impl Columns {
    /// Of all rows of a map.
    pub fn of_rows(rows: usize, packs: usize) -> Self {
        let whole = Self::of_parts(1, packs);
        let in_flight = THREADS / whole.width;
        let parts = rows.div_ceil(in_flight * ROWS_OF_A_THREAD);
        Columns { parts: parts.clamp(1, (MAX_PARTS / whole.blocks).max(1)), ..whole }
    }

    /// Of so many parts with the same number of rows: images.
    pub fn of_parts(parts: usize, packs: usize) -> Self {
        let width = packs.next_power_of_two().min(32);
        Columns { width, blocks: packs.div_ceil(width), parts }
    }
}
