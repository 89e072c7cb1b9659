//! Random networks from spec text to execution.

use std::sync::Arc;

use candle_core::{DType, Device as CandleDevice};
use resnetc_compiler::build::build;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::plan::Plan;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Session as DeviceSession;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::reference::{ReferenceDevice, ReferenceSession};
use resnetc_tests::generate::spec;
use resnetc_tests::plans::cpu_session;
use resnetc_tests::rng::Rng;
use resnetc_tests::specs::resolve;
use resnetc_tests::training::{Session, compile_without, distance, feed, gradient_of, transfer};

fn compile(text: &str, mode: Mode) -> Plan {
    let graph = build(&resolve(text), mode, 3).unwrap_or_else(|faults| panic!("{text}\n{faults:?}"));
    compile_without(graph, &[])
}

/// `compile` checks each plan for overlaps.
#[test]
fn random_specs_compile_in_both_modes() {
    for seed in 0..60 {
        let text = spec(&mut Rng::new(seed));
        for mode in [Mode::Infer, Mode::Train] {
            let plan = compile(&text, mode);
            assert!(!plan.steps.is_empty(), "{text}");
        }
    }
}

#[test]
fn random_specs_train_on_the_oracle() {
    for seed in 0..8 {
        let text = spec(&mut Rng::new(seed));
        let mut session = Session::new(compile(&text, Mode::Train), seed);
        let gradients = session.gradients();
        assert!(session.loss().is_finite(), "{text}");
        for (name, gradient) in &gradients {
            assert!(gradient.iter().all(|g| g.is_finite()), "{name} of\n{text}");
        }
        let moved = gradients.values().flatten().filter(|g| **g != 0.0).count();
        let all: usize = gradients.values().map(Vec::len).sum();
        assert!(2 * moved > all, "{moved} of {all} gradients are not zero\n{text}");
    }
}

/// Rounding grows with depth and is amplified by each normalisation; a wrong kernel is off by the order of 1.
const TOLERANCE: f64 = 2e-3;

/// The reference in single precision. Where it rounds a number to the other side of a ReLU than the oracle, a gradient's whole
/// term is missing, and may be on other devices of that precision too.
fn single() -> ReferenceSession {
    let device = ReferenceDevice::new(CandleDevice::Cpu, DType::F32).expect("f32 is supported");
    Arc::new(device).open_session()
}

#[test]
fn random_specs_train_alike_on_the_cpu() {
    for seed in 0..12 {
        trains_alike_on_the_cpu(&spec(&mut Rng::new(seed)), seed);
    }
}

/// Padded and pooled shortcuts, shortcuts of other values than the input, and logits that are means of maps.
#[test]
fn padded_shortcuts_and_flattened_heads_train_alike_on_the_cpu() {
    for (seed, head) in (0..).zip([
        "conv1x1(classes) -> global_avgpool -> flatten",
        "global_avgpool -> flatten -> linear(classes)",
    ]) {
        let text = format!(
            "name: padded\ninput: [3, 9, 11]\nclasses: 5\nstem: conv3x3(8) -> bn -> relu\nunit: padded\nshortcut: pooled_pad\n\
             stages:\n  - {{depth: 2, filters: 8 + 3 * index}}\n  - {{depth: 2, filters: 16 + unit, stride: 2}}\nunits:\n\
             \x20 padded(f, stride): |\n\
             \x20   pre = x -> bn -> relu\n\
             \x20   wide = pre -> conv3x3(f, stride) -> pad_channels(f + 5, before=2) -> bn -> relu\n\
             \x20   out = (wide -> conv3x3(f)) + shortcut(changed=pre)\nhead: bn -> relu -> {head}\n"
        );
        trains_alike_on_the_cpu(&text, seed);
    }
}

/// Three steps on the CPU, held against the oracle.
fn trains_alike_on_the_cpu(text: &str, seed: u64) {
    let mut session = Session::new(compile(text, Mode::Train), seed);
    let plan = session.plan.clone();
    let (mut cpu, mut single) = (cpu_session(2, Isa::best()), single());
    let program = transfer(&session, &mut *cpu);
    let reference = transfer(&session, &mut single);
    for step in 0..3 {
        let args = RunArgs { lr: 0.02, seed: 1, step, ..RunArgs::default() };
        session.step(&args);
        let devices: [(&mut dyn DeviceSession, _); 2] = [(&mut *cpu, program), (&mut single, reference)];
        for (device, program) in devices {
            feed(&session, device, program);
            args.write(device, program, &plan).expect("it is written");
            device.run(program, None).expect("it runs");
        }
        let logits = plan.output("logits").expect("a network has logits");
        let gradients = session.trained().into_iter().map(|slot| gradient_of(&plan, slot.buffer));
        let parameters = plan.slots.iter().map(|slot| slot.buffer);
        let first: Vec<_> = [logits].into_iter().chain(gradients).collect();
        for id in parameters.chain(first.into_iter().filter(|_| step == 0)) {
            let distance = self::distance(&session, &*cpu, program, id);
            let name = &plan.buffer(id).name;
            let bound = TOLERANCE.max(2.0 * self::distance(&session, &single, reference, id));
            assert!(distance < bound, "step {step}, {name} is off by {distance:e}\n{text}");
        }
    }
}
