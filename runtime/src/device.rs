//! The traits between the executor and the kernels.
//!
//! A [`Device`] is one memory space with its kernels, and holds what outlives a run: parameters, running statistics, the
//! optimizer's state, and what was decided about each plan. All plans loaded into one device share the persistent
//! regions, whose layout must agree (the full and the last, partial batch of one training). An inference plan of the same
//! network has other persistent tensors (folded ones), so it gets a device of its own.
//!
//! A [`Session`] runs the device's plans, in an arena and workspaces of its own. Many sessions share a device's weights;
//! those that run inference do so at the same time.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use resnetc_compiler::backend::Backend;
use resnetc_compiler::plan::{BufferId, Plan};
pub use resnetc_kernels::choice::{Choice, Estimate};

use crate::data::batch::{Form, Pictures, Preparation};
use crate::engines::Engines;
use crate::error::{Error, Result};
use crate::roofline::Roofline;

/// Index of a plan loaded into a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProgramId(pub usize);

/// Writes the bytes of a buffer, all of them; the first argument is its number among those to be filled.
pub type Fill<'a> = &'a (dyn Fn(usize, &mut [u8]) -> Result<()> + Sync);

/// Kernels, and the memory that outlives a run. Shared: nothing here needs exclusive access.
pub trait Device: Send + Sync {
    /// What the device is, for reports: `cpu (avx512, 2 threads)`.
    fn describe(&self) -> String;

    /// What its kernels can do: plans for it are compiled with that.
    fn backend(&self) -> Backend;

    /// Takes a plan in: allocates and zeroes the persistent regions (of the first plan), chooses kernels.
    ///
    /// # Errors
    /// Where the plan is unsound, is for another backend, or has other persistent tensors than the plans before it.
    fn load(&self, plan: Arc<Plan>) -> Result<ProgramId>;

    /// Bytes of workspaces that a session of a plan has besides the plan's regions, and what those are rounded up to; zero where the device
    /// cannot tell.
    ///
    /// # Errors
    /// Where the plan cannot run here.
    fn workspace(&self, _plan: &Plan) -> Result<usize> {
        Ok(0)
    }

    /// Somebody who runs what is loaded.
    ///
    /// # Errors
    /// Where the machine has no threads or memory left.
    fn session(self: Arc<Self>) -> Result<Box<dyn Session>>;

    /// Writes a persistent buffer whole, elements in the buffer's own layout and type. Waits until no session reads it.
    ///
    /// # Errors
    /// Where the buffer is not persistent, or has another size.
    fn write(&self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()>;

    /// Writes persistent buffers whole, given with their sizes in bytes, by a function that gets the number of each and the bytes to be
    /// written, all of them. Threads may call it at once; it must not ask this device for anything.
    ///
    /// # Errors
    /// The function's, and those of [`Device::write`].
    fn fill(&self, program: ProgramId, buffers: &[(BufferId, usize)], fill: Fill<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        for (index, (id, size)) in buffers.iter().enumerate() {
            bytes.resize(*size, 0);
            fill(index, &mut bytes)?;
            self.write(program, *id, &bytes)?;
        }
        Ok(())
    }

    /// Reads a persistent buffer whole.
    ///
    /// # Errors
    /// As [`Device::write`].
    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()>;

    /// Writes a tensor of the optimizer's state of a parameter, by its number in `Plan::optimizer`; elements are in the
    /// parameter's own layout. Of a tensor that is cut over ranks, this one keeps its part.
    ///
    /// # Errors
    /// Where the plan has no such tensor.
    fn write_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &[u8]) -> Result<()>;

    /// Reads one, likewise. One that is cut over ranks is put together of all parts: all ranks read the same ones in the same order.
    ///
    /// # Errors
    /// As [`Device::write_optimizer`]; where a rank has gone.
    fn read_optimizer(&self, program: ProgramId, param: BufferId, tensor: u8, bytes: &mut [u8])
    -> Result<()>;

    /// Sets parameters and running statistics of a program to those of another device's, where that can be done without the host; whether
    /// it was. Nothing of either device is under way.
    ///
    /// # Errors
    /// The device's.
    fn take_over(&self, _program: ProgramId, _from: &dyn Device, _from_program: ProgramId) -> Result<bool> {
        Ok(false)
    }

    /// Measures what it can do at most, for a plan's precision; takes about half a second. Nothing where that means nothing.
    ///
    /// # Errors
    /// The device's, where it has no memory or threads for it.
    fn roofline(&self, _plan: &Plan) -> Result<Option<Roofline>> {
        Ok(None)
    }

    /// The device itself, for one of its kind to know it by.
    fn as_any(&self) -> &dyn Any;

    /// The engines that were chosen for convolutions of loaded plans which have to be deterministic, where measurements choose them.
    ///
    /// # Errors
    /// Where the device has failed.
    fn engines(&self) -> Result<Engines> {
        Ok(Engines::default())
    }

