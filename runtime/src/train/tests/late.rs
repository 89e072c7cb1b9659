//! A device whose runs end later than they are submitted, as a GPU's do: training on it ends bit for bit the same.

use std::any::Any;
use std::time::Duration;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::BufferId;

use super::*;
use crate::device::{Device, Inputs, ProgramId, Session, Until};

/// The reference device, whose sessions put runs off.
struct Late(Arc<ReferenceDevice>);

/// A run that was submitted.
struct Submitted {
    program: ProgramId,
    inputs: Vec<(BufferId, Vec<u8>)>,
    keep: Vec<BufferId>,
}

struct LateSession {
    device: Arc<Late>,
    inner: Box<dyn Session>,
    queue: Vec<Submitted>,
}

/// Steps before the first is collected.
const DEPTH: usize = 4;

impl Device for Late {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn backend(&self) -> Backend {
        self.0.backend()
    }

    fn load(&self, plan: Arc<Plan>) -> Result<ProgramId> {
        self.0.load(plan)
    }

    fn session(self: Arc<Self>) -> Result<Box<dyn Session>> {
        let inner = Arc::clone(&self.0).session()?;
        Ok(Box::new(LateSession { device: self, inner, queue: Vec::new() }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn write(&self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        self.0.write(program, buffer, bytes)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        self.0.read(program, buffer, bytes)
    }

    fn write_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &[u8]) -> Result<()> {
        self.0.write_optimizer(program, param, tensor, bytes)
    }

    fn read_optimizer(
        &self,
        program: ProgramId,
        param: BufferId,
        tensor: u8,
        bytes: &mut [u8],
    ) -> Result<()> {
        self.0.read_optimizer(program, param, tensor, bytes)
    }
}

impl Session for LateSession {
    fn device(&self) -> &dyn Device {
        &*self.device
    }

    fn open(&mut self, program: ProgramId) -> Result<()> {
        self.inner.open(program)
    }

    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()> {
        self.inner.write(program, buffer, bytes)
    }

    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()> {
        assert!(self.queue.is_empty(), "results are collected, not read");
        self.inner.read(program, buffer, bytes)
    }

    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()> {
        self.inner.run(program, times)
    }

    fn submit(&mut self, program: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<()> {
        assert!(self.queue.len() < DEPTH, "nobody collects");
        let inputs = inputs.buffers.iter().map(|&(buffer, bytes)| (buffer, bytes.to_vec())).collect();
        self.queue.push(Submitted { program, inputs, keep: keep.to_vec() });
        Ok(())
    }

    /// Runs the oldest half, or all.
    fn collect(&mut self, until: Until, kept: &mut Vec<f32>) -> Result<()> {
        let done = if until == Until::Room { self.queue.len().div_ceil(2) } else { self.queue.len() };
        for Submitted { program, inputs, keep } in self.queue.drain(..done) {
            let buffers: Vec<_> = inputs.iter().map(|(buffer, bytes)| (*buffer, &bytes[..])).collect();
            self.inner.submit(program, &Inputs { buffers: &buffers, pictures: None }, &keep)?;
        }
        self.inner.collect(Until::All, kept)
    }

    fn depth(&self) -> usize {
        DEPTH
    }
}

fn late(config: &TrainConfig, options: Options) -> Trainer {
    let device = || Arc::new(ReferenceDevice::cpu().expect("Candle's CPU"));
    let load = |device, images, mode| {
        let compile = |n| Ok::<_, Error>(Arc::new(plan(config, mode, n)));
        BatchExecutor::load(device, images, config.batch_size, compile).expect("it loads")
    };
    let data = dataset();
    let train = load(Arc::new(Late(device())), data.train.len(), Mode::Train);
    let test = load(device(), data.test.len(), Mode::Infer);
    Trainer::new(config, data, train, test, options).expect("fits")
}

#[test]
fn steps_that_end_late_train_the_same_weights() {
    let (dir, other) = (folder(), folder());
    let mut steps = Vec::new();
    let mut observe = |event: Event<'_>| {
        if let Event::Step(StepEvent { epoch, step, .. }) = event {
            steps.push((epoch, step));
        }
    };
    late(&config(), options(dir.path())).run(&mut observe).expect("trains");
    assert_eq!(trained(other.path()), state(dir.path()));
    let expected: Vec<_> = (1..=4).flat_map(|epoch| (1..=6).map(move |step| (epoch, step))).collect();
    assert_eq!(steps, expected);
}

#[test]
fn stopped_while_steps_are_under_way_it_ends_the_same() {
    let (dir, other) = (folder(), folder());
    let options = options(dir.path());
    let stop = Arc::clone(&options.stop);
    let mut observe = |event: Event<'_>| {
        if let Event::Step(StepEvent { epoch: 2, step: 1, .. }) = event {
            stop.store(true, Ordering::Relaxed);
        }
    };
    // Four steps are told at once.
    let outcome = late(&config(), options).run(&mut observe).expect("stops");
    let checkpoint = dir.path().join(LAST);
    assert_eq!(outcome, Outcome::Interrupted { checkpoint: checkpoint.clone(), epoch: 1, step: 4 });
    late(&config(), Options { start: Start::From(checkpoint), ..self::options(dir.path()) })
        .run(&mut |_| ())
        .expect("trains");
    assert_eq!(trained(other.path()), state(dir.path()));
}

#[test]
fn the_step_whose_loss_is_no_number_is_named() {
    let wild = TrainConfig { lr: 1e30, schedule: Schedule::Constant, ..config() };
    let diverged = |mut trainer: Trainer| match trainer.run(&mut |_| ()).expect_err("diverges") {
        Error::Diverged(divergence) => (divergence.epoch, divergence.step),
        other => panic!("{other}"),
    };
    let (dir, other) = (folder(), folder());
    let expected = diverged(trainer(&wild, options(other.path())).expect("fits"));
    assert_eq!(diverged(late(&wild, options(dir.path()))), expected);
}
