//! The optimizers over several steps against figures made independently in double precision (`tests/golden/optimizers.py`), on every
//! device; and each one's kernel against the oracle.

use std::path::Path;
use std::sync::Arc;

use resnetc_compiler::ir::op::{LambAttrs, LarsAttrs, LionAttrs, MuonAttrs, UpdateRule};
use resnetc_compiler::ir::update::Matrix;
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
    let kernel = Kernel::from(Update { len: LEN, rule, lr_scale: 0.5, matrix: None, scaled: false });
    steps(device, kernel, rule, &[0, 1, 2, 3, 4, 5, 6])
}

/// The parameters of an update after all steps; in memory they lie in this order.
fn steps(device: &mut dyn Session, kernel: Kernel, rule: UpdateRule, order: &[usize]) -> Vec<f32> {
    let operands = signature(&kernel).inputs;
    let len = order.len();
    let mut builder = PlanBuilder::new(device.device().backend());
    let ids: Vec<_> = operands.iter().map(|operand| builder.buffer(operand)).collect();
    builder.step(kernel, &ids, &[]);
    let program = device.load(Arc::new(builder.finish())).expect("it loads");
    let at = |name: &str| operands.iter().position(|operand| operand.name == name).expect("an operand");
    let write = |device: &mut dyn Session, name: &str, values: &[f32]| {
        let bytes = to_bytes(&operands[at(name)], values);
        device.write(program, ids[at(name)], &bytes).expect("it is written");
    };
    let first: Vec<f32> = order.iter().map(|i| ((i % 7) as f32 - 3.0) / 4.0).collect();
    write(device, "param", &first);
    write(device, "rate", &[2.0 * RATE]);
    for tensor in 0..rule.state().len() as u8 {
        let zeros = vec![0; len * 4];
        device.device().write_optimizer(program, ids[at("param")], tensor, &zeros).expect("it is written");
    }
    for t in 0..STEPS {
        let gradient = |&i: &usize| ((i as u64 * 7 + t * 13) % 97) as f32 / 64.0 - 48.5 / 64.0;
        write(device, "grad", &order.iter().map(gradient).collect::<Vec<f32>>());
        device.write(program, ids[at("step")], &t.to_ne_bytes()).expect("it is written");
        device.run(program, None).expect("it runs");
    }
    let mut bytes = vec![0; len * 4];
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

const MUON: MuonAttrs = MuonAttrs {
    momentum: 0.95,
    nesterov: true,
    weight_decay: 0.1,
    adamw_lr: 3e-4,
    adamw_beta1: 0.9,
    adamw_beta2: 0.95,
    adamw_eps: 1e-10,
};

/// An element of a filter `[out, in, kh, kw]` in the three orders that layouts have: which one of the logical order each is.
fn orders([out, cin, kh, kw]: [usize; 4]) -> [(Matrix, Vec<usize>); 3] {
    let taps = kh * kw;
    let matrix = |outputs_are_rows| {
        let [rows, cols] = if outputs_are_rows { [out, cin * taps] } else { [cin * taps, out] };
        Matrix { rows, cols, outputs_are_rows }
    };
    let place = |o: usize, tap: usize, i: usize| (o * cin + i) * taps + tap;
    let ohwi = (0..out * cin * taps).map(|at| place(at / (cin * taps), at / cin % taps, at % cin));
    let hwio = (0..out * cin * taps).map(|at| place(at % out, at / (out * cin), at / out % cin));
    [
        (matrix(true), (0..out * cin * taps).collect()),
        (matrix(true), ohwi.collect()),
        (matrix(false), hwio.collect()),
    ]
}

/// Filters with fewer outputs than columns, and with more, in each layout.
#[test]
fn muon_has_the_figures_of_its_formula_in_each_layout() {
    let figures: Vec<&str> = include_str!("../golden/muon.txt").lines().collect();
    let plain = MuonAttrs { nesterov: false, weight_decay: 0.0, momentum: 0.5, ..MUON };
    let cases = [([3, 2, 3, 3], MUON), ([12, 4, 1, 1], MUON), ([4, 4, 1, 1], plain), ([30, 2, 3, 3], plain)];
    assert_eq!(figures.len(), cases.len());
    for ((shape, attrs), line) in cases.into_iter().zip(figures) {
        let (name, values) = line.split_once(": ").expect("a name and values");
        let rule = UpdateRule::Muon(attrs);
        assert!(name.starts_with(&format!("{shape:?} muon momentum {} ", attrs.momentum)), "{name}");
        let exact: Vec<f64> = values.split(' ').map(|value| value.parse().expect("a number")).collect();
        for (matrix, order) in orders(shape) {
            // An error in a matrix of norm 1 grows by 3.4445 in each of the iteration's five steps, and enters by the step's length.
            let bound =
                STEPS as f64 * f64::from(RATE) * matrix.scale() * 485.0 * 32.0 * f64::from(f32::EPSILON);
            let kernel =
                Update { len: order.len(), rule, lr_scale: 0.5, matrix: Some(matrix), scaled: false };
            for mut device in devices() {
                let found = steps(&mut *device, kernel.into(), rule, &order);
                for (&at, found) in order.iter().zip(&found) {
                    let apart = (f64::from(*found) - exact[at]).abs();
                    let on = device.device().describe();
                    assert!(apart < bound, "{name} on {on}, {matrix:?}: {found}, not {}", exact[at]);
                }
            }
        }
    }
}

/// What the quintic makes of singular values that are not tiny: between 0.68 and 1.14, so that the squares of the result's, the eigenvalues
/// of its product with itself, are within 0.46 and 1.3 (Jordan et al. 2024). Of random matrices of each orientation.
#[test]
fn muon_makes_singular_values_about_one() {
    let rule = UpdateRule::Muon(MuonAttrs { weight_decay: 0.0, momentum: 0.0, ..MUON });
    for (rows, cols) in [(8, 72), (72, 8), (33, 96), (96, 33)] {
        let matrix = Matrix { rows, cols, outputs_are_rows: true };
        let mut random = Rng::new(7);
        let grad: Vec<f32> = (0..rows * cols).map(|_| random.normal()).collect();
        for mut device in devices() {
            let moved = one_step(&mut *device, matrix, rule, &grad);
            let scale = matrix.scale() as f32 * RATE;
            let orthogonal = |row: usize, col: usize| -moved[row * cols + col] / scale;
            let [_, short] = matrix.sides();
            let at = |i: usize, t: usize| if matrix.is_wide() { orthogonal(i, t) } else { orthogonal(t, i) };
            // The product of a unit vector with the matrix is as long as its singular values allow.
            for _ in 0..8 {
                let v: Vec<f32> = (0..short).map(|_| random.normal()).collect();
                let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
                let image: Vec<f32> = (0..matrix.sides()[0])
                    .map(|t| v.iter().enumerate().map(|(i, x)| at(i, t) * x).sum::<f32>())
                    .collect();
                let stretch = norm(&image) / norm(&v);
                let on = device.device().describe();
                assert!((0.68..1.14).contains(&stretch), "{rows}x{cols} on {on}: {stretch}");
            }
        }
    }
}

/// What one step makes of a parameter that is 0.
fn one_step(device: &mut dyn Session, matrix: Matrix, rule: UpdateRule, grad: &[f32]) -> Vec<f32> {
    let kernel = Update { len: grad.len(), rule, lr_scale: 1.0, matrix: Some(matrix), scaled: false };
    let operands = signature(&kernel.into()).inputs;
    let mut builder = PlanBuilder::new(device.device().backend());
    let ids: Vec<_> = operands.iter().map(|operand| builder.buffer(operand)).collect();
    builder.step(kernel.into(), &ids, &[]);
    let program = device.load(Arc::new(builder.finish())).expect("it loads");
    let zeros = vec![0.0; grad.len()];
    for (operand, &id) in operands.iter().zip(&ids) {
        let bytes = match operand.name {
            "grad" => to_bytes(operand, grad),
            "param" => to_bytes(operand, &zeros),
            "rate" => to_bytes(operand, &[RATE]),
            _ => continue,
        };
        device.write(program, id, &bytes).expect("it is written");
    }
    device.device().write_optimizer(program, ids[0], 0, &vec![0; grad.len() * 4]).expect("it is written");
    device.write(program, ids[ids.len() - 1], &0u64.to_ne_bytes()).expect("it is written");
    device.run(program, None).expect("it runs");
    let mut bytes = vec![0; grad.len() * 4];
    device.read(program, ids[0], &mut bytes).expect("it is read");
    from_bytes(&operands[0], &bytes)
}
