//! The calls that cuDNN had before graphs: one convolution each, by an algorithm of a short list. They take sizes and strides
//! that no engine of the graph API takes; they need the GPU at hand.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use cudarc::cudnn::sys;
use resnetc_compiler::ir::op::ConvAttrs;

use super::build::data_type;
use super::engine::{Engine, Note, Source};
use super::fault::{Fault, Result, check};
use super::graph::{Graph, Tensor, Way};
use super::handle::Handle;
use super::tensor::{Element, Role};
use super::work::{Math, Pattern, Work};

/// One of cuDNN's algorithms for a work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Algorithm {
    number: u32,
    /// Bytes.
    pub workspace: u64,
    deterministic: bool,
    tensor_cores: bool,
}

impl Algorithm {
    /// As an engine.
    pub fn engine(&self) -> Engine {
        let notes = [(!self.deterministic, Note::Nondeterministic), (self.tensor_cores, Note::TensorCores)];
        let notes = notes.into_iter().filter_map(|(holds, note)| holds.then_some(note)).collect();
        Engine { source: Source::Legacy(self.number), knobs: Vec::new(), notes }
    }

    /// One that was kept as an engine.
    pub fn restored(number: u32, engine: &Engine, workspace: u64) -> Self {
        let deterministic = !engine.has(Note::Nondeterministic);
        Algorithm { number, workspace, deterministic, tensor_cores: engine.has(Note::TensorCores) }
    }
}

/// Makes the owner of a kind of descriptor.
macro_rules! owner {
    ($name:ident, $raw:ty, $create:ident, $destroy:ident) => {
        #[derive(Debug)]
        struct $name($raw);

        impl $name {
            fn new() -> Result<Self> {
                let mut raw = std::ptr::null_mut();
                // SAFETY: `raw` is written where the status is success.
                let status = unsafe { sys::$create(&mut raw) };
                check(status, || concat!("cannot make a descriptor: ", stringify!($create)).to_owned())?;
                Ok($name(raw))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: it was made by `new` and is destroyed once.
                let _ = unsafe { sys::$destroy(self.0) };
            }
        }
    };
}

owner!(Map, sys::cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor);
owner!(Filter, sys::cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor);
owner!(
    Window,
    sys::cudnnConvolutionDescriptor_t,
    cudnnCreateConvolutionDescriptor,
    cudnnDestroyConvolutionDescriptor
);

/// A size as cuDNN's older calls take it.
fn int(size: impl TryInto<i32>) -> Result<i32> {
    size.try_into().map_err(|_| Fault::refused("a size is too large for cuDNN's older calls".into()))
}

impl Map {
    fn of(tensor: &Tensor) -> Result<Self> {
        let map = Map::new()?;
        let [[n, c, h, w], [sn, sc, sh, sw]] = [tensor.dims, tensor.strides];
        let [n, c, h, w] = [int(n)?, int(c)?, int(h)?, int(w)?];
        let [sn, sc, sh, sw] = [int(sn)?, int(sc)?, int(sh)?, int(sw)?];
        let element = data_type(tensor.element);
        // SAFETY: the descriptor lives; the rest are numbers.
        let status = unsafe { sys::cudnnSetTensor4dDescriptorEx(map.0, element, n, c, h, w, sn, sc, sh, sw) };
        check(status, || format!("cannot describe the map {tensor:?}"))?;
        Ok(map)
    }
}

impl Filter {
    fn of(tensor: &Tensor) -> Result<Self> {
        let filter = Filter::new()?;
        let [k, c, h, w] = tensor.dims;
        let (layout, element) = (sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC, data_type(tensor.element));
        let [k, c, h, w] = [int(k)?, int(c)?, int(h)?, int(w)?];
        // SAFETY: the descriptor lives; the rest are numbers.
        let status = unsafe { sys::cudnnSetFilter4dDescriptor(filter.0, element, layout, k, c, h, w) };
        check(status, || format!("cannot describe the weight {tensor:?}"))?;
        Ok(filter)
    }
}

