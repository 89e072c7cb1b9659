//! What a driver is told to do: launches of kernels, convolutions, normalisations, and what ranks do together, over places or over addresses.

use std::fmt;

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{ConvGeometry, Region};

use super::collectives::Collective;
use super::normalise::{NormTask, Normalise};
use crate::error::{Error, Result};

/// Memory that a place lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    /// A region of the plan.
    Region(Region),
    /// The parameters in the network's narrow type, each at half its offset in [`Region::Params`].
    Narrow,
    /// What a step needs for itself.
    Scratch,
}

/// A place in memory, before it is known where that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The memory.
    pub base: Base,
    /// Bytes from its beginning.
    pub offset: usize,
}

/// An argument of a kernel; `A` is a [`Place`] or an address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arg<A> {
    /// A pointer.
    At(A),
    /// A pointer to nothing: an operand that is not there.
    Null,
    /// An `unsigned` or an `int`.
    Int(u32),
    /// A `float`.
    Float(f32),
    /// An `unsigned long long`.
    Long(u64),
}

impl<A> Arg<A> {
    /// Its kind as signatures have it: a letter.
    pub fn letter(&self) -> char {
        match self {
            Arg::At(_) | Arg::Null => 'p',
            Arg::Int(_) => 'i',
            Arg::Float(_) => 'f',
            Arg::Long(_) => 'l',
        }
    }
}

impl Arg<u64> {
    /// The argument at the beginning of eight bytes.
    pub fn slot(&self) -> u64 {
        let low = |bytes: [u8; 4]| {
            let mut slot = [0; 8];
            slot[..4].copy_from_slice(&bytes);
            u64::from_ne_bytes(slot)
        };
        match *self {
            Arg::At(address) => address,
            Arg::Null => 0,
            Arg::Int(value) => low(value.to_ne_bytes()),
            Arg::Float(value) => low(value.to_ne_bytes()),
            Arg::Long(value) => value,
        }
    }
}

/// Threads of a block, but for kernels that say otherwise: a power of two.
pub(super) const THREADS: usize = 256;

/// A number of elements, rows or packs, which kernels count in 32 bits.
///
/// # Errors
/// Where there are too many.
pub(super) fn count(of: usize) -> Result<u32> {
    // A loop's next index may lie a grid beyond the last, hence not all of them.
    let fits = u32::try_from(of).ok().filter(|&count| count <= u32::MAX / 2);
    let text = "it has too many elements: a smaller batch, or smaller images, are the way out";
    fits.ok_or_else(|| Error::Device(text.to_owned()))
}

/// A kernel's launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch<A> {
    /// The entry's name: `bn_apply_bf16x8`.
    pub function: String,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Bytes of shared memory.
    pub shared: u32,
    /// In the order of the entry's parameters.
    pub args: Vec<Arg<A>>,
}

impl<A> Launch<A> {
    /// A thread per item, of which there are no more than a size can be.
    pub(super) fn flat(function: String, items: usize, args: Vec<Arg<A>>) -> Result<Self> {
        let grid = [count(items)?.div_ceil(THREADS as u32).max(1), 1, 1];
        Ok(Launch { function, grid, block: [THREADS as u32, 1, 1], shared: 0, args })
    }

    /// The kinds of its arguments, to be compared with those of the entry.
    pub fn signature(&self) -> String {
        self.args.iter().map(Arg::letter).collect()
    }
}

/// Which of a convolution's three products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The result, from input and weight.
    Forward,
    /// The input's gradient, from the result's and the weight.
    BackwardData,
    /// The weight's gradient, from the input and the result's gradient.
    BackwardFilter,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Forward => "forward",
            Direction::BackwardData => "backward data",
            Direction::BackwardFilter => "backward filter",
        })
    }
}

/// A convolution to be prepared. Maps are NHWC and packed, weights OHWI; all of one element type, in which they are multiplied
/// and stored; the weight's gradient is wanted as `f32`. Sums are `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// Which product.
    pub direction: Direction,
    /// Sizes of the forward convolution.
    pub geometry: ConvGeometry,
    /// Of maps and weights.
    pub element: DType,
    /// Whether factors in `f32` may be rounded to TF32.
    pub tf32: bool,
    /// Whether the same operands have to give the same bits each time.
    pub deterministic: bool,
    /// Whether a vector with an element per output channel is added.
    pub bias: bool,
    /// Whether a map is added.
    pub residual: bool,
    /// Applied last.
    pub act: Option<Activation>,
    /// Whether the result's sums by channel, and those of its squares, are added to two vectors of `f32`: of a forward product with nothing
    /// else behind it. What is summed is the result as it is stored.
    pub stats: bool,
    /// Whether the result is 0 where another map is not positive: of a gradient of the input, the ReLU's before that.
    pub mask: bool,
}

impl Task {
    /// Deterministic, with factors as they are, and without anything behind the product.
    pub fn plain(direction: Direction, geometry: ConvGeometry, element: DType) -> Self {
        let (tf32, deterministic, act) = (false, true, None);
        let (bias, residual, stats, mask) = (false, false, false, false);
        Task { direction, geometry, element, tf32, deterministic, bias, residual, act, stats, mask }
    }

