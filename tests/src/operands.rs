//! Random data for the operands of a kernel, whose names, sizes and contents its own table gives.

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::op::Epilogue;
use resnetc_compiler::ir::types::{DType, Layout, Shape};
use resnetc_compiler::plan::{self, Content, Kernel, PoolGeometry, Region};

use crate::rng::Rng;

/// What an operand's generated elements are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Data {
    /// Normal around 0.25.
    Normal,
    /// `max(normal, 0)`: many equal elements.
    Rectified,
    /// Uniform in `0.5..1.5`.
    Positive,
    /// Uniform in `0..1`.
    Fraction,
    /// Eighths from 0 to 2, or from 0 to -2.
    Eighths {
        /// Whether they are 0 or less.
        negative: bool,
    },
    /// Below the bound.
    Index(usize),
    /// A tap of the window that lies in the image.
    Tap(PoolGeometry),
    /// Normal around 0.25 but, in half of the operands, for an infinite one or more.
    PerhapsInfinite,
    /// A learning rate: 0.1.
    Rate,
}

/// An input or output of a kernel.
#[derive(Debug, Clone)]
pub struct Operand {
    /// As in the kernel's table.
    pub name: &'static str,
    /// Logical shape.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Order in memory.
    pub layout: Layout,
    /// Where it lies.
    pub region: Region,
    /// What is in it at first.
    pub data: Data,
    /// Sign of the elements that makes all terms of the kernel's sums positive; 0 leaves them (see `bounds`).
    pub sign: i8,
}

impl Operand {
    fn new(operand: &plan::Operand, kernel: &Kernel, read: bool) -> Self {
        let (data, sign) = data(operand, kernel, read);
        Operand {
            name: operand.name,
            shape: operand.sizes.shape(),
            dtype: operand.content.dtype(),
            layout: operand.sizes.layout(operand.content),
            region: region(operand, read),
            data,
            sign,
        }
    }

    /// Random elements in logical order; indices as whole numbers.
    pub fn generate(&self, r: &mut Rng) -> Vec<f32> {
        let numel = self.shape.numel().expect("generated shapes are small");
        (0..numel).map(|i| self.element(i, r)).collect()
    }

    fn element(&self, index: usize, r: &mut Rng) -> f32 {
        let number = match self.data {
            Data::Normal => r.normal() + 0.25,
            Data::Rectified => r.normal().max(0.0),
            Data::Positive => r.uniform() + 0.5,
            Data::Fraction => r.uniform(),
            Data::Eighths { negative } => {
                let eighths = r.range(0, 16) as f32 / 8.0;
                if negative { -eighths } else { eighths }
            }
            Data::Index(bound) => r.range(0, bound - 1) as f32,
            Data::Tap(g) => tap(&g, index, r) as f32,
            Data::PerhapsInfinite => {
                let numel = self.shape.numel().expect("generated shapes are small");
                let number = r.normal() + 0.25;
                if r.range(0, 2 * numel) == 0 { f32::INFINITY.copysign(number) } else { number }
            }
            Data::Rate => 0.1,
        };
        stored(self.dtype, number)
    }
}

/// What a number is in memory.
pub fn stored(dtype: DType, number: f32) -> f32 {
    match dtype {
        DType::Bf16 => half::bf16::from_f32(number).to_f32(),
        DType::F16 => half::f16::from_f32(number).to_f32(),
        DType::F32 | DType::U8 | DType::U32 | DType::U64 => number,
    }
}

/// A random tap, inside the image, of the window at a logical index `[n, c, oh, ow]`.
fn tap(g: &PoolGeometry, index: usize, r: &mut Rng) -> usize {
    let at = [index / g.out[1] % g.out[0], index % g.out[1]];
    let size = [g.h, g.w];
    let mut inside = |axis: usize| {
        let (start, pad) = (at[axis] * g.attrs.stride[axis], g.attrs.padding[axis]);
        let first = pad.saturating_sub(start);
        let last = (size[axis] + pad - start - 1).min(g.attrs.kernel[axis] - 1);
        r.range(first, last)
    };
    let row = inside(0);
    row * g.attrs.kernel[1] + inside(1)
}