impl Window {
    fn of(attrs: &ConvAttrs, math: sys::cudnnMathType_t) -> Result<Self> {
        let window = Window::new()?;
        let ConvAttrs { kernel: _, stride, padding, dilation, groups } = *attrs;
        let [p, s, d] = [padding, stride, dilation];
        let [p0, p1, s0, s1, d0, d1] =
            [int(p[0])?, int(p[1])?, int(s[0])?, int(s[1])?, int(d[0])?, int(d[1])?];
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let compute = data_type(Element::F32);
        let groups = int(groups)?;
        // SAFETY: the descriptor lives; the rest are numbers.
        unsafe {
            let status =
                sys::cudnnSetConvolution2dDescriptor(window.0, p0, p1, s0, s1, d0, d1, mode, compute);
            check(status, || format!("cannot describe the window {attrs:?}"))?;
            check(sys::cudnnSetConvolutionGroupCount(window.0, groups), || {
                format!("cannot set {groups} groups")
            })?;
            check(sys::cudnnSetConvolutionMathType(window.0, math), || format!("cannot set {math:?}"))?;
        }
        Ok(window)
    }
}

/// What a work may multiply with.
fn math(work: &Work) -> sys::cudnnMathType_t {
    match (work.input, work.math) {
        (Element::F32, Math::Full) => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        // TF32 where the GPU has it.
        (Element::F32, Math::Tf32) => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
        (Element::Bf16 | Element::F16, _) => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
    }
}

/// A convolution's descriptors.
#[derive(Debug)]
struct Operands {
    way: Way,
    x: Map,
    weight: Filter,
    y: Map,
    window: Window,
}

impl Operands {
    /// None where a work is more than one convolution.
    fn of(work: &Work) -> Result<Option<Self>> {
        let way = match work.pattern {
            Pattern::Forward => Way::Forward,
            Pattern::BackwardData { residual: false } => Way::BackwardData,
            Pattern::BackwardFilter => Way::BackwardFilter,
            _ => return Ok(None),
        };
        let graph = Graph::of_convolution(work)?;
        let tensor = |roles: [Role; 2]| {
            let found =
                graph.tensors.iter().find(|tensor| roles.map(|role| role as i64).contains(&tensor.id));
            found.ok_or_else(|| Fault::refused(format!("a convolution without {roles:?}")))
        };
        Ok(Some(Operands {
            way,
            x: Map::of(tensor([Role::X, Role::Dx])?)?,
            weight: Filter::of(tensor([Role::Weight, Role::Dweight])?)?,
            y: Map::of(tensor([Role::Y, Role::Dy])?)?,
            window: Window::of(&work.sizes.attrs, math(work))?,
        }))
    }
}

/// Asks one of the functions that list algorithms, the expected fastest first, and translates its answers.
macro_rules! list {
    ($function:ident, $answer:ident, $handle:expr, $($descriptor:expr),+) => {{
        let mut found = [const { MaybeUninit::<sys::$answer>::uninit() }; MOST];
        let mut count = 0;
        // SAFETY: handle and descriptors live; at most as many answers are written as there is room for.
        let status = unsafe {
            let room = (MOST as i32, found.as_mut_ptr().cast());
            sys::$function($handle.raw(), $($descriptor),+, room.0, &mut count, room.1)
        };
        check(status, || concat!("cannot list algorithms: ", stringify!($function)).to_owned())?;
        let count = usize::try_from(count).unwrap_or(0).min(MOST);
        let answers = found[..count].iter().map(|answer| {
            // SAFETY: so many were written.
            let answer = unsafe { answer.assume_init_ref() };
            let works = answer.status as u32 == 0;
            let deterministic = answer.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC;
            let tensor_cores = answer.mathType != sys::cudnnMathType_t::CUDNN_FMA_MATH;
            let (number, workspace) = (answer.algo as u32, answer.memory as u64);
            works.then_some(Algorithm { number, workspace, deterministic, tensor_cores })
        });
        answers.flatten().collect()
    }};
}

/// cuDNN has no more algorithms of a kind.
const MOST: usize = 16;

/// The algorithms for a work, the expected fastest first; none where it is more than one convolution.
pub(super) fn algorithms(handle: &Handle, work: &Work) -> Result<Vec<Algorithm>> {
    let Some(Operands { way, x, weight, y, window }) = Operands::of(work)? else { return Ok(Vec::new()) };
    Ok(match way {
        Way::Forward => list!(
            cudnnGetConvolutionForwardAlgorithm_v7,
            cudnnConvolutionFwdAlgoPerf_t,
            handle,
            x.0,
            weight.0,
            window.0,
            y.0
        ),
        Way::BackwardData => list!(
            cudnnGetConvolutionBackwardDataAlgorithm_v7,
            cudnnConvolutionBwdDataAlgoPerf_t,
            handle,
            weight.0,
            y.0,
            window.0,
            x.0
        ),
        Way::BackwardFilter => list!(
            cudnnGetConvolutionBackwardFilterAlgorithm_v7,
            cudnnConvolutionBwdFilterAlgoPerf_t,
            handle,
            x.0,
            y.0,
            window.0,
            weight.0
        ),
    })
}

