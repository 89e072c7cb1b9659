//! Training in half precision with a scaled loss: a scale that is too large overflows, steps are left out, and what is learnt then is
//! what PyTorch's `GradScaler` with PyTorch's optimizers would have learnt from the same gradients.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType as Held, Device as CandleDevice};
use resnetc_compiler::backend::Backend;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::ir::loss_scale::{DynamicScale, LossScale};
use resnetc_compiler::ir::op::{Role, SgdAttrs, UpdateRule};
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::kernel::AllFinite;
use resnetc_compiler::plan::{Kernel, Plan, Slot};
use resnetc_runtime::cpu::CpuDevice;
use resnetc_runtime::cpu::simd::Isa;
use resnetc_runtime::device::Device;
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::reference::ReferenceDevice;
use resnetc_tests::nets::{Net, square};
use resnetc_tests::plans::{cpu_session, run_kernel};
use resnetc_tests::specs;
use resnetc_tests::training::{Session, compile_without, distance, feed, transfer};

const SMALL: &str = "name: small\ninput: [3, 16, 16]\nclasses: 10\nunit: basic\n\
                     stem: conv3x3(8) -> bn -> relu\n\
                     stages:\n  - {depth: 1, filters: 8}\n  - {depth: 1, filters: 16, stride: 2}\n\
                     head: global_avgpool -> linear(classes)\n\
                     train: {precision: fp16}\n";

/// Gradients of ten thousandths and more overflow at first; three good steps in a row double the scale.
const SCALE: DynamicScale =
    DynamicScale { start: (1u64 << 31) as f32, growth: 2.0, backoff: 0.5, interval: 3 };

const RATE: f32 = 0.05;

/// A training plan in half precision.
fn plan(rule: UpdateRule, scale: LossScale) -> Plan {
    let mut spec = specs::resolve(SMALL);
    (spec.train.optimizer, spec.train.loss_scale) = (rule, scale);
    Arc::unwrap_or_clone(specs::plan_for(&spec, Mode::Train, 8, Backend::REFERENCE))
}

/// PyTorch's `GradScaler` and one of its optimizers, in double precision.
struct Torch {
    rule: UpdateRule,
    scale: f64,
    good_steps: u32,
    /// Steps that were made.
    made: i32,
    params: BTreeMap<String, Vec<f64>>,
    /// By the tensor's number.
    state: [BTreeMap<String, Vec<f64>>; 2],
}

impl Torch {
    /// `scaler.step(optimizer); scaler.update()`; whether the step was made.
    fn step(&mut self, gradients: &BTreeMap<String, Vec<f64>>) -> bool {
        let finite = gradients.values().flatten().all(|g| g.is_finite());
        if finite {
            self.made += 1;
            for (name, gradient) in gradients {
                self.update(name, gradient);
            }
            self.good_steps += 1;
        } else {
            self.scale *= f64::from(SCALE.backoff);
            self.good_steps = 0;
        }
        if self.good_steps == SCALE.interval {
            self.scale *= f64::from(SCALE.growth);
            self.good_steps = 0;
        }
        finite
    }

    fn update(&mut self, name: &str, gradient: &[f64]) {
        let (t, rate, scale) = (self.made, f64::from(RATE), self.scale);
        let params = self.params.get_mut(name).expect("a known parameter");
        let [first, second] = self
            .state
            .each_mut()
            .map(|state| state.entry(name.to_owned()).or_insert_with(|| vec![0.0; gradient.len()]));
        for (i, p) in params.iter_mut().enumerate() {
            let g = gradient[i] / scale;
            match self.rule {
                UpdateRule::Sgd(sgd) => {
                    let g = g + f64::from(sgd.weight_decay) * *p;
                    let entered = (1.0 - f64::from(sgd.dampening)) * g;
                    first[i] = if t == 1 { g } else { f64::from(sgd.momentum) * first[i] + entered };
                    *p -= rate * first[i];
                }
                UpdateRule::Lamb(_) | UpdateRule::Lars(_) | UpdateRule::Lion(_) | UpdateRule::Muon(_) => {
                    unreachable!("no test here trains with it")
                }
                UpdateRule::AdamW(adamw) => {
                    let [beta1, beta2] = [adamw.beta1, adamw.beta2].map(f64::from);
                    *p -= rate * f64::from(adamw.weight_decay) * *p;
                    first[i] = beta1 * first[i] + (1.0 - beta1) * g;
                    second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
                    let root = second[i].sqrt() / (1.0 - beta2.powi(t)).sqrt() + f64::from(adamw.eps);
                    *p -= rate / (1.0 - beta1.powi(t)) * first[i] / root;
                }
            }
        }
    }
}