/// Where operands of that content lie in plans.
fn region(operand: &plan::Operand, read: bool) -> Region {
    match operand.content {
        Content::Weight if !read => Region::Grads,
        Content::Weight | Content::Bias | Content::Scale | Content::Shift | Content::Param => Region::Params,
        Content::Sum if operand.sizes.shape().rank() == 1 => Region::Grads,
        Content::Grad => Region::Grads,
        Content::RunningMean | Content::RunningVar | Content::LossScale | Content::StepCount => Region::State,
        Content::OptimizerState(tensor) => Region::Optimizer(tensor),
        Content::Rate | Content::Factor | Content::StepNumber | Content::Seed | Content::ClassWeight => {
            Region::Control
        }
        Content::Map
        | Content::Compared
        | Content::Activated(_)
        | Content::Mean
        | Content::Variance
        | Content::Rstd
        | Content::Sum
        | Content::Tap(_)
        | Content::Index(_)
        | Content::Share
        | Content::Logits
        | Content::Finite
        | Content::Scalar => Region::Arena,
    }
}

/// What the elements are, and the sign that makes all terms of sums positive. What is subtracted is negative.
fn data(operand: &plan::Operand, kernel: &Kernel, read: bool) -> (Data, i8) {
    if recomputes_sign(kernel) {
        // Signs are computed of these: they have few digits, so that no rounding error makes another sign of a number close
        // to zero, and each has the sign that it has for `bounds`.
        match operand.name {
            "x" | "rstd" | "scale" => return (Data::Eighths { negative: false }, 1),
            "mean" => return (Data::Eighths { negative: true }, -1),
            "shift" => return (Data::Eighths { negative: true }, 0),
            _ => (),
        }
    }
    match operand.content {
        Content::Map if matches!(kernel, Kernel::ScaleShift(k) if k.scale < 0.0) => (Data::Normal, -1),
        Content::Map | Content::Weight | Content::Bias | Content::Scale | Content::Shift => (Data::Normal, 1),
        Content::RunningMean | Content::Param | Content::Scalar => (Data::Normal, 1),
        Content::Compared => (Data::Rectified, 0),
        Content::Activated(act) if act.info().bounded => (Data::Fraction, 0),
        Content::Activated(_) | Content::Logits => (Data::Normal, 0),
        Content::Grad if matches!(kernel, Kernel::AllFinite(_)) => (Data::PerhapsInfinite, 0),
        // Mixed into the running mean, not subtracted.
        Content::Mean if matches!(kernel, Kernel::BnCombine(_)) => (Data::Normal, 1),
        Content::Mean | Content::Grad => (Data::Normal, -1),
        Content::Variance | Content::Rstd | Content::RunningVar | Content::LossScale => (Data::Positive, 1),
        Content::Finite => (Data::Index(2), 0),
        Content::Share => (Data::Fraction, 0),
        Content::ClassWeight => (Data::Positive, 0),
        Content::Sum => (Data::Normal, if read { -1 } else { 1 }),
        Content::Tap(geometry) => (Data::Tap(geometry), 1),
        Content::Index(bound) => (Data::Index(bound), 1),
        // Means of squares.
        Content::OptimizerState(_) if operand.name.ends_with("_sq") => (Data::Positive, 1),
        Content::OptimizerState(_) => (Data::Normal, -1),
        Content::Rate => (Data::Rate, 0),
        Content::Factor => (Data::Fraction, 1),
        // Often the first step, which is a special one.
        Content::StepNumber | Content::StepCount => (Data::Index(3), 0),
        Content::Seed => (Data::Index(1 << 24), 0),
    }
}

