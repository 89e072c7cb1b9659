//! What stands before and behind a step's own calls: its inputs lie in a slot, from which they are put where the plan has them, or made
//! into images; what is kept of it is put into another.

use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::{BufferId, Plan};

use super::driver::{Driver, Fill, Memory};
use super::launch::{Arg, Call, Launch, count};
use crate::data::batch::{Form, Pictures, Preparation};
use crate::data::edit::Edit;
use crate::device::Inputs;
use crate::error::{Error, Result};

/// Bytes of a word; all inputs are of whole words.
const WORD: usize = 4;
/// Words of an edit.
const EDIT: usize = 5;
/// What begins in a slot begins at a multiple of it.
const ALIGN: usize = 256;
/// Pieces that one launch copies.
const PIECES: usize = 5;
/// Bytes of a set that are uploaded at once.
const CHUNK: usize = 16 << 20;

/// Some bytes of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    offset: usize,
    bytes: usize,
}

/// Where the inputs of a step lie in its slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Slot {
    buffers: Vec<(BufferId, Part)>,
    edits: Option<Part>,
    indices: Option<Part>,
    pixels: Option<Part>,
    /// Bytes of the slot.
    pub bytes: usize,
}

impl Slot {
    /// A slot for such inputs.
    pub fn of(inputs: &Inputs<'_>) -> Self {
        let mut slot = Slot::default();
        for (buffer, bytes) in inputs.buffers {
            let part = slot.part(bytes.len());
            slot.buffers.push((*buffer, part));
        }
        if let Some(Pictures { indices, pixels, edits }) = inputs.pictures {
            slot.edits = Some(slot.part(edits.len() * EDIT * WORD));
            match pixels.is_empty() {
                true => slot.indices = Some(slot.part(indices.len() * WORD)),
                false => slot.pixels = Some(slot.part(pixels.len())),
            }
        }
        slot
    }

    /// Whether images are to be made.
    pub fn has_pictures(&self) -> bool {
        self.edits.is_some()
    }

    fn part(&mut self, bytes: usize) -> Part {
        let part = Part { offset: self.bytes, bytes };
        self.bytes += bytes.next_multiple_of(ALIGN);
        part
    }

    /// Appends the slot's bytes.
    pub fn fill(&self, inputs: &Inputs<'_>, to: &mut Vec<u8>) {
        let start = to.len();
        let mut put = |part: &Part, bytes: &[u8]| {
            to.resize(start + part.offset, 0);
            to.extend_from_slice(bytes);
        };
        for ((_, part), (_, bytes)) in self.buffers.iter().zip(inputs.buffers) {
            put(part, bytes);
        }
        if let Some(Pictures { indices, pixels, edits }) = inputs.pictures {
            let words: Vec<[i32; EDIT]> = edits.iter().map(words).collect();
            let parts = [&self.edits, &self.indices, &self.pixels].into_iter();
            let all = [bytemuck::cast_slice(&words), bytemuck::cast_slice(indices), &pixels[..]];
            parts.zip(all).for_each(|(part, bytes)| part.iter().for_each(|part| put(part, bytes)));
        }
        to.resize(start + self.bytes, 0);
    }

    /// The calls that put a slot's buffers where the plan has them.
    pub fn spread(&self, slot: u64, place: impl Fn(BufferId) -> Result<u64>) -> Result<Vec<Call<u64>>> {
        let pieces = self.buffers.iter();
        let pieces = pieces.map(|&(id, part)| Ok((slot + part.offset as u64, place(id)?, part.bytes)));
        copies(&pieces.collect::<Result<Vec<_>>>()?)
    }
}

/// An edit by the numbers of `feed.cu`.
fn words(edit: &Edit) -> [i32; EDIT] {
    match edit {
        Edit::Keep => [0; EDIT],
        Edit::Shift { dy, dx } => [1, *dy, *dx, 0, 0],
        Edit::Mirror => [2, 0, 0, 0, 0],
        Edit::Reflect { dy, dx } => [4, *dy, *dx, 0, 0],
        Edit::Upend => [5, 0, 0, 0, 0],
        Edit::Operate(_) | Edit::Blend { .. } => {
            unreachable!("images with such changes come as floats: `Transform::on_host`")
        }
        Edit::Fill { rows, columns } => {
            // Beyond any picture all ends are the same.
            let word = |end: u32| i32::try_from(end).unwrap_or(i32::MAX);
            [3, word(rows.start), word(rows.end), word(columns.start), word(columns.end)]
        }
    }
}