fn of_role(session: &Session, role: Role) -> f64 {
    let slot = session.plan.slots.iter().find(|slot| slot.role == role).expect("a slot of that role");
    session.get(slot.buffer)[0]
}

fn parameters(session: &Session) -> BTreeMap<String, Vec<f64>> {
    let named = |slot: Slot| (session.plan.buffer(slot.buffer).name.clone(), session.get(slot.buffer));
    session.trained().into_iter().map(named).collect()
}

fn gradients(session: &Session) -> BTreeMap<String, Vec<f64>> {
    let named = |s: Slot| (session.plan.buffer(s.buffer).name.clone(), session.gradient(s.buffer));
    session.trained().into_iter().map(named).collect()
}

/// Trains on one batch, step by step beside [`Torch`].
fn trains_as_pytorch(rule: UpdateRule) {
    const STEPS: u64 = 60;
    let mut session = Session::new(plan(rule, LossScale::Dynamic(SCALE)), 3);
    let mut torch = Torch {
        rule,
        scale: f64::from(SCALE.start),
        good_steps: 0,
        made: 0,
        params: parameters(&session),
        state: Default::default(),
    };
    let (mut losses, mut made) = (Vec::new(), Vec::new());
    for step in 0..STEPS {
        let before = parameters(&session);
        session.step(&RunArgs { lr: RATE, step, seed: 0, ..RunArgs::default() });
        losses.push(session.get(session.plan.output("loss").expect("a training plan has a loss"))[0]);
        made.push(torch.step(&gradients(&session)));
        let after = parameters(&session);
        assert_eq!(*made.last().expect("one at least"), before != after, "step {step}");
        for (name, exact) in &torch.params {
            for (e, g) in exact.iter().zip(&after[name]) {
                assert!((e - g).abs() <= 1e-9 * (1.0 + e.abs()), "step {step}, {name}: {g}, not {e}");
            }
        }
        let roles = [Role::LossScale, Role::GoodSteps, Role::SkippedSteps];
        let skipped = made.iter().filter(|&&made| !made).count();
        let expected = [torch.scale, f64::from(torch.good_steps), skipped as f64];
        assert_eq!(roles.map(|role| of_role(&session, role)), expected, "step {step}");
    }
    let first = made.iter().position(|&made| made).expect("some step is made");
    assert!(first >= 3, "the scale backs off at first: {made:?}");
    let later = made[first..].iter().filter(|&&made| !made).count();
    assert!(later >= 1, "the scale grows until it overflows again: {made:?}");
    assert!(losses[STEPS as usize - 1] < 0.6 * losses[0], "it learns: {losses:?}");
}

#[test]
fn sgd_learns_as_pytorch_with_a_dynamic_scale() {
    // The first step that is made, and no other, enters the velocity undampened.
    trains_as_pytorch(UpdateRule::Sgd(SgdAttrs {
        momentum: 0.9,
        dampening: 0.3,
        nesterov: false,
        weight_decay: 1e-4,
    }));
}

#[test]
fn adamw_learns_as_pytorch_with_a_dynamic_scale() {
    let spec = specs::resolve(&SMALL.replace("train: {", "train: {optimizer: adamw, "));
    trains_as_pytorch(spec.train.optimizer);
}

/// Static: steps are left out, the scale stays.
#[test]
fn a_static_scale_that_overflows_leaves_every_step_out() {
    let rule = specs::resolve(SMALL).train.optimizer;
    for (scale, made) in [(16_777_216.0 * 1024.0, false), (1024.0, true)] {
        let mut session = Session::new(plan(rule, LossScale::Static(scale)), 3);
        let before = parameters(&session);
        for step in 0..3 {
            session.step(&RunArgs { lr: RATE, step, seed: 0, ..RunArgs::default() });
        }
        assert_eq!(before != parameters(&session), made, "{scale}");
        assert_eq!(of_role(&session, Role::StaticLossScale), f64::from(scale));
        assert_eq!(of_role(&session, Role::SkippedSteps), if made { 0.0 } else { 3.0 });
    }
}