/// Whether a gradient masks by a sign that it computes anew.
fn recomputes_sign(kernel: &Kernel) -> bool {
    let epilogue: Option<Epilogue> = match kernel {
        Kernel::BnBackwardReduce(k) => Some(k.epilogue),
        Kernel::BnBackwardApply(k) => Some(k.epilogue),
        _ => None,
    };
    epilogue.is_some_and(|epilogue| epilogue.recomputes_sign())
}

/// Inputs and outputs of one kernel.
#[derive(Debug, Clone)]
pub struct Signature {
    /// In the kernel's order.
    pub inputs: Vec<Operand>,
    /// In the kernel's order.
    pub outputs: Vec<Operand>,
}

impl Signature {
    /// `[f32, bf16] -> [f32]`
    pub fn types(&self) -> String {
        let list = |operands: &[Operand]| {
            operands.iter().map(|o| o.dtype.to_string()).collect::<Vec<_>>().join(", ")
        };
        format!("[{}] -> [{}]", list(&self.inputs), list(&self.outputs))
    }

    /// The same with weights in the order of a backend.
    pub fn laid_out(&self, backend: &Backend) -> Self {
        let laid_out = |operand: &Operand| match operand.layout {
            Layout::Hwio => Operand { layout: backend.layouts.weights, ..operand.clone() },
            _ => operand.clone(),
        };
        let all = |operands: &[Operand]| operands.iter().map(laid_out).collect();
        Signature { inputs: all(&self.inputs), outputs: all(&self.outputs) }
    }
}

fn table(kernel: &Kernel) -> plan::Operands {
    kernel.operands().expect("generated kernels are sound")
}

/// `(output, input)` pairs, by position, that may lie on each other.
pub fn in_place(kernel: &Kernel) -> Vec<(usize, usize)> {
    table(kernel).in_place
}

/// What a kernel reads and writes, all maps stored as `f32`.
pub fn signature(kernel: &Kernel) -> Signature {
    let table = table(kernel);
    let all = |operands: &[plan::Operand], read| {
        operands.iter().map(|operand| Operand::new(operand, kernel, read)).collect()
    };
    Signature { inputs: all(&table.inputs, true), outputs: all(&table.outputs, false) }
}

/// The same, with each choice of the maps that may be stored in one of these narrow types; that of none comes first.
pub fn stored_signatures(kernel: &Kernel, narrow: &[DType]) -> Vec<Signature> {
    let table = table(kernel);
    let choice = |ty: DType, chosen: u32| {
        let mut signature = signature(kernel);
        let operands = signature.inputs.iter_mut().chain(&mut signature.outputs);
        for (operand, entry) in operands.zip(table.all()) {
            if entry.narrow.is_some_and(|group| chosen & 1 << group != 0) {
                operand.dtype = ty;
            }
        }
        signature
    };
    let types = kernel.narrow_types().iter().filter(|ty| narrow.contains(ty));
    let choices = 1..1 << table.narrow_groups();
    let chosen = types.flat_map(|&ty| choices.clone().map(move |chosen| (ty, chosen)));
    let narrow = chosen.map(|(ty, chosen)| choice(ty, chosen));
    [signature(kernel)].into_iter().chain(narrow).collect()
}

/// A kernel with its factors in each of these narrow types, where it multiplies in one; else the kernel as it is.
pub fn in_each_type(kernel: &Kernel, narrow: &[DType]) -> Vec<Kernel> {
    let rounds = kernel.conv_geometry().is_some_and(|geometry| geometry.precision.is_narrow());
    if !rounds {
        return vec![kernel.clone()];
    }
    let with = |&precision: &DType| {
        let mut kernel = kernel.clone();
        match &mut kernel {
            Kernel::Conv(conv) => conv.geometry.precision = precision,
            Kernel::ConvBackwardData(conv) => conv.geometry.precision = precision,
            Kernel::ConvBackwardFilter(conv) => conv.geometry.precision = precision,
            other => unreachable!("{other:?} has no geometry of a convolution"),
        }
        kernel
    };
    narrow.iter().map(with).collect()
}