/// One call, ready to run.
#[derive(Debug)]
pub(super) struct Call {
    operands: Operands,
    number: Number,
    workspace: u64,
}

/// An algorithm by its way.
#[derive(Debug, Clone, Copy)]
enum Number {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    BackwardData(sys::cudnnConvolutionBwdDataAlgo_t),
    BackwardFilter(sys::cudnnConvolutionBwdFilterAlgo_t),
}

impl Number {
    fn of(way: Way, number: u32) -> Option<Self> {
        use sys::cudnnConvolutionBwdDataAlgo_t as Data;
        use sys::cudnnConvolutionBwdFilterAlgo_t as Filter;
        use sys::cudnnConvolutionFwdAlgo_t as Forward;
        let forward = [
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_GEMM,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_DIRECT,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_FFT,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD,
            Forward::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED,
        ];
        let data = [
            Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_0,
            Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
            Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT,
            Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING,
            Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD,
            Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED,
        ];
        let filter = [
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0,
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT,
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3,
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD,
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED,
            Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING,
        ];
        let index = number as usize;
        match way {
            Way::Forward => forward.get(index).copied().map(Number::Forward),
            Way::BackwardData => data.get(index).copied().map(Number::BackwardData),
            Way::BackwardFilter => filter.get(index).copied().map(Number::BackwardFilter),
        }
    }
}

impl Call {
    /// A work by one of its algorithms.
    pub fn new(algorithm: Algorithm, work: &Work) -> Result<Self> {
        let none = || Fault::refused(format!("{} does not do {}", algorithm.engine(), work.pattern.text()));
        let operands = Operands::of(work)?.ok_or_else(none)?;
        let number = Number::of(operands.way, algorithm.number).ok_or_else(none)?;
        Ok(Call { operands, number, workspace: algorithm.workspace })
    }

    /// Puts it onto the handle's stream.
    ///
    /// # Safety
    /// The addresses are of memory of the handle's GPU, each tensor's with room for all of it, the workspace's with as much as the
    /// algorithm wants; all of it stays allocated until the stream is past the call.
    pub unsafe fn run(&self, handle: &Handle, tensors: &[(Role, u64)], workspace: u64) -> Result<()> {
        let at = |wanted: Role| -> *mut c_void {
            let found = tensors.iter().find(|&&(role, _)| role == wanted);
            found.map_or(std::ptr::null_mut(), |&(_, address)| address as *mut c_void)
        };
        let Operands { x, weight, y, window, way: _ } = &self.operands;
        let (h, size) = (handle.raw(), self.workspace as usize);
        let (room, [one, zero]) = (workspace as *mut c_void, [1.0f32, 0.0]);
        let (one, zero): (*const f32, *const f32) = (&one, &zero);
        // SAFETY: handle and descriptors live; the scales are `f32`, as the compute type is, and are read before the call
        // returns; the memory is as the caller promises.
        let status = unsafe {
            match self.number {
                Number::Forward(number) => sys::cudnnConvolutionForward(
                    h,
                    one.cast(),
                    x.0,
                    at(Role::X),
                    weight.0,
                    at(Role::Weight),
                    window.0,
                    number,
                    room,
                    size,
                    zero.cast(),
                    y.0,
                    at(Role::Y),
                ),
                Number::BackwardData(number) => sys::cudnnConvolutionBackwardData(
                    h,
                    one.cast(),
                    weight.0,
                    at(Role::Weight),
                    y.0,
                    at(Role::Dy),
                    window.0,
                    number,
                    room,
                    size,
                    zero.cast(),
                    x.0,
                    at(Role::Dx),
                ),
                Number::BackwardFilter(number) => sys::cudnnConvolutionBackwardFilter(
                    h,
                    one.cast(),
                    x.0,
                    at(Role::X),
                    y.0,
                    at(Role::Dy),
                    window.0,
                    number,
                    room,
                    size,
                    zero.cast(),
                    weight.0,
                    at(Role::Dweight),
                ),
            }
        };
        check(status, || format!("cannot run a legacy convolution by {:?}", self.number))
    }
}

// SAFETY: the descriptors are written by `new` alone; afterwards cuDNN only reads them, from any thread.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}
