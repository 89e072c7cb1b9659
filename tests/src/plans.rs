//! Plans built by hand, a kernel or a few, and their data in and out of a device.

use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::types::{DType, Layout};
use resnetc_compiler::plan::kernel::{AccumulateGradients, Average};
use resnetc_compiler::plan::{Buffer, BufferId, Controls, Kernel, Plan, Region, RegionSizes, Slice, Step};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::{Device, ProgramId, Session};
use resnetc_runtime::error::Result;

use crate::operands::{Operand, Signature, signature};

/// Collects buffers and steps; every buffer gets memory of its own unless told otherwise.
#[derive(Debug, Default)]
pub struct PlanBuilder {
    backend: Backend,
    buffers: Vec<Buffer>,
    steps: Vec<Step>,
    optimizer: Vec<String>,
}

impl PlanBuilder {
    /// Of a plan for a backend; by default it is the CPU's.
    pub fn new(backend: Backend) -> Self {
        PlanBuilder { backend, ..PlanBuilder::default() }
    }

    /// A new buffer behind all others of its region.
    pub fn buffer(&mut self, operand: &Operand) -> BufferId {
        let offset = self.end(operand.region);
        self.buffer_at(operand, offset)
    }

    /// A new buffer at an offset of its region.
    pub fn buffer_at(&mut self, operand: &Operand, offset: usize) -> BufferId {
        let id = BufferId(u32::try_from(self.buffers.len()).expect("plans here are small"));
        let bytes = operand.shape.numel().expect("generated shapes are small") * operand.dtype.size();
        self.buffers.push(Buffer {
            name: format!("b{}", id.0),
            shape: operand.shape.clone(),
            dtype: operand.dtype,
            layout: operand.layout,
            region: operand.region,
            offset,
            bytes,
            live: None,
            slice: None,
            span: None,
        });
        id
    }

    /// A new buffer of as many channels of a map as the operand has, from `start` on.
    pub fn slice(&mut self, operand: &Operand, of: BufferId, start: usize) -> BufferId {
        let offset = self.buffers[of.0 as usize].offset + start * operand.dtype.size();
        let id = self.buffer_at(operand, offset);
        self.buffers[id.0 as usize].slice = Some(Slice { of, start });
        id
    }

    /// A new step.
    pub fn step(&mut self, kernel: Kernel, inputs: &[BufferId], outputs: &[BufferId]) {
        let name = format!("step{}", self.steps.len());
        if let Kernel::Update(update) = &kernel {
            self.optimizer = update.rule.state().iter().map(|&tensor| tensor.to_owned()).collect();
        }
        if let Kernel::AccumulateGradients(AccumulateGradients { tensor, .. })
        | Kernel::Average(Average { tensor: Some(tensor), .. }) = kernel
        {
            self.optimizer = (0..=tensor).map(|index| format!("tensor{index}")).collect();
        }
        self.steps.push(Step { name, kernel, inputs: inputs.to_vec(), outputs: outputs.to_vec() });
    }

    fn end(&self, region: Region) -> usize {
        let ends = self.buffers.iter().filter(|b| b.region == region).map(|b| b.offset + b.bytes);
        ends.max().unwrap_or(0).next_multiple_of(self.backend.align)
    }

    /// The plan; every buffer of the arena lives from the first step to the last.
    pub fn finish(mut self) -> Plan {
        let last = self.steps.len().saturating_sub(1);
        for buffer in self.buffers.iter_mut().filter(|b| b.region == Region::Arena) {
            buffer.live = Some((0, last));
        }
        let trained = [Region::Params, Region::Grads, Region::Optimizer(0), Region::Optimizer(1)];
        let trained = trained.map(|r| self.end(r));
        Plan {
            name: "by hand".into(),
            mode: Mode::Train,
            align: self.backend.align,
            layouts: self.backend.layouts,
            tf32: false,
            deterministic: true,
            ranks: None,
            batch: 1,
            sizes: RegionSizes {
                arena: self.end(Region::Arena),
                params: trained.into_iter().max().unwrap_or(0),
                frozen: 0,
                state: self.end(Region::State),
                control: self.end(Region::Control),
            },
            buffers: self.buffers,
            steps: self.steps,
            slots: Vec::new(),
            input: BufferId(0),
            labels: None,
            partners: None,
            teacher: None,
            class_weights: Vec::new(),
            controls: Controls::default(),
            optimizer: self.optimizer,
            shards: Vec::new(),
            outputs: Vec::new(),
        }
    }
}