/// A plan as no spec asks for: with a scaled loss in `f32`, for the CPU.
fn in_single_precision(loss_scale: Option<LossScale>) -> Plan {
    let (mut net, x) = Net::new(Mode::Train, [2, 3, 8, 8]);
    let x = net.conv("conv", x, [3, 4], square(3, 1, 1), false);
    let x = net.bn("bn", x, 4);
    let mut graph = net.finish(x, 4, 5, 0.1);
    graph.loss_scale = loss_scale;
    compile_without(graph, &[])
}

#[test]
fn the_cpu_trains_with_a_scaled_loss_as_the_oracle_does() {
    let scale = DynamicScale { start: 1024.0, interval: 2, ..SCALE };
    let mut session = Session::new(in_single_precision(Some(LossScale::Dynamic(scale))), 7);
    let mut device = cpu_session(2, Isa::best());
    let program = transfer(&session, &mut *device);
    for step in 0..5 {
        let args = RunArgs { lr: 0.1, step, seed: 0, ..RunArgs::default() };
        feed(&session, &mut *device, program);
        args.write(&mut *device, program, &session.plan).expect("it is written");
        device.run(program, None).expect("every step runs");
        session.step(&args);
    }
    assert_eq!(of_role(&session, Role::LossScale), 4096.0);
    for slot in session.plan.slots.clone() {
        let apart = distance(&session, &*device, program, slot.buffer);
        assert!(apart < 1e-4, "{}: {apart}", session.plan.buffer(slot.buffer).name);
    }
}

/// In double precision nothing is rounded: the gradients are the scale's multiples of the loss' own.
#[test]
fn the_gradients_of_a_scaled_loss_are_scaled() {
    let of = |scale| Session::new(in_single_precision(scale), 7).gradients();
    let (own, scaled) = (of(None), of(Some(LossScale::Static(1024.0))));
    assert!(own.len() > 3 && own.values().flatten().any(|g| g.abs() > 1e-3));
    for (name, own) in own {
        for (g, s) in own.iter().zip(&scaled[&name]) {
            assert!((s / 1024.0 - g).abs() <= 1e-14 * (1.0 + g.abs()), "{name}: {s}, not 1024 x {g}");
        }
    }
}

/// Wherever the number stands that is not finite, and whichever it is.
#[test]
fn one_number_that_is_not_finite_is_found() {
    const LEN: usize = 10_007;
    let kernel = Kernel::AllFinite(AllFinite { len: LEN });
    let single = ReferenceDevice::new(CandleDevice::Cpu, Held::F32).expect("f32 is supported");
    let single = Arc::new(single);
    for at in [None, Some(0), Some(5003), Some(LEN - 1)] {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data = vec![f32::MAX; LEN];
            if let Some(at) = at {
                data[at] = wrong;
            }
            for mut device in [cpu_session(3, Isa::best()), Box::new(single.clone().open_session())] {
                let results = run_kernel(&mut *device, &kernel, &[data.clone()], &[]).expect("it runs");
                let expected = if at.is_none() { 1.0 } else { 0.0 };
                assert_eq!(
                    results.outputs,
                    [[expected]],
                    "{wrong} at {at:?}, {}",
                    device.device().describe()
                );
            }
        }
    }
}

/// Maps are stored as halves where only kernels touch them that take halves; sums, weights and gradients of these are not.
#[test]
fn maps_are_halves_where_the_backend_multiplies_in_halves() {
    let spec = specs::resolve(SMALL);
    for backend in [Backend::REFERENCE, Backend::CUDA] {
        let plan = specs::plan_for(&spec, Mode::Train, 2, backend);
        assert_eq!(plan.precision(), DType::F16);
        let halves = plan.buffers.iter().filter(|b| b.dtype == DType::F16);
        assert!(halves.clone().count() > 20 && halves.clone().all(|b| b.shape.rank() == 4));
        assert!(plan.buffers.iter().all(|b| b.dtype != DType::Bf16));
    }
}

/// Such a plan may come from a file.
#[test]
fn the_cpu_refuses_plans_in_half_precision() {
    let plan = specs::plan_for(&specs::resolve(SMALL), Mode::Infer, 2, Backend::REFERENCE);
    let device = CpuDevice::with_isa(1, Isa::best()).expect("one thread");
    let error = device.load(plan).expect_err("halves are not for it").to_string();
    assert!(error.contains("small: the plan multiplies in f16, which this device does not"), "{error}");
}
