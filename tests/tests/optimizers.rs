//! The optimizers over several steps against figures made independently in double precision (`tests/golden/optimizers.py`), on every
//! device; and each one's kernel against the oracle.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::ir::op::{LambAttrs, LarsAttrs, LionAttrs, UpdateRule};
use resnetc_compiler::plan::Kernel;
use resnetc_compiler::plan::kernel::Update;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::cuda::emulated::{Choices, Emulated};
use resnetc_runtime::device::Session;
use resnetc_tests::bounds::{CASES, Products, check_kernel_with, oracle};
use resnetc_tests::emulated::{Threads, driver, session};
use resnetc_tests::kernels::MAKERS;
use resnetc_tests::operands::signature;
use resnetc_tests::plans::{PlanBuilder, cpu_session, from_bytes, to_bytes};
use resnetc_tests::rng::Rng;

const LEN: usize = 7;
const STEPS: u64 = 5;
const RATE: f32 = 0.05;

const LION: LionAttrs = LionAttrs { beta1: 0.9, beta2: 0.99, weight_decay: 0.5 };
const LAMB: LambAttrs = LambAttrs {
    beta1: 0.9,
    beta2: 0.999,
    eps: 1e-6,
    weight_decay: 0.01,
    trust_clip: false,
    always_adapt: false,
};
const LARS: LarsAttrs = LarsAttrs {
    momentum: 0.9,
    dampening: 0.0,
    nesterov: false,
    trust_coeff: 0.5,
    eps: 1e-8,
    weight_decay: 0.1,
    trust_clip: false,
    always_adapt: false,
};

/// In the order of the figures.
fn rules() -> Vec<UpdateRule> {
    vec![
        UpdateRule::Lion(LION),
        UpdateRule::Lion(LionAttrs { beta1: 0.5, beta2: 0.5, weight_decay: 0.0 }),
        UpdateRule::Lamb(LAMB),
        UpdateRule::Lamb(LambAttrs { weight_decay: 0.0, ..LAMB }),
        UpdateRule::Lamb(LambAttrs { weight_decay: 0.0, trust_clip: true, always_adapt: true, ..LAMB }),
        UpdateRule::Lars(LARS),
        UpdateRule::Lars(LarsAttrs { nesterov: true, trust_coeff: 0.05, trust_clip: true, ..LARS }),
        UpdateRule::Lars(LarsAttrs { momentum: 0.0, weight_decay: 0.0, always_adapt: true, ..LARS }),
    ]
}

/// The parameters after all steps on a device.
fn trained(device: &mut dyn Session, rule: UpdateRule) -> Vec<f32> {
    // Half the factor of twice the rate.
    let kernel = Kernel::from(Update { len: LEN, rule, lr_scale: 0.5, scaled: false });
    let operands = signature(&kernel).inputs;
    let mut builder = PlanBuilder::new(device.device().backend());
    let ids: Vec<_> = operands.iter().map(|operand| builder.buffer(operand)).collect();
    builder.step(kernel, &ids, &[]);
    let program = device.load(Arc::new(builder.finish())).expect("it loads");
    let at = |name: &str| operands.iter().position(|operand| operand.name == name).expect("an operand");
    let write = |device: &mut dyn Session, name: &str, values: &[f32]| {
        let bytes = to_bytes(&operands[at(name)], values);
        device.write(program, ids[at(name)], &bytes).expect("it is written");
    };
    let first: Vec<f32> = (0..LEN).map(|i| (i as f32 - 3.0) / 4.0).collect();
    write(device, "param", &first);
    write(device, "rate", &[2.0 * RATE]);
    for tensor in 0..rule.state().len() as u8 {
        let zeros = vec![0; LEN * 4];
        device.device().write_optimizer(program, ids[at("param")], tensor, &zeros).expect("it is written");
    }
    for t in 0..STEPS {
        let gradient = |i: usize| ((i as u64 * 7 + t * 13) % 97) as f32 / 64.0 - 48.5 / 64.0;
        write(device, "grad", &(0..LEN).map(gradient).collect::<Vec<f32>>());
        device.write(program, ids[at("step")], &t.to_ne_bytes()).expect("it is written");
        device.run(program, None).expect("it runs");
    }
    let mut bytes = vec![0; LEN * 4];
    device.read(program, ids[at("param")], &mut bytes).expect("it is read");
    from_bytes(&operands[at("param")], &bytes)
}

/// The GPU's kernels on the CPU.
fn emulated() -> Emulated {
    let choices = Choices { seed: 1, fuses: false, memory: None };
    driver(Path::new(env!("CARGO_TARGET_TMPDIR")), Threads::Fibers, choices)
}

fn devices() -> Vec<Box<dyn Session>> {
    let mut devices: Vec<Box<dyn Session>> = vec![Box::new(oracle()), session(&emulated())];
    devices.extend(Isa::ALL.into_iter().filter(|isa| isa.available()).map(|isa| cpu_session(2, isa)));
    devices
}

#[test]
fn five_steps_have_the_figures_of_the_formulas() {
    let figures: Vec<&str> = include_str!("../golden/optimizers.txt").lines().collect();
    assert_eq!(figures.len(), rules().len());
    for (rule, line) in rules().into_iter().zip(figures) {
        let (name, values) = line.split_once(": ").expect("a name and values");
        assert_eq!(format!("{} {}", rule.name(), rule.constants()), name);
        let exact: Vec<f64> = values.split(' ').map(|value| value.parse().expect("a number")).collect();
        for mut device in devices() {
            let found = trained(&mut *device, rule);
            assert_eq!(found.len(), exact.len());
            for (found, exact) in found.iter().zip(&exact) {
                // Five steps of some ten roundings each, of numbers below 2.
                let apart = (f64::from(*found) - exact).abs();
                assert!(apart < 3e-6, "{name} on {}: {found}, not {exact}", device.device().describe());
            }
        }
    }
}

/// Each optimizer's kernel on random data, on every device; and those that sum gradients over batches and average weights.
#[test]
fn kernels_agree_with_the_oracle() {
    let driver = emulated();
    let beside = ["accumulate", "average"];
    let is_rule = |name: &str| name.ends_with("_update") && name != "loss_scale_update";
    let makers = MAKERS.iter().filter(|(name, _)| is_rule(name) || beside.contains(name));
    for (name, maker) in makers {
        for seed in 0..CASES {
            let kernel = maker(&mut Rng::new(seed));
            check_kernel_with(&|| session(&driver), &kernel, seed, Products::Stored).expect(name);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
                check_kernel_with(&|| cpu_session(3, isa), &kernel, seed, Products::Whole).expect(name);
            }
        }
    }
}