/// Elements of all outputs of a kernel, and of all its inputs after it ran; in logical order.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// In the kernel's order.
    pub outputs: Vec<Vec<f32>>,
    /// Inputs may be updated in place.
    pub inputs: Vec<Vec<f32>>,
}

/// The end of a region's memory that a buffer is laid at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its first byte is the region's.
    Start,
    /// Its last byte is the region's.
    End,
}

/// Lays one buffer, and what lies exactly on it, at an edge of its region; the others keep away from it.
pub fn lay_at_edge(plan: &mut Plan, id: BufferId, edge: Edge) {
    let Buffer { region, offset, .. } = *plan.buffer(id);
    let align = plan.align;
    let here = |b: &Buffer| (b.region, b.offset) == (region, offset);
    let room = plan.buffers.iter().filter(|b| here(b)).map(|b| b.bytes).max().unwrap_or(0);
    let size = match region {
        Region::Arena => &mut plan.sizes.arena,
        Region::Params | Region::Grads | Region::Optimizer(_) => &mut plan.sizes.params,
        Region::State => &mut plan.sizes.state,
        Region::Control => &mut plan.sizes.control,
    };
    let end = size.next_multiple_of(align);
    let moved = match edge {
        Edge::Start => room.next_multiple_of(align),
        Edge::End => 0,
    };
    *size = end + if edge == Edge::Start { moved } else { room };
    for buffer in plan.buffers.iter_mut().filter(|b| b.region == region) {
        buffer.offset = match (here(buffer), edge) {
            (true, Edge::Start) => 0,
            (true, Edge::End) => end,
            (false, _) => buffer.offset + moved,
        };
    }
}

/// A plan of one kernel with operands as one of its signatures says, each in memory of its own: inputs first, then outputs.
pub fn kernel_plan(kernel: &Kernel, Signature { inputs, outputs }: &Signature) -> Plan {
    let mut builder = PlanBuilder::default();
    let read: Vec<BufferId> = inputs.iter().map(|o| builder.buffer(o)).collect();
    let written: Vec<BufferId> = outputs.iter().map(|o| builder.buffer(o)).collect();
    builder.step(kernel.clone(), &read, &written);
    builder.finish()
}

/// A session of a CPU device of its own.
///
/// # Panics
/// Where the machine has no such instructions.
pub fn cpu_session(threads: usize, isa: Isa) -> Box<dyn Session> {
    let device = CpuDevice::with_isa(threads, isa).expect("the machine has the instructions");
    Arc::new(device).session().expect("as many threads")
}

/// Runs one kernel on given inputs (elements in logical order), all maps being stored as `f32`. `in_place` pairs an output
/// with the input that it lies on, which then is not read back.
///
/// # Errors
/// Those of the device.
pub fn run_kernel(
    device: &mut dyn Session,
    kernel: &Kernel,
    data: &[Vec<f32>],
    in_place: &[(usize, usize)],
) -> Result<Results> {
    run_stored(device, kernel, &signature(kernel), data, in_place)
}

/// The same with operands as one of the kernel's signatures says, in the orders in memory that the device takes.
///
/// # Errors
/// Those of the device.
pub fn run_stored(
    device: &mut dyn Session,
    kernel: &Kernel,
    signature: &Signature,
    data: &[Vec<f32>],
    in_place: &[(usize, usize)],
) -> Result<Results> {
    let backend = device.device().backend();
    let Signature { inputs, outputs } = &signature.laid_out(&backend);
    let mut builder = PlanBuilder::new(backend);
    let read: Vec<BufferId> = inputs.iter().map(|o| builder.buffer(o)).collect();
    let mut written = Vec::with_capacity(outputs.len());
    for (i, output) in outputs.iter().enumerate() {
        let below = in_place.iter().find(|&&(o, _)| o == i).map(|&(_, input)| read[input]);
        written.push(match below {
            Some(id) => {
                let offset = builder.buffers[id.0 as usize].offset;
                builder.buffer_at(output, offset)
            }
            None => builder.buffer(output),
        });
    }
    builder.step(kernel.clone(), &read, &written);
    let program = device.load(Arc::new(builder.finish()))?;
    for ((&id, operand), values) in read.iter().zip(inputs).zip(data) {
        device.write(program, id, &to_bytes(operand, values))?;
    }
    device.run(program, None)?;
    let mut results = Results { outputs: Vec::new(), inputs: Vec::new() };
    for (&id, operand) in written.iter().zip(outputs) {
        results.outputs.push(read_values(device, program, id, operand)?);
    }
    let overwritten = |i: usize| in_place.iter().any(|&(_, input)| input == i);
    for i in (0..inputs.len()).filter(|&i| !overwritten(i)) {
        results.inputs.push(read_values(device, program, read[i], &inputs[i])?);
    }
    Ok(results)
}

