//! One training step on the oracle, in double precision: gradients, and the loss as a function of the parameters.

use resnetc_compiler::backend::Backend;
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device as CandleDevice, Tensor};
use resnetc_compiler::ir::graph::Graph;
use resnetc_compiler::ir::op::{Role, SgdAttrs, UpdateRule};
use resnetc_compiler::lower::lower;
use resnetc_compiler::pass::{self, PassContext, PassId};
use resnetc_compiler::plan::{BufferId, Plan, Region, Slot};
use resnetc_runtime::device::{self as runtime, ProgramId, Session as _};
use resnetc_runtime::exec::RunArgs;
use resnetc_runtime::init::values;
use resnetc_runtime::reference::ReferenceSession;

use crate::bounds::oracle;
use crate::rng::Rng;

/// Constants of the update in these tests.
pub const SGD: SgdAttrs = SgdAttrs { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay: 1e-4 };

/// Runs all passes but the named ones and lowers.
///
/// # Panics
/// When the graph is refused.
pub fn compile_without(graph: Graph, left_out: &[PassId]) -> Plan {
    let context = PassContext::new(UpdateRule::Sgd(SGD), 0.1, Backend::CPU);
    let mut passes = pass::front();
    passes.extend(pass::back(graph.mode));
    passes.retain(|p| !left_out.contains(&p.id));
    let (graph, _) = pass::run_list(graph, &passes, &context).expect("a sound graph");
    let plan = lower(&graph, &Backend::CPU);
    assert_eq!(plan.check(), Vec::<String>::new());
    plan
}

/// The buffer of a parameter's gradient.
///
/// # Panics
/// When the plan has none.
pub fn gradient_of(plan: &Plan, param: BufferId) -> BufferId {
    let param = plan.buffer(param);
    let gradient = plan.buffers.iter().position(|b| {
        (b.region, b.offset, &b.shape) == (Region::Grads, param.offset, &param.shape)
            && b.layout == param.layout
    });
    BufferId(gradient.unwrap_or_else(|| panic!("{} has no gradient", param.name)) as u32)
}

/// A plan on the oracle, with random images, labels and parameters.
pub struct Session {
    /// What runs.
    pub plan: Arc<Plan>,
    device: ReferenceSession,
    program: ProgramId,
}