    /// How a step of a loaded plan is computed, where the device has several ways.
    fn choice(&self, _program: ProgramId, _step: usize) -> Option<Choice> {
        None
    }
}

/// Inputs of a run.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// Buffers with their bytes, as [`Session::write`] takes them.
    pub buffers: &'a [(BufferId, &'a [u8])],
    /// What the session makes the plan's images of, where it said that it does ([`Session::prepare_images`]).
    pub pictures: Option<&'a Pictures>,
}

/// How long [`Session::collect`] waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until all submitted runs are done.
    All,
    /// Until another run can be submitted.
    Room,
}

/// Arena and workspaces, and the runs in them, one after another.
pub trait Session: Send {
    /// Whose plans it runs.
    fn device(&self) -> &dyn Device;

    /// Makes room for a loaded plan; what the arena held is lost. No run of that plan allocates after it.
    ///
    /// # Errors
    /// Where there is no such plan, or no memory.
    fn open(&mut self, program: ProgramId) -> Result<()>;

    /// Takes a plan into the device, and makes room for it here.
    ///
    /// # Errors
    /// Those of [`Device::load`] and [`Session::open`].
    fn load(&mut self, plan: Arc<Plan>) -> Result<ProgramId> {
        let program = self.device().load(plan)?;
        self.open(program)?;
        Ok(program)
    }

    /// Writes a buffer whole, elements in the buffer's own layout and type: one of the arena here, a persistent one on the
    /// device, for all sessions.
    ///
    /// # Errors
    /// Where the buffer has another size.
    fn write(&mut self, program: ProgramId, buffer: BufferId, bytes: &[u8]) -> Result<()>;

    /// Reads a buffer whole. All runs that were submitted have been collected.
    ///
    /// # Errors
    /// As [`Session::write`]; where a run has not been collected.
    fn read(&self, program: ProgramId, buffer: BufferId, bytes: &mut [u8]) -> Result<()>;

    /// Runs all steps, to the end. The arena reuses memory within a run, that of the inputs too: images and labels are
    /// written before every run. What changes from run to run lies in memory too: see `Plan::controls`. With `times`, adds
    /// each step's time to its element.
    ///
    /// # Errors
    /// Where the plan was not opened here, or the device fails.
    fn run(&mut self, program: ProgramId, times: Option<&mut [Duration]>) -> Result<()>;

    /// Asks whether the session makes images itself, of pictures, for all of these programs: what their batches have to bring from then
    /// on. Sessions that do not, take floats. A set that is given and fits stays on the device. Of other programs nothing changes.
    ///
    /// # Errors
    /// The device's.
    fn prepare_images(&mut self, _programs: &[ProgramId], _preparation: &Preparation<'_>) -> Result<Form> {
        Ok(Form::Floats)
    }

    /// Hands over the inputs of a run and the run itself, which may still be under way, or wait for others to be started with it, when
    /// this returns; the inputs' bytes are the caller's again. The buffers in `keep`, of `f32`, are kept for [`Session::collect`].
    /// At most [`Session::depth`] runs may be submitted and not collected.
    ///
    /// # Errors
    /// Those of [`Session::run`]; of a run that is still under way, [`Session::collect`] tells.
    fn submit(&mut self, program: ProgramId, inputs: &Inputs<'_>, keep: &[BufferId]) -> Result<()>;

    /// Waits for submitted runs, some or all of them; appends what they kept, in the order in which they were submitted.
    ///
    /// # Errors
    /// Where one of them failed.
    fn collect(&mut self, until: Until, kept: &mut Vec<f32>) -> Result<()>;

    /// Runs that it gains to submit before the first is collected: 1 where [`Session::submit`] runs to the end.
    fn depth(&self) -> usize {
        1
    }
}

/// What [`Session::submit`] comes to where a run has ended when it returns: writes the inputs, runs, and appends what is to be kept.
///
/// # Errors
/// Those of [`Session::write`], [`Session::run`] and [`Session::read`]; where there are pictures, which it makes no images of.
pub fn run_at_once(
    session: &mut dyn Session,
    program: ProgramId,
    plan: &Plan,
    inputs: &Inputs<'_>,
    keep: &[BufferId],
    kept: &mut Vec<f32>,
) -> Result<()> {
    if inputs.pictures.is_some() {
        return Err(Error::Device(format!("{} makes no images", session.device().describe())));
    }
    for (buffer, bytes) in inputs.buffers {
        session.write(program, *buffer, bytes)?;
    }
    session.run(program, None)?;
    for &buffer in keep {
        let before = kept.len();
        kept.resize(before + plan.buffer(buffer).bytes / size_of::<f32>(), 0.0);
        session.read(program, buffer, bytemuck::cast_slice_mut(&mut kept[before..]))?;
    }
    Ok(())
}
