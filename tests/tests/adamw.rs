//! AdamW over a hundred steps against its documented formula in double precision.

use std::sync::Arc;

use resnetc_compiler::ir::op::{AdamWAttrs, UpdateRule};
use resnetc_compiler::plan::Kernel;
use resnetc_compiler::plan::kernel::Update;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Session;
use resnetc_tests::bounds::oracle;
use resnetc_tests::operands::signature;
use resnetc_tests::plans::{PlanBuilder, cpu_session, from_bytes, to_bytes};

/// Parameters.
const LEN: usize = 37;
const STEPS: u64 = 100;
const RATE: f32 = 0.01;

/// Of parameter `i` at first.
fn start(i: usize) -> f32 {
    (i as f32 - 18.0) / 16.0
}

/// Of parameter `i` in step `t`, exact in `f32`: multiples of 1/64.
fn gradient(i: usize, t: u64) -> f32 {
    let x = (i as u64 * 7 + t * 13) % 97;
    (x as f32 - 48.0) / 64.0
}

/// The parameters after all steps on a device.
fn trained(device: &mut dyn Session, attrs: AdamWAttrs) -> Vec<f32> {
    let kernel = Kernel::from(Update {
        len: LEN,
        rule: UpdateRule::AdamW(attrs),
        lr_scale: 1.0,
        matrix: None,
        scaled: false,
    });
    let operands = signature(&kernel).inputs;
    let mut builder = PlanBuilder::default();
    let ids: Vec<_> = operands.iter().map(|operand| builder.buffer(operand)).collect();
    builder.step(kernel, &ids, &[]);
    let program = device.load(Arc::new(builder.finish())).expect("it loads");
    let at = |name: &str| operands.iter().position(|operand| operand.name == name).expect("an operand");
    let zeros = vec![0.0; LEN];
    let first: Vec<f32> = (0..LEN).map(start).collect();
    for (name, values) in [("param", &first), ("rate", &vec![RATE])] {
        let bytes = to_bytes(&operands[at(name)], values);
        device.write(program, ids[at(name)], &bytes).expect("it is written");
    }
    for (tensor, name) in (0..).zip(["exp_avg", "exp_avg_sq"]) {
        let bytes = to_bytes(&operands[at(name)], &zeros);
        device.device().write_optimizer(program, ids[at("param")], tensor, &bytes).expect("it is written");
    }
    for t in 0..STEPS {
        let gradients: Vec<f32> = (0..LEN).map(|i| gradient(i, t)).collect();
        let bytes = to_bytes(&operands[at("grad")], &gradients);
        device.write(program, ids[at("grad")], &bytes).expect("it is written");
        device.write(program, ids[at("step")], &t.to_ne_bytes()).expect("it is written");
        device.run(program, None).expect("it runs");
    }
    let mut bytes = vec![0; LEN * 4];
    device.read(program, ids[at("param")], &mut bytes).expect("it is read");
    from_bytes(&operands[at("param")], &bytes)
}

/// What a step's decay leaves of a parameter.
fn kept(attrs: AdamWAttrs) -> f64 {
    1.0 - f64::from(RATE) * f64::from(attrs.weight_decay)
}

/// PyTorch's documented algorithm, in double precision, with [`kept`] as the device multiplies by it.
fn exact(attrs: AdamWAttrs, kept: f64) -> Vec<f64> {
    let [beta1, beta2, eps] = [attrs.beta1, attrs.beta2, attrs.eps].map(f64::from);
    let rate = f64::from(RATE);
    let one = |i: usize| {
        let (mut p, mut m, mut v) = (f64::from(start(i)), 0.0, 0.0);
        for t in 0..STEPS {
            let g = f64::from(gradient(i, t));
            p *= kept;
            m = beta1 * m + (1.0 - beta1) * g;
            v = beta2 * v + (1.0 - beta2) * g * g;
            let (m_hat, v_hat) = (m / (1.0 - beta1.powi(t as i32 + 1)), v / (1.0 - beta2.powi(t as i32 + 1)));
            p -= rate * m_hat / (v_hat.sqrt() + eps);
        }
        p
    };
    (0..LEN).map(one).collect()
}

const ATTRS: AdamWAttrs = AdamWAttrs { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01 };

/// Trains on a device and compares.
fn check(mut device: Box<dyn Session>, attrs: AdamWAttrs, kept: f64) {
    for (i, (found, exact)) in trained(&mut *device, attrs).iter().zip(exact(attrs, kept)).enumerate() {
        let apart = (f64::from(*found) - exact).abs();
        assert!(apart < 1e-6, "{}, parameter {i}: {found}, not {exact}", device.device().describe());
    }
}

#[test]
fn a_hundred_steps_agree_with_the_formula() {
    for attrs in [ATTRS, AdamWAttrs { beta1: 0.0, beta2: 0.5, weight_decay: 0.0, ..ATTRS }] {
        check(Box::new(oracle()), attrs, kept(attrs));
        for isa in Isa::ALL.into_iter().filter(|isa| isa.available()) {
            // PyTorch multiplies tensors of `f32` by numbers rounded to `f32`. Over a hundred steps that is more than 1e-6.
            check(cpu_session(2, isa), attrs, f64::from(kept(attrs) as f32));
        }
    }
}
