//! Runs one kernel as a plan of a single step on the CPU device, and compares it with the `f64` oracle.

use std::sync::Arc;

use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::types::{DType, Layout, Shape};
use resnetc_compiler::plan::{ALIGN, Buffer, BufferId, Kernel, Plan, Region, RegionSizes, Step};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::naive;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::{Device, RunArgs};

/// A tensor's type and values; every value is one of the type.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub dtype: DType,
    pub values: Vec<f64>,
}

/// One output: its type, its length, and the largest error allowed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub dtype: DType,
    pub len: usize,
    pub tolerance: f64,
}

/// A kernel call.
#[derive(Debug, Clone)]
pub struct Case {
    pub kernel: Kernel,
    pub args: RunArgs,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Output>,
    /// Inputs updated in place, and the largest error allowed in each.
    pub updated: Vec<(usize, f64)>,
    /// Ways to lay outputs over inputs, beside "all apart": the input under each output.
    pub aliases: Vec<Vec<Option<usize>>>,
}

/// Error of `roundings` roundings of values up to `magnitude`: each is off by half a unit in the last place at most.
pub fn rounding(roundings: usize, magnitude: f64) -> f64 {
    roundings as f64 * 0.5 * f64::from(f32::EPSILON) * magnitude
}

/// Deterministic values: a linear congruential generator (Knuth's constants), upper bits.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }

    /// `len` floats in `low..high`.
    pub fn floats(&mut self, len: usize, low: f64, high: f64) -> Tensor {
        let values = (0..len).map(|_| f64::from((low + (high - low) * self.next()) as f32)).collect();
        Tensor { dtype: DType::F32, values }
    }

    /// `len` whole numbers below `end`.
    pub fn whole(&mut self, dtype: DType, len: usize, end: usize) -> Tensor {
        Tensor { dtype, values: (0..len).map(|_| (self.next() * end as f64).floor()).collect() }
    }
}

fn to_bytes(t: &Tensor) -> Vec<u8> {
    t.values
        .iter()
        .flat_map(|&v| match t.dtype {
            DType::F32 => (v as f32).to_le_bytes().to_vec(),
            DType::U32 => (v as u32).to_le_bytes().to_vec(),
            DType::U8 => vec![v as u8],
            DType::Bf16 => unreachable!("no kernel takes bf16 yet"),
        })
        .collect()
}

fn from_bytes(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let word = |c: &[u8]| <[u8; 4]>::try_from(c).expect("four bytes");
    match dtype {
        DType::F32 => bytes.chunks_exact(4).map(|c| f64::from(f32::from_le_bytes(word(c)))).collect(),
        DType::U32 => bytes.chunks_exact(4).map(|c| f64::from(u32::from_le_bytes(word(c)))).collect(),
        DType::U8 => bytes.iter().map(|&b| f64::from(b)).collect(),
        DType::Bf16 => unreachable!("no kernel takes bf16 yet"),
    }
}

/// A plan of one step: all buffers in the arena, one after the other but for the aliases.
fn plan(case: &Case, alias: &[Option<usize>]) -> Plan {
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut end = 0;
    let sizes = case.inputs.iter().map(|t| (t.dtype, t.values.len(), None));
    let outputs = case.outputs.iter().zip(alias).map(|(o, &on)| (o.dtype, o.len, on));
    for (i, (dtype, len, on)) in sizes.chain(outputs).enumerate() {
        let bytes = len * dtype.size();
        let offset = on.map_or(end, |input: usize| buffers[input].offset);
        end = end.max((offset + bytes).next_multiple_of(ALIGN));
        let (shape, layout, region) = (Shape::from([len]), Layout::Plain, Region::Arena);
        let name = format!("b{i}");
        buffers.push(Buffer {
            name,
            shape,
            dtype,
            layout,
            region,
            offset,
            bytes,
            live: Some((0, 0)),
            slice: None,
        });
    }
    let ids = |range: std::ops::Range<usize>| range.map(|i| BufferId(i as u32)).collect();
    let count = case.inputs.len();
    let step = Step {
        name: "step".into(),
        kernel: case.kernel.clone(),
        inputs: ids(0..count),
        outputs: ids(count..buffers.len()),
    };
    Plan {
        name: "one step".into(),
        mode: Mode::Infer,
        batch: 1,
        sizes: RegionSizes { arena: end, params: 0, state: 0 },
        buffers,
        steps: vec![step],
        slots: Vec::new(),
        input: BufferId(0),
        labels: None,
        outputs: Vec::new(),
    }
}

/// Runs the kernel; returns the outputs, then the updated inputs.
pub fn run(case: &Case, isa: Isa, threads: usize, alias: &[Option<usize>]) -> Vec<Vec<f64>> {
    let mut device = CpuDevice::with_isa(threads, isa).expect("the machine has it");
    let plan = Arc::new(plan(case, alias));
    let program = device.load(Arc::clone(&plan)).expect("the plan is sound");
    // Outputs start as NaN or 255, so that an element left out shows.
    for (i, output) in case.outputs.iter().enumerate() {
        let bytes = vec![0xff; output.len * output.dtype.size()];
        device.write(program, BufferId((case.inputs.len() + i) as u32), &bytes).expect("write");
    }
    for (i, tensor) in case.inputs.iter().enumerate() {
        device.write(program, BufferId(i as u32), &to_bytes(tensor)).expect("write");
    }
    device.run(program, &case.args, None).expect("run");
    let outputs = (0..case.outputs.len()).map(|i| case.inputs.len() + i);
    let read = |i: usize| {
        let buffer = &plan.buffers[i];
        let mut bytes = vec![0; buffer.bytes];
        device.read(program, BufferId(i as u32), &mut bytes).expect("read");
        from_bytes(buffer.dtype, &bytes)
    };
    outputs.chain(case.updated.iter().map(|&(i, _)| i)).map(read).collect()
}

/// Compares the kernel with its oracle on every instruction set, several numbers of threads and all aliases; and two runs
/// with each other, bit for bit.
pub fn check(case: &Case) {
    let inputs: Vec<&[f64]> = case.inputs.iter().map(|t| t.values.as_slice()).collect();
    let expected = naive::run(&case.kernel, &case.args, &inputs).expect("not a convolution");
    let tolerances = case.outputs.iter().map(|o| o.tolerance).chain(case.updated.iter().map(|u| u.1));
    let tolerances: Vec<f64> = tolerances.collect();
    assert_eq!(expected.len(), tolerances.len(), "{:?}", case.kernel);
    let apart = vec![None; case.outputs.len()];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
        for threads in [1, 3] {
            for alias in std::iter::once(&apart).chain(&case.aliases) {
                let found = run(case, isa, threads, alias);
                let place = format!("{:?}, {}, {threads} threads, {alias:?}", case.kernel, isa.name());
                for (nth, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    compare(found, expected, tolerances[nth], &format!("{place}, result {nth}"));
                }
                let again = run(case, isa, threads, alias);
                assert!(same_bits(&found, &again), "{place}: two runs differ");
            }
        }
    }
}

fn same_bits(a: &[Vec<f64>], b: &[Vec<f64>]) -> bool {
    a.iter().flatten().map(|v| v.to_bits()).eq(b.iter().flatten().map(|v| v.to_bits()))
}

fn compare(found: &[f64], expected: &[f64], tolerance: f64, place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        let equal = f == e || f.is_nan() && e.is_nan();
        assert!(
            equal || (f - e).abs() <= tolerance,
            "{place}: element {i} is {f}, expected {e} +- {tolerance:e}"
        );
    }
}