    /// Whether something is computed behind the product.
    pub fn has_epilogue(&self) -> bool {
        self.bias || self.residual || self.act.is_some() || self.stats || self.mask
    }
}

/// The two ways to the same results, all of whose operands lie in scratch memory, to be measured against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Ways {
    /// A convolution that computes more than its product.
    pub fused: Task,
    /// What is left to do behind it.
    pub behind_fused: Vec<Call<Place>>,
    /// The convolution that computes its product alone.
    pub plain: Task,
    /// What is left to do behind that one.
    pub behind_plain: Vec<Call<Place>>,
    /// Bytes of scratch memory of what is behind them.
    pub scratch: usize,
}

/// A normalisation at once, or in parts, all of whose operands lie in scratch memory: to be measured against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct NormWays {
    /// At once.
    pub fused: NormTask,
    /// In parts.
    pub parts: Vec<Call<Place>>,
    /// Bytes of scratch memory of the parts.
    pub scratch: usize,
}

/// A convolution, or a normalisation, that a driver has prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The driver's number for it.
    pub id: usize,
    /// Bytes that it needs beside its operands.
    pub workspace: usize,
    /// The type that its result has: another than the task's where that cannot be had.
    pub result: DType,
}

/// A prepared convolution with its operands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Convolve<A> {
    /// [`Prepared::id`].
    pub id: usize,
    /// The input or, in a gradient of it, its gradient.
    pub x: A,
    /// The weight or its gradient.
    pub weight: A,
    /// The result or its gradient.
    pub y: A,
    /// What is added per channel.
    pub bias: Option<A>,
    /// The map that is added.
    pub residual: Option<A>,
    /// What sums are added to: of the result, and of its squares.
    pub sums: Option<[A; 2]>,
    /// The map by which the result is masked.
    pub mask: Option<A>,
    /// [`Prepared::workspace`] bytes.
    pub workspace: A,
}

/// Something that a driver does.
#[derive(Debug, Clone, PartialEq)]
pub enum Call<A> {
    /// A kernel.
    Launch(Launch<A>),
    /// A convolution.
    Convolve(Convolve<A>),
    /// A normalisation at once.
    Normalise(Normalise<A>),
    /// What all ranks do together.
    Collective(Collective<A>),
}

impl Call<Place> {
    /// The call with addresses.
    pub fn resolve(&self, address: &dyn Fn(Place) -> u64) -> Call<u64> {
        match self {
            Call::Launch(launch) => Call::Launch(Launch {
                function: launch.function.clone(),
                grid: launch.grid,
                block: launch.block,
                shared: launch.shared,
                args: launch.args.iter().map(|arg| resolve(arg, address)).collect(),
            }),
            Call::Convolve(conv) => Call::Convolve(Convolve {
                id: conv.id,
                x: address(conv.x),
                weight: address(conv.weight),
                y: address(conv.y),
                bias: conv.bias.map(address),
                residual: conv.residual.map(address),
                sums: conv.sums.map(|sums| sums.map(address)),
                mask: conv.mask.map(address),
                workspace: address(conv.workspace),
            }),
            Call::Normalise(norm) => Call::Normalise(norm.map(address)),
            Call::Collective(collective) => Call::Collective(collective.map(address)),
        }
    }
}

fn resolve(arg: &Arg<Place>, address: &dyn Fn(Place) -> u64) -> Arg<u64> {
    match *arg {
        Arg::At(place) => Arg::At(address(place)),
        Arg::Null => Arg::Null,
        Arg::Int(value) => Arg::Int(value),
        Arg::Float(value) => Arg::Float(value),
        Arg::Long(value) => Arg::Long(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_begin_their_slots() {
        assert_eq!(Arg::At(7).slot(), 7);
        assert_eq!(Arg::<u64>::Null.slot(), 0);
        assert_eq!(&Arg::<u64>::Int(0x0102_0304).slot().to_ne_bytes()[..4], &0x0102_0304u32.to_ne_bytes());
        assert_eq!(&Arg::<u64>::Float(1.5).slot().to_ne_bytes()[..4], &1.5f32.to_ne_bytes());
    }

    #[test]
    fn places_become_addresses() {
        let place = |offset| Place { base: Base::Scratch, offset };
        let launch = Launch {
            function: "softmax".into(),
            grid: [1, 1, 1],
            block: [256, 1, 1],
            shared: 1024,
            args: vec![Arg::At(place(256)), Arg::Null, Arg::Int(10)],
        };
        assert_eq!(launch.signature(), "ppi");
        let Call::Launch(resolved) = Call::Launch(launch).resolve(&|place| 1000 + place.offset as u64) else {
            panic!("a launch stays one")
        };
        assert_eq!(resolved.args, [Arg::At(1256), Arg::Null, Arg::Int(10)]);
    }
}
