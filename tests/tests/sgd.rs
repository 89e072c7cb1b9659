//! PyTorch's SGD, several steps against figures worked out by hand from its documented update.

use resnetc_compiler::plan::kernel::Update;
use std::sync::Arc;

use resnetc_compiler::ir::op::{SgdAttrs, UpdateRule};
use resnetc_compiler::plan::Kernel;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Session;
use resnetc_tests::bounds::oracle;
use resnetc_tests::operands::signature;
use resnetc_tests::plans::{PlanBuilder, cpu_session, from_bytes, to_bytes};

/// The parameter after each of three steps from 1.0 with the gradients 0.5, -1.0, 2.0 and the rate 0.1.
fn trajectory(device: &mut dyn Session, sgd: SgdAttrs) -> Vec<f32> {
    let kernel = Kernel::from(Update {
        len: 1,
        rule: UpdateRule::Sgd(sgd),
        lr_scale: 1.0,
        matrix: None,
        scaled: false,
    });
    let operands = signature(&kernel).inputs;
    let mut builder = PlanBuilder::default();
    let [param, grad, velocity, rate, number] = [0, 1, 2, 3, 4].map(|i| builder.buffer(&operands[i]));
    builder.step(kernel, &[param, grad, velocity, rate, number], &[]);
    let program = device.load(Arc::new(builder.finish())).expect("it loads");
    device.write(program, param, &to_bytes(&operands[0], &[1.0])).expect("it is written");
    // The first update sets the velocity, whatever there was.
    device
        .device()
        .write_optimizer(program, param, 0, &to_bytes(&operands[2], &[7.0]))
        .expect("it is written");
    let mut seen = Vec::new();
    for (step, gradient) in [0.5, -1.0, 2.0].into_iter().enumerate() {
        device.write(program, grad, &to_bytes(&operands[1], &[gradient])).expect("it is written");
        device.write(program, rate, &0.1f32.to_ne_bytes()).expect("it is written");
        device.write(program, number, &(step as u64).to_ne_bytes()).expect("it is written");
        device.run(program, None).expect("it runs");
        let mut bytes = [0; 4];
        device.read(program, param, &mut bytes).expect("it is read");
        seen.extend(from_bytes(&operands[0], &bytes));
    }
    seen
}

fn assert_trajectory(sgd: SgdAttrs, expected: [f32; 3]) {
    let devices: [Box<dyn Session>; 2] = [Box::new(oracle()), cpu_session(1, Isa::best())];
    for mut device in devices {
        let seen = trajectory(&mut *device, sgd);
        for (s, e) in seen.iter().zip(expected) {
            assert!(
                (s - e).abs() < 1e-6,
                "{} with {sgd:?}: {seen:?}, not {expected:?}",
                device.device().describe()
            );
        }
    }
}

const PLAIN: SgdAttrs = SgdAttrs { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 };

#[test]
fn plain() {
    assert_trajectory(PLAIN, [0.95, 1.05, 0.85]);
}

#[test]
fn weight_decay() {
    // g = 0.5 + 0.1; -1 + 0.094; 2 + 0.10306
    assert_trajectory(SgdAttrs { weight_decay: 0.1, ..PLAIN }, [0.94, 1.0306, 0.820_294]);
}

#[test]
fn momentum() {
    // v = 0.5; 0.45 - 1; -0.495 + 2
    assert_trajectory(SgdAttrs { momentum: 0.9, ..PLAIN }, [0.95, 1.005, 0.8545]);
}

#[test]
fn dampening_spares_the_first_step() {
    // v = 0.5; 0.45 - 0.5; -0.045 + 1
    assert_trajectory(SgdAttrs { momentum: 0.9, dampening: 0.5, ..PLAIN }, [0.95, 0.955, 0.8595]);
}

#[test]
fn nesterov() {
    // v as with momentum; g + 0.9 v = 0.95; -1.495; 3.3545
    assert_trajectory(SgdAttrs { momentum: 0.9, nesterov: true, ..PLAIN }, [0.905, 1.0545, 0.719_05]);
}