impl Session {
    /// Loads a training plan and fills its inputs and persistent tensors, each from its own stream: the same values
    /// whatever the plan's order.
    ///
    /// # Panics
    /// When the device fails.
    pub fn new(plan: Plan, seed: u64) -> Self {
        let (mut device, plan) = (oracle(), Arc::new(plan));
        let program = device.load(plan.clone()).expect("the oracle loads it");
        let mut session = Session { plan: plan.clone(), device, program };
        session.fill(plan.input, &mut Rng::new(seed), |r| f64::from(r.normal()));
        let labels = plan.labels.expect("a training plan has labels");
        let classes = plan.output("logits").map(|id| plan.buffer(id).shape.0[1]).expect("it has logits");
        let mut rng = Rng::new(seed + 1);
        let drawn: Vec<u32> = (0..plan.batch).map(|_| rng.range(0, classes - 1) as u32).collect();
        let drawn = Tensor::from_vec(drawn, plan.batch, &CandleDevice::Cpu).expect("a vector");
        session.device.set_tensor(program, labels, &drawn).expect("as many labels as images");
        if let Some([others, shares]) = plan.partners {
            let drawn: Vec<u32> = (0..plan.batch).map(|_| rng.range(0, classes - 1) as u32).collect();
            let drawn = Tensor::from_vec(drawn, plan.batch, &CandleDevice::Cpu).expect("a vector");
            session.device.set_tensor(program, others, &drawn).expect("as many labels as images");
            session.fill(shares, &mut Rng::new(seed + 2), |r| f64::from(r.uniform()));
        }
        if let Some(teacher) = plan.teacher {
            session.fill(teacher, &mut Rng::new(seed + 3), |r| 2.0 * f64::from(r.normal()));
        }
        for slot in &plan.slots {
            let name = plan.buffer(slot.buffer).name.bytes();
            let stream = name.fold(seed, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
            session.fill(slot.buffer, &mut Rng::new(stream), |r| match slot.role {
                Role::NormScale | Role::RunningVar => 0.5 + f64::from(r.uniform()),
                Role::ConvWeight | Role::LinearWeight => 0.4 * f64::from(r.normal()),
                Role::Bias | Role::NormShift | Role::RunningMean => 0.2 * f64::from(r.normal()),
                Role::LossScale
                | Role::StaticLossScale
                | Role::GoodSteps
                | Role::SkippedSteps
                | Role::Average => f64::from(values(slot.init, 1, seed, "")[0]),
            });
        }
        session
    }

    fn fill(&mut self, id: BufferId, rng: &mut Rng, mut draw: impl FnMut(&mut Rng) -> f64) {
        let numel = self.plan.buffer(id).shape.numel().expect("sizes here are small");
        self.set(id, (0..numel).map(|_| draw(rng)).collect());
    }

    /// A buffer's elements in logical order.
    ///
    /// # Panics
    /// When nobody has written it.
    pub fn get(&self, id: BufferId) -> Vec<f64> {
        let value = self.device.tensor(self.program, id).expect("it was written");
        value.flatten_all().and_then(|t| t.to_dtype(DType::F64)?.to_vec1()).expect("plain numbers")
    }

    /// Sets a buffer's elements in logical order.
    ///
    /// # Panics
    /// When there are too many or too few.
    pub fn set(&mut self, id: BufferId, values: Vec<f64>) {
        let len = values.len();
        let value = Tensor::from_vec(values, len, &CandleDevice::Cpu).expect("a vector");
        self.device.set_tensor(self.program, id, &value).expect("as many elements as the buffer");
    }

    /// Forward and backward without moving the parameters; the loss.
    ///
    /// # Panics
    /// When a step fails.
    pub fn loss(&mut self) -> f64 {
        self.step(&RunArgs::default());
        self.get(self.plan.output("loss").expect("a training plan has a loss"))[0]
    }

    /// One update with that learning rate.
    ///
    /// # Panics
    /// When a step fails.
    pub fn step(&mut self, args: &RunArgs) {
        args.write(&mut self.device, self.program, &self.plan).expect("it is written");
        self.device.run(self.program, None).expect("every step runs");
    }

    /// Parameters that are trained.
    pub fn trained(&self) -> Vec<Slot> {
        self.plan.slots.iter().filter(|slot| slot.role.trained()).cloned().collect()
    }

    /// The gradient of a parameter, after [`Session::loss`].
    ///
    /// # Panics
    /// When the plan has none.
    pub fn gradient(&self, param: BufferId) -> Vec<f64> {
        self.get(gradient_of(&self.plan, param))
    }

    /// All gradients by the parameters' names.
    pub fn gradients(&mut self) -> BTreeMap<String, Vec<f64>> {
        self.loss();
        let named = |s: Slot| (self.plan.buffer(s.buffer).name.clone(), self.gradient(s.buffer));
        self.trained().into_iter().map(named).collect()
    }
}

/// Compares the gradients of a plan with central differences of its loss, for some elements of each parameter.
///
/// With a step of `h = 1e-5` the truncation error is `h^2 / 6` times a third derivative (below 1e3 in these nets: 2e-8),
/// the rounding error `2^-53 / h` times the loss' conditioning (1e-10); the tolerance is `2e-7 (1 + |gradient|)`.
///
/// # Panics
/// With the parameter and element that differ.
pub fn assert_gradients(plan: Plan, seed: u64) {
    const STEP: f64 = 1e-5;
    const ELEMENTS: usize = 10;
    let mut session = Session::new(plan, seed);
    let gradients = session.gradients();
    let mut rng = Rng::new(seed + 2);
    let mut largest = 0.0f64;
    for slot in session.trained() {
        let name = session.plan.buffer(slot.buffer).name.clone();
        let values = session.get(slot.buffer);
        for _ in 0..ELEMENTS.min(values.len()) {
            let i = rng.range(0, values.len() - 1);
            let mut loss_at = |delta: f64| {
                let mut moved = values.clone();
                moved[i] += delta;
                session.set(slot.buffer, moved);
                session.loss()
            };
            let difference = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * STEP);
            let gradient = gradients[&name][i];
            largest = largest.max(gradient.abs());
            let error = (gradient - difference).abs();
            assert!(
                error <= 2e-7 * (1.0 + gradient.abs()),
                "{name}[{i}]: gradient {gradient}, difference quotient {difference}"
            );
        }
        session.set(slot.buffer, values);
    }
    assert!(largest > 1e-3, "all gradients vanish: nothing was tested");
}

