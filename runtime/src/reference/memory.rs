//! Values between the plan's memory and Candle's tensors.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use resnetc_compiler::ir::types::{DType as Element, Layout};
use resnetc_compiler::plan::{Buffer, BufferId, Plan, Region};

use crate::error::{Error, Result};

/// The persistent regions, each as one flat tensor of elements in stored order: an update may span many parameters.
pub(super) struct Persistent {
    device: Device,
    dtype: DType,
    regions: BTreeMap<Region, Tensor>,
}

impl Persistent {
    pub(super) fn new(device: Device, dtype: DType) -> Self {
        Persistent { device, dtype, regions: BTreeMap::new() }
    }

    /// Allocates a plan's regions, zeroed; those that an earlier plan has brought must be of the same size.
    pub(super) fn grow(&mut self, plan: &Plan) -> Result<()> {
        let state = (0..plan.optimizer.len()).map(|tensor| Region::Optimizer(tensor as u8));
        for region in [Region::Params, Region::Grads, Region::State].into_iter().chain(state) {
            let bytes = plan.region_bytes(region);
            let elements = bytes.div_ceil(Element::F32.size());
            let have = self.regions.get(&region).map_or(0, Tensor::elem_count);
            if elements == 0 || have == elements {
                continue;
            }
            if have != 0 {
                return Err(Error::Device(format!(
                    "reference: {region:?} of {} has {elements} elements, that of the plans before it {have}",
                    plan.name
                )));
            }
            self.regions.insert(region, Tensor::zeros(elements, self.dtype, &self.device)?);
        }
        Ok(())
    }

    /// A copy of a persistent buffer's value in logical order; `None` for buffers of the arena.
    pub(super) fn get(&self, buffer: &Buffer) -> Result<Option<Tensor>> {
        let Some((region, start, len)) = self.place(buffer)? else { return Ok(None) };
        let stored = region.narrow(0, start, len)?.copy()?;
        Ok(Some(to_logical(buffer, &stored)?))
    }

    /// Sets a persistent buffer's value, given in logical order; `false` for buffers of the arena.
    pub(super) fn set(&self, buffer: &Buffer, value: &Tensor) -> Result<bool> {
        let Some((region, start, _)) = self.place(buffer)? else { return Ok(false) };
        region.slice_set(&to_stored(buffer, value)?, 0, start)?;
        Ok(true)
    }

    /// The region of a persistent buffer, its first element there, and its number of elements.
    fn place(&self, buffer: &Buffer) -> Result<Option<(&Tensor, usize, usize)>> {
        // What changes from step to step is written before each, like inputs.
        if matches!(buffer.region, Region::Arena | Region::Control) {
            return Ok(None);
        }
        let fault = |why: &str| Error::Device(format!("reference: {}: {why}", buffer.name));
        if buffer.dtype != Element::F32 {
            return Err(fault("persistent tensors are f32"));
        }
        let region = self.regions.get(&buffer.region).ok_or_else(|| fault("its region is empty"))?;
        let (start, len) = (buffer.offset / Element::F32.size(), elements(buffer)?);
        if start + len > region.elem_count() {
            return Err(fault("it reaches beyond its region"));
        }
        Ok(Some((region, start, len)))
    }
}

/// The place of a tensor of the optimizer's state of a parameter, as a buffer.
pub(super) fn optimizer_of(plan: &Plan, param: BufferId, tensor: u8) -> Result<Buffer> {
    let param = plan.buffer(param);
    if param.region != Region::Params || usize::from(tensor) >= plan.optimizer.len() {
        let text = format!("reference: {} has no tensor {tensor} of an optimizer", param.name);
        return Err(Error::Device(text));
    }
    Ok(Buffer { region: Region::Optimizer(tensor), ..param.clone() })
}

fn elements(buffer: &Buffer) -> Result<usize> {
    let numel = buffer.shape.numel();
    numel.ok_or_else(|| Error::Device(format!("reference: {} has too many elements", buffer.name)))
}

/// Logical dimensions in the order in which the layout stores them, outermost first.
fn storage_order(layout: Layout, rank: usize) -> Vec<usize> {
    match (layout, rank) {
        (Layout::Nhwc | Layout::Ohwi, 4) => vec![0, 2, 3, 1],
        (Layout::Hwio, 4) => vec![2, 3, 1, 0],
        (Layout::Hwio, 2) => vec![1, 0],
        (Layout::Plain | Layout::Nhwc | Layout::Hwio | Layout::Ohwi, _) => (0..rank).collect(),
    }
}