fn read_values(
    device: &dyn Session,
    program: ProgramId,
    id: BufferId,
    operand: &Operand,
) -> Result<Vec<f32>> {
    let numel = operand.shape.numel().expect("generated shapes are small");
    let mut bytes = vec![0; numel * operand.dtype.size()];
    device.read(program, id, &mut bytes)?;
    Ok(from_bytes(operand, &bytes))
}

/// For each element in logical order, its index in memory.
fn stored_indices(operand: &Operand) -> Vec<usize> {
    let dims = &operand.shape.0;
    let numel = operand.shape.numel().expect("generated shapes are small");
    (0..numel)
        .map(|i| match (operand.layout, dims.as_slice()) {
            (Layout::Nhwc | Layout::Ohwi, &[_, c, h, w]) => {
                let (image, channel, pixel) = (i / (c * h * w), i / (h * w) % c, i % (h * w));
                (image * h * w + pixel) * c + channel
            }
            (Layout::Hwio, &[cout, cin, kh, kw]) => {
                let (o, ci, tap) = (i / (cin * kh * kw), i / (kh * kw) % cin, i % (kh * kw));
                (tap * cin + ci) * cout + o
            }
            (Layout::Hwio, &[out, inputs]) => i % inputs * out + i / inputs,
            (Layout::Plain | Layout::Nhwc | Layout::Hwio | Layout::Ohwi, _) => i,
        })
        .collect()
}

/// Elements in logical order to the bytes of an operand's memory.
pub fn to_bytes(operand: &Operand, values: &[f32]) -> Vec<u8> {
    let size = operand.dtype.size();
    let mut bytes = vec![0; values.len() * size];
    for (&at, &value) in stored_indices(operand).iter().zip(values) {
        let element = &mut bytes[at * size..(at + 1) * size];
        match operand.dtype {
            DType::F32 => element.copy_from_slice(&value.to_ne_bytes()),
            DType::Bf16 => element.copy_from_slice(&((value.to_bits() >> 16) as u16).to_ne_bytes()),
            DType::F16 => element.copy_from_slice(&half::f16::from_f32(value).to_ne_bytes()),
            DType::U8 => element[0] = value as u8,
            DType::U32 => element.copy_from_slice(&(value as u32).to_ne_bytes()),
            DType::U64 => element.copy_from_slice(&(value as u64).to_ne_bytes()),
        }
    }
    bytes
}

/// The bytes of an operand's memory to elements in logical order.
pub fn from_bytes(operand: &Operand, bytes: &[u8]) -> Vec<f32> {
    let size = operand.dtype.size();
    let element = |at: usize| &bytes[at * size..(at + 1) * size];
    let four = |at: usize| element(at).try_into().expect("elements of four bytes");
    let value = |at: usize| match operand.dtype {
        DType::F32 => f32::from_ne_bytes(four(at)),
        DType::Bf16 => {
            let half = element(at).try_into().expect("elements of two bytes");
            f32::from_bits(u32::from(u16::from_ne_bytes(half)) << 16)
        }
        DType::F16 => {
            let half = element(at).try_into().expect("elements of two bytes");
            half::f16::from_ne_bytes(half).to_f32()
        }
        DType::U8 => f32::from(element(at)[0]),
        DType::U32 => u32::from_ne_bytes(four(at)) as f32,
        DType::U64 => {
            let eight = element(at).try_into().expect("elements of eight bytes");
            u64::from_ne_bytes(eight) as f32
        }
    };
    stored_indices(operand).into_iter().map(value).collect()
}