/// Loads a session's plan and its parameters and running statistics into another device.
///
/// # Panics
/// When the device fails.
pub fn transfer(session: &Session, device: &mut dyn runtime::Session) -> ProgramId {
    let program = device.load(session.plan.clone()).expect("it loads");
    for slot in &session.plan.slots {
        copy(session, device, program, slot.buffer);
    }
    program
}

/// Copies images and labels into another device: before every run, since the arena may reuse their memory within it.
///
/// # Panics
/// When the device fails.
pub fn feed(session: &Session, device: &mut dyn runtime::Session, program: ProgramId) {
    for id in session.plan.fed() {
        copy(session, device, program, id);
    }
}

fn copy(session: &Session, device: &mut dyn runtime::Session, program: ProgramId, id: BufferId) {
    let mut bytes = vec![0; session.plan.buffer(id).bytes];
    session.device.read(session.program, id, &mut bytes).expect("it was written");
    device.write(program, id, &bytes).expect("it is written");
}

/// Largest distance of a buffer on a device from the session's, relative to the session's largest element.
///
/// # Panics
/// When either cannot be read.
pub fn distance(session: &Session, device: &dyn runtime::Session, program: ProgramId, id: BufferId) -> f64 {
    let [exact, got] = both(session, device, program, id);
    let largest = exact.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    let apart = |(e, g): (&f64, &f64)| if g.is_finite() { (e - g).abs() } else { f64::INFINITY };
    exact.iter().zip(&got).map(apart).fold(0.0, f64::max) / largest
}

/// Length of the difference between some buffers on a device and the session's, taken as one vector, relative to the length of
/// that.
///
/// # Panics
/// When one cannot be read.
pub fn length_apart(
    session: &Session,
    device: &dyn runtime::Session,
    program: ProgramId,
    ids: &[BufferId],
) -> f64 {
    let (mut apart, mut length) = (0.0, 0.0);
    for &id in ids {
        let [exact, got] = both(session, device, program, id);
        apart += exact.iter().zip(&got).map(|(e, g)| (e - g).powi(2)).sum::<f64>();
        length += exact.iter().map(|e| e * e).sum::<f64>();
    }
    (apart / length).sqrt()
}

/// A buffer of floats, the session's and a device's.
fn both(session: &Session, device: &dyn runtime::Session, program: ProgramId, id: BufferId) -> [Vec<f64>; 2] {
    let read = |device: &dyn runtime::Session, program: ProgramId| {
        let mut bytes = vec![0; session.plan.buffer(id).bytes];
        device.read(program, id, &mut bytes).expect("it was written");
        let values = bytes.chunks_exact(4).map(|b| f32::from_ne_bytes(b.try_into().expect("four bytes")));
        values.map(f64::from).collect::<Vec<f64>>()
    };
    [read(&session.device, session.program), read(device, program)]
}