/// Flat elements in stored order to a tensor in logical order.
fn to_logical(buffer: &Buffer, stored: &Tensor) -> Result<Tensor> {
    let order = storage_order(buffer.layout, buffer.shape.rank());
    let dims: Vec<usize> = order.iter().map(|&d| buffer.shape.0[d]).collect();
    let mut inverse = vec![0; order.len()];
    for (position, &dim) in order.iter().enumerate() {
        inverse[dim] = position;
    }
    Ok(stored.reshape(dims)?.permute(inverse)?.contiguous()?)
}

/// A tensor in logical order to flat elements in stored order.
fn to_stored(buffer: &Buffer, value: &Tensor) -> Result<Tensor> {
    let logical = value.reshape(buffer.shape.0.as_slice())?;
    Ok(logical.permute(storage_order(buffer.layout, buffer.shape.rank()))?.contiguous()?.flatten_all()?)
}

/// Numbers rounded to a type, to nearest, ties to even; as they are where it is not a narrow one. By way of `f32`, as kernels see
/// them: Candle's own conversion from `f64` overlooks the lowest bits where it decides ties.
pub(super) fn rounded(tensor: &Tensor, to: Element) -> candle_core::Result<Tensor> {
    let narrow = match to {
        Element::Bf16 => DType::BF16,
        Element::F16 => DType::F16,
        Element::F32 | Element::U8 | Element::U32 | Element::U64 => return Ok(tensor.clone()),
    };
    tensor.to_dtype(DType::F32)?.to_dtype(narrow)?.to_dtype(tensor.dtype())
}

/// Bytes of a buffer to a tensor in logical order: numbers in `dtype`, indices in `U32`.
pub(super) fn decode(buffer: &Buffer, bytes: &[u8], dtype: DType, device: &Device) -> Result<Tensor> {
    let numel = elements(buffer)?;
    check_size(buffer, numel, bytes.len())?;
    let stored = match buffer.dtype {
        Element::F32 => {
            let values: Vec<f32> = words(bytes).map(f32::from_ne_bytes).collect();
            Tensor::from_vec(values, numel, device)?.to_dtype(dtype)?
        }
        Element::Bf16 => {
            let values: Vec<f32> = words(bytes).map(|b| bf16::from_ne_bytes(b).to_f32()).collect();
            Tensor::from_vec(values, numel, device)?.to_dtype(dtype)?
        }
        Element::F16 => {
            let values: Vec<f32> = words(bytes).map(|b| f16::from_ne_bytes(b).to_f32()).collect();
            Tensor::from_vec(values, numel, device)?.to_dtype(dtype)?
        }
        Element::U8 => Tensor::from_vec(bytes.iter().map(|&b| u32::from(b)).collect(), numel, device)?,
        Element::U32 => Tensor::from_vec(words(bytes).map(u32::from_ne_bytes).collect(), numel, device)?,
        Element::U64 => Tensor::from_vec(words(bytes).map(i64::from_ne_bytes).collect(), numel, device)?,
    };
    to_logical(buffer, &stored)
}

/// A tensor in logical order to the bytes of a buffer.
pub(super) fn encode(buffer: &Buffer, value: &Tensor, bytes: &mut [u8]) -> Result<()> {
    check_size(buffer, elements(buffer)?, bytes.len())?;
    let stored = to_stored(buffer, value)?;
    match buffer.dtype {
        Element::F32 => fill(bytes, stored.to_dtype(DType::F32)?.to_vec1::<f32>()?, f32::to_ne_bytes),
        Element::Bf16 => {
            let values = stored.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            fill(bytes, values, |v| bf16::from_f32(v).to_ne_bytes());
        }
        Element::F16 => {
            let values = stored.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            fill(bytes, values, |v| f16::from_f32(v).to_ne_bytes());
        }
        Element::U8 => bytes.copy_from_slice(&stored.to_dtype(DType::U8)?.to_vec1::<u8>()?),
        Element::U32 => fill(bytes, stored.to_dtype(DType::U32)?.to_vec1::<u32>()?, u32::to_ne_bytes),
        Element::U64 => fill(bytes, stored.to_vec1::<i64>()?, i64::to_ne_bytes),
    }
    Ok(())
}

fn check_size(buffer: &Buffer, numel: usize, bytes: usize) -> Result<()> {
    if numel * buffer.dtype.size() == bytes {
        return Ok(());
    }
    Err(Error::Device(format!(
        "reference: {} is {} of {}, that is not {bytes} bytes",
        buffer.name, buffer.shape, buffer.dtype
    )))
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.chunks_exact(N).map(|chunk| chunk.try_into().expect("chunks of N have N bytes"))
}

fn fill<T, const N: usize>(bytes: &mut [u8], values: Vec<T>, to_bytes: impl Fn(T) -> [u8; N]) {
    for (chunk, value) in bytes.chunks_exact_mut(N).zip(values) {
        chunk.copy_from_slice(&to_bytes(value));
    }
}