/// Launches that copy bytes, of whole words: from, to, how many.
pub(super) fn copies(pieces: &[(u64, u64, usize)]) -> Result<Vec<Call<u64>>> {
    let launch = |pieces: &[(u64, u64, usize)]| {
        let mut args = Vec::with_capacity(3 * PIECES);
        for &(from, to, bytes) in pieces {
            args.extend([Arg::Int(count(bytes / WORD)?), Arg::At(from), Arg::At(to)]);
        }
        while args.len() < 3 * PIECES {
            args.extend([Arg::Int(0), Arg::Null, Arg::Null]);
        }
        let most = pieces.iter().map(|(_, _, bytes)| bytes / WORD).max().unwrap_or(0);
        Launch::flat("copy_words".to_owned(), most, args).map(Call::Launch)
    };
    pieces.chunks(PIECES).map(launch).collect()
}

/// What makes images of pictures.
pub(super) struct ImageMaker {
    size: [usize; 3],
    edits: usize,
    /// `[channel][byte]`, as `f32`.
    table: Memory,
    /// All pictures, where they fit.
    set: Option<Memory>,
}

impl ImageMaker {
    /// Puts what is needed onto the device; `None` where a plan takes no such images.
    pub fn new(preparation: &Preparation<'_>, plans: &[&Plan], driver: &dyn Driver) -> Result<Option<Self>> {
        if !plans.iter().all(|plan| takes(plan, preparation.size)) {
            return Ok(None);
        }
        let Preparation { size, table, edits, set } = *preparation;
        let bytes: &[u8] = bytemuck::cast_slice(table);
        let memory = driver.allocate(bytes.len(), Fill::Anything)?;
        driver.upload(memory.address, bytes)?;
        // The other half is for what other programs, and this one's later plans, may want.
        let set = match set.filter(|set| set.len() <= driver.free().map_or(0, |free| free / 2)) {
            Some(set) => Some(upload(set, driver)?),
            None => None,
        };
        Ok(Some(ImageMaker { size, edits, table: memory, set }))
    }

    /// What batches have to bring.
    pub fn form(&self) -> Form {
        if self.set.is_some() { Form::Indices } else { Form::Pixels }
    }

    /// Refuses pictures that are not what was announced: a kernel would read beyond them.
    pub fn check(&self, pictures: &Pictures, batch: usize) -> Result<()> {
        let picture: usize = self.size.iter().product();
        let held = self.set.as_ref().map_or(0, |set| set.bytes / picture);
        let pixels = if self.set.is_some() { 0 } else { batch * picture };
        let right = pictures.indices.len() == batch
            && pictures.edits.len() == batch * self.edits
            && pictures.pixels.len() == pixels
            && (pixels > 0 || pictures.indices.iter().all(|&index| (index as usize) < held));
        match right {
            true => Ok(()),
            false => Err(Error::Device("cuda: pictures that are not those that were announced".to_owned())),
        }
    }

    /// The call that makes the images of a slot.
    pub fn call(&self, slot: u64, of: &Slot, plan: &Plan, images: u64) -> Result<Call<u64>> {
        let at = |part: &Option<Part>| part.map_or(Arg::Null, |part| Arg::At(slot + part.offset as u64));
        let pictures = match &self.set {
            Some(set) => Arg::At(set.address),
            None => at(&of.pixels),
        };
        let [height, width, channels] = self.size;
        let mut args = vec![pictures, at(&of.indices), at(&of.edits), Arg::At(self.table.address)];
        args.push(Arg::At(images));
        for size in [plan.batch, height, width, channels, self.edits] {
            args.push(Arg::Int(count(size)?));
        }
        let element = plan.buffer(plan.input).dtype;
        let launch = Launch::flat(format!("prepare_images_{element}"), plan.batch * height * width, args);
        launch.map(Call::Launch)
    }
}

/// Whether a plan's images are what the kernel makes.
fn takes(plan: &Plan, [height, width, channels]: [usize; 3]) -> bool {
    let buffer = plan.buffer(plan.input);
    let narrow = matches!(buffer.dtype, DType::F32 | DType::Bf16 | DType::F16);
    let fits = count(plan.batch * height * width).is_ok();
    buffer.layout == Layout::Nhwc && buffer.shape.0 == [plan.batch, channels, height, width] && narrow && fits
}

fn upload(set: &[u8], driver: &dyn Driver) -> Result<Memory> {
    let memory = driver.allocate(set.len(), Fill::Anything)?;
    for (offset, chunk) in (0..).step_by(CHUNK).zip(set.chunks(CHUNK)) {
        driver.upload(memory.address + offset, chunk)?;
    }
    Ok(memory)
}
