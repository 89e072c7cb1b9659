//! No kernel of the CPU device reads or writes outside of its operands: each of them in turn lies beside a page that
//! faults when touched, and so does every workspace.
//!
//! A fault ends the process, so the kernels run in one of their own, this test again with `RESNETC_GUARD` saying the side.

use resnetc_compiler::plan::kernel::{Conv, ConvBackwardData, ConvBackwardFilter};
use std::sync::Arc;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::op::{ConvAttrs, Epilogue};
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::{BufferId, ConvGeometry, Kernel, Region};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::memory::{Side, guard_memory};
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Device;
use resnetc_tests::again::{only, passed};
use resnetc_tests::kernels::{MAKERS, conv};
use resnetc_tests::operands::{Signature, signature, stored_signatures};
use resnetc_tests::plans::{Edge, cpu_session, kernel_plan, lay_at_edge, to_bytes};
use resnetc_tests::rng::Rng;

/// Kernels of each kind.
const CASES: u64 = 6;

/// Random convolutions beside those.
const CONVOLUTIONS: u64 = 40;

const VARIABLE: &str = "RESNETC_GUARD";

/// Runs the test of the kernels in a process with guard pages on one side.
fn guarded(side: &str) {
    let output =
        only(module_path!(), "every_operand_at_the_edge").env(VARIABLE, side).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| line.contains("operand")).unwrap_or("before the first kernel");
    assert!(passed(&output), "{} at {last}", output.status);
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_touched_behind_operands() {
    guarded("after");
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_touched_before_operands() {
    guarded("before");
}

#[test]
#[ignore = "started by the two tests above"]
fn every_operand_at_the_edge() {
    let before = std::env::var(VARIABLE).is_ok_and(|side| side == "before");
    let (side, edge) = if before { (Side::Before, Edge::Start) } else { (Side::After, Edge::End) };
    guard_memory(side);
    let random = MAKERS.iter().flat_map(|&(_, make)| (0..CASES).map(move |case| make(&mut Rng::new(case))));
    let convolutions = (0..CONVOLUTIONS).flat_map(|case| all_of(conv(&mut Rng::new(100 + case))));
    for kernel in random.chain(convolutions).chain(winograd().into_iter().flat_map(all_of)) {
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            for threads in [1, 3] {
                for stored in stored_signatures(&kernel, Backend::CPU.narrow) {
                    for operand in 0..stored.inputs.len() + stored.outputs.len() {
                        let types = stored.types();
                        eprintln!(
                            "operand {operand} of {kernel:?}, {types}, {}, {threads} threads",
                            isa.name()
                        );
                        run(&kernel, &stored, isa, threads, BufferId(operand as u32), edge);
                    }
                }
            }
        }
    }
}

/// A convolution and its gradients.
fn all_of(geometry: ConvGeometry) -> [Kernel; 3] {
    [
        Kernel::Conv(Conv { geometry, bias: true, epilogue: Epilogue { residual: true, act: None } }),
        Kernel::ConvBackwardData(ConvBackwardData { geometry, residual: true }),
        Kernel::ConvBackwardFilter(ConvBackwardFilter { geometry }),
    ]
}

/// Sizes at which the cost model takes F(4x4, 3x3), which the random ones are mostly too small for.
fn winograd() -> [ConvGeometry; 3] {
    let attrs = ConvAttrs { kernel: [3; 2], stride: [1; 2], padding: [1; 2], dilation: [1; 2], groups: 1 };
    [[14, 14, 64, 64], [13, 9, 48, 64], [15, 7, 64, 32]].map(|[h, w, cin, cout]| ConvGeometry {
        n: 2,
        h,
        w,
        cin,
        cout,
        out: [h, w],
        attrs,
        precision: DType::F32,
    })
}

fn run(kernel: &Kernel, stored: &Signature, isa: Isa, threads: usize, id: BufferId, edge: Edge) {
    let mut plan = kernel_plan(kernel, stored);
    // In inference, weights are packed once and kept.
    if plan.buffers.iter().all(|b| matches!(b.region, Region::Arena | Region::Params)) {
        plan.mode = Mode::Infer;
    }
    lay_at_edge(&mut plan, id, edge);
    let mut device = cpu_session(threads, isa);
    let program = device.load(Arc::new(plan)).expect("a sound plan");
    let mut rng = Rng::new(7);
    for (at, operand) in stored.inputs.iter().enumerate() {
        let bytes = to_bytes(operand, &operand.generate(&mut rng));
        device.write(program, BufferId(at as u32), &bytes).expect("as long as the buffer");
    }
    device.run(program, None).expect("it runs");
}

#[test]
fn the_sizes_for_winograd_take_it() {
    let isa = Isa::Avx512;
    if !isa.available() {
        return;
    }
    for geometry in winograd() {
        for kernel in all_of(geometry) {
            let device = CpuDevice::with_isa(1, isa).expect("the instructions are there");
            let program =
                device.load(Arc::new(kernel_plan(&kernel, &signature(&kernel)))).expect("a sound plan");
            let choice = device.choice(program, 0).expect("convolutions have several ways");
            assert_eq!(choice.algorithm, "winograd", "{kernel:?}: {choice:?}");
        }
    }
}
