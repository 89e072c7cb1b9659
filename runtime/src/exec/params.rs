//! Parameters, running statistics and the optimizer's state of an executor's network: in, out, and from device to device.

use std::borrow::Cow;
use std::collections::BTreeMap;

use resnetc_compiler::ir::op::{Recipe, Role};
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::plan::{AVERAGE, Buffer, BufferId, GRADIENT_SUM, Plan, Slot};

use super::Executor;
use crate::device::{Device, ProgramId};
use crate::error::{Error, Result};
use crate::init;
use crate::placement::lie_alike;
use crate::weights::recipe::{self, Tensors};
use crate::weights::{ParamStore, layout};

/// Sets all parameters and running statistics of a loaded plan, folded where the plan has them folded; tensors that the network
/// does not have are refused. The state of a scaled loss starts anew.
///
/// # Errors
/// Where a tensor is missing, one too many, or of another shape; the device's.
pub fn load_params(device: &dyn Device, program: ProgramId, plan: &Plan, store: &ParamStore) -> Result<()> {
    store.check_names(plan)?;
    load_tensors(device, program, plan, store)
}

/// The same from wherever the tensors are, but on this device; whether there are others too, nobody asks.
///
/// # Errors
/// Where a tensor is missing, or of another shape; the device's.
pub fn load_tensors(
    device: &dyn Device,
    program: ProgramId,
    plan: &Plan,
    source: &dyn Tensors,
) -> Result<()> {
    let (network, others): (Vec<_>, Vec<_>) = plan.slots.iter().partition(|slot| slot.role.of_network());
    others.into_iter().try_for_each(|slot| reset_slot(device, program, plan, slot))?;
    let buffers: Vec<_> = network.iter().map(|slot| (slot.buffer, plan.buffer(slot.buffer).bytes)).collect();
    device.fill(program, &buffers, &|index, bytes| {
        let slot = network[index];
        layout::encode_into(plan.buffer(slot.buffer), &recipe::evaluate(plan, slot, source)?, bytes)
    })
}

/// Gives a tensor that is none of the network's its first value.
fn reset_slot(device: &dyn Device, program: ProgramId, plan: &Plan, slot: &Slot) -> Result<()> {
    let buffer = plan.buffer(slot.buffer);
    let first = init::values(slot.init, buffer.shape.numel().unwrap_or(0), 0, &buffer.name);
    device.write(program, slot.buffer, &layout::encode(buffer, &first)?)
}

fn load_slot(
    device: &dyn Device,
    program: ProgramId,
    plan: &Plan,
    slot: &Slot,
    source: &dyn Tensors,
) -> Result<()> {
    let buffer = plan.buffer(slot.buffer);
    let mut bytes = vec![0; buffer.bytes];
    layout::encode_into(buffer, &recipe::evaluate(plan, slot, source)?, &mut bytes)?;
    device.write(program, slot.buffer, &bytes)
}

impl Executor {
    /// See [`load_params`].
    ///
    /// # Errors
    /// Those of [`load_params`].
    pub fn load_params(&self, store: &ParamStore) -> Result<()> {
        let (program, plan) = self.first();
        load_params(&*self.device, program, &plan, store)
    }

    /// Sets all parameters and running statistics to those that another network of the same spec has on its device: folds
    /// what this plan has folded, and copies the bytes of the rest.
    ///
    /// # Errors
    /// Where the other network lacks a tensor, or has another shape of it.
    pub fn copy_params(&self, from: &Executor) -> Result<()> {
        let (program, plan) = self.first();
        let (from_program, from_plan) = from.first();
        if self.device.take_over(program, &*from.device, from_program)? {
            return Ok(());
        }
        let source = OnDevice::new(&*from.device, from_program, &from_plan);
        let mut bytes = Vec::new();
        for slot in plan.slots.iter().filter(|slot| slot.role.of_network()) {
            let buffer = plan.buffer(slot.buffer);
            let twin = source.buffer(slot, &buffer.name);
            let Some((id, twin)) = twin.filter(|(_, twin)| lie_alike(buffer, twin)) else {
                load_slot(&*self.device, program, &plan, slot, &source)?;
                continue;
            };
            bytes.resize(twin.bytes, 0);
            from.device.read(from_program, id, &mut bytes)?;
            self.device.write(program, slot.buffer, &bytes)?;
        }
        Ok(())
    }

    /// All parameters and running statistics. Of an inference plan with folded tensors there is no way back.
    pub fn store_params(&self) -> Result<ParamStore> {
        let (program, plan) = self.first();
        if let Some(slot) = plan.slots.iter().find(|slot| slot.recipe != Recipe::Own) {
            let name = &plan.buffer(slot.buffer).name;
            return Err(Error::Incompatible(format!("`{name}` is folded: its parts cannot be read back")));
        }
        let network = plan.slots.iter().filter(|slot| slot.role.of_network());
        collect(&plan, network, |slot, bytes| self.device.read(program, slot.buffer, bytes))
    }

    /// Sets the optimizer's state of every trained parameter, and the state of a scaled loss where there is one on both sides; names
    /// as [`Executor::store_optimizer`] gives them.
    pub fn load_optimizer(&self, store: &ParamStore) -> Result<()> {
        let (program, plan) = self.first();
        for slot in plan.slots.iter().filter(|slot| slot.role.of_optimizer()) {
            if store.get(&plan.buffer(slot.buffer).name).is_some() {
                load_slot(&*self.device, program, &plan, slot, store)?;
            } else if slot.role == Role::Average {
                self.begin_average(slot)?;
            }
        }
        for slot in &plan.slots {
            for (index, name, buffer) in plan.optimizer_tensors(slot) {
                let full = format!("{name}.{}", buffer.name);
                let bytes = match store.get(&full) {
                    None if name == GRADIENT_SUM => vec![0; buffer.bytes],
                    None if name == AVERAGE => self.bytes_of(slot.buffer)?,
                    _ => layout::encode(&buffer, store.expect(&full, &buffer.shape)?)?,
                };
                self.device.write_optimizer(program, slot.buffer, index, &bytes)?;
            }
        }
        Ok(())
    }

    /// All running statistics.
    ///
    /// # Errors
    /// The device's.
    pub fn store_statistics(&self) -> Result<ParamStore> {
        let (program, plan) = self.first();
        let is_statistic = |slot: &&Slot| matches!(slot.role, Role::RunningMean | Role::RunningVar);
        let statistics = plan.slots.iter().filter(is_statistic);
        collect(&plan, statistics, |slot, bytes| self.device.read(program, slot.buffer, bytes))
    }

    /// Sets all running statistics, given as [`Executor::store_statistics`] gives them.
    ///
    /// # Errors
    /// Where one is missing or of another shape; the device's.
    pub fn load_statistics(&self, store: &ParamStore) -> Result<()> {
        let (program, plan) = self.first();
        let statistics =
            plan.slots.iter().filter(|slot| matches!(slot.role, Role::RunningMean | Role::RunningVar));
        for slot in statistics {
            load_slot(&*self.device, program, &plan, slot, store)?;
        }
        Ok(())
    }

    /// The averages of running statistics, by the names of these; empty where the plan keeps none.
    ///
    /// # Errors
    /// The device's.
    pub fn store_average_statistics(&self) -> Result<ParamStore> {
        let plan = self.first().1;
        let mut store = ParamStore::new();
        for slot in plan.slots.iter().filter(|slot| slot.role == Role::Average) {
            let buffer = plan.buffer(slot.buffer);
            let Some(name) = averaged(buffer) else { continue };
            let average = layout::decode(buffer, &self.bytes_of(slot.buffer)?)?;
            store.insert(name, buffer.shape.clone(), average);
        }
        Ok(store)
    }

    /// Sets the averages of running statistics, given by the names of these.
    ///
    /// # Errors
    /// Where one is missing or of another shape; the device's.
    pub fn load_average_statistics(&self, store: &ParamStore) -> Result<()> {
        let (program, plan) = self.first();
        for slot in plan.slots.iter().filter(|slot| slot.role == Role::Average) {
            let buffer = plan.buffer(slot.buffer);
            let Some(name) = averaged(buffer) else { continue };
            let bytes = layout::encode(buffer, store.expect(name, &buffer.shape)?)?;
            self.device.write(program, slot.buffer, &bytes)?;
        }
        Ok(())
    }

    /// Begins the average of a running statistic with the statistic.
    fn begin_average(&self, slot: &Slot) -> Result<()> {
        let (program, plan) = self.first();
        let own = recipe::own(&plan);
        match averaged(plan.buffer(slot.buffer)).and_then(|name| own.get(name)) {
            Some(&statistic) => self.device.write(program, slot.buffer, &self.bytes_of(statistic)?),
            None => Ok(()),
        }
    }

    /// The bytes of a persistent buffer.
    fn bytes_of(&self, buffer: BufferId) -> Result<Vec<u8>> {
        let (program, plan) = self.first();
        let mut bytes = vec![0; plan.buffer(buffer).bytes];
        self.device.read(program, buffer, &mut bytes)?;
        Ok(bytes)
    }

    /// The average of the weights: of trained parameters and running statistics; others are as they are. `None` where the plan keeps
    /// none. Where each rank has a part of it, all of them ask.
    ///
    /// # Errors
    /// The device's.
    pub fn store_average(&self) -> Result<Option<ParamStore>> {
        let (program, plan) = self.first();
        if !plan.optimizer.iter().any(|name| name == AVERAGE) {
            return Ok(None);
        }
        let mut store = self.store_params()?;
        for slot in &plan.slots {
            if let Some((tensor, _, buffer)) =
                plan.optimizer_tensors(slot).find(|(_, name, _)| *name == AVERAGE)
            {
                let mut bytes = vec![0; buffer.bytes];
                self.device.read_optimizer(program, slot.buffer, tensor, &mut bytes)?;
                store.insert(&buffer.name, buffer.shape.clone(), layout::decode(&buffer, &bytes)?);
            }
        }
        for (name, tensor) in self.store_average_statistics()?.iter() {
            store.insert(name, tensor.shape.clone(), tensor.data.clone());
        }
        Ok(Some(store))
    }

    /// Whether each rank has a part of the optimizer's state alone. All ranks then read it together.
    pub fn is_sharded(&self) -> bool {
        !self.plan(0).shards.is_empty()
    }

    /// Gives the rank that stores the optimizer's state this one's part of it, where each has one.
    ///
    /// # Errors
    /// Where a rank has gone.
    pub fn give_optimizer(&self) -> Result<()> {
        let (program, plan) = self.first();
        let mut bytes = Vec::new();
        for slot in &plan.slots {
            for (index, _, buffer) in
                plan.optimizer_tensors(slot).filter(|(index, ..)| plan.is_sharded(*index))
            {
                bytes.resize(buffer.bytes, 0);
                self.device.read_optimizer(program, slot.buffer, index, &mut bytes)?;
            }
        }
        Ok(())
    }

    /// The optimizer's state: `<tensor>.<parameter>`, as in `velocity.stem.conv1.weight`, and that of a scaled loss. A sum of gradients
    /// is zero between updates, and then left out. Where each rank has a part of the state, all of them store it, or give their parts
    /// ([`Executor::give_optimizer`]).
    pub fn store_optimizer(&self) -> Result<ParamStore> {
        let (program, plan) = self.first();
        let own = plan.slots.iter().filter(|slot| slot.role.of_optimizer());
        let mut store = collect(&plan, own, |slot, bytes| self.device.read(program, slot.buffer, bytes))?;
        for slot in &plan.slots {
            for (index, name, buffer) in plan.optimizer_tensors(slot) {
                let mut bytes = vec![0; buffer.bytes];
                self.device.read_optimizer(program, slot.buffer, index, &mut bytes)?;
                if name == GRADIENT_SUM && bytes.iter().all(|&byte| byte == 0) {
                    continue;
                }
                let name = format!("{name}.{}", buffer.name);
                store.insert(name, buffer.shape.clone(), layout::decode(&buffer, &bytes)?);
            }
        }
        Ok(store)
    }
}

/// The name of the running statistic that a buffer holds the average of.
fn averaged(buffer: &Buffer) -> Option<&str> {
    buffer.name.strip_prefix(AVERAGE)?.strip_prefix('.')
}

/// A network's tensors where they are: on a device.
struct OnDevice<'a> {
    device: &'a dyn Device,
    program: ProgramId,
    plan: &'a Plan,
    /// Of tensors that are not made of others.
    buffers: BTreeMap<&'a str, BufferId>,
}

impl<'a> OnDevice<'a> {
    fn new(device: &'a dyn Device, program: ProgramId, plan: &'a Plan) -> Self {
        OnDevice { device, program, plan, buffers: recipe::own(plan) }
    }

    /// The buffer that holds what a slot of another plan is to hold, where one does.
    fn buffer(&self, slot: &Slot, name: &str) -> Option<(BufferId, &'a Buffer)> {
        let id = *self.buffers.get(name).filter(|_| slot.recipe == Recipe::Own)?;
        Some((id, self.plan.buffer(id)))
    }
}

impl Tensors for OnDevice<'_> {
    fn tensor(&self, name: &str, shape: &Shape) -> Result<Cow<'_, [f32]>> {
        let id = self.buffers.get(name).ok_or_else(|| Error::MissingTensor { name: name.to_owned() })?;
        let buffer = self.plan.buffer(*id);
        if buffer.shape != *shape {
            let (expected, found) = (shape.clone(), buffer.shape.clone());
            return Err(Error::WrongShape { name: name.to_owned(), expected, found });
        }
        let mut bytes = vec![0; buffer.bytes];
        self.device.read(self.program, *id, &mut bytes)?;
        layout::decode(buffer, &bytes).map(Cow::Owned)
    }
}

/// Reads the slots' buffers into a store.
fn collect<'p>(
    plan: &'p Plan,
    slots: impl Iterator<Item = &'p Slot>,
    read: impl Fn(&Slot, &mut [u8]) -> Result<()>,
) -> Result<ParamStore> {
    let mut store = ParamStore::new();
    for slot in slots {
        let buffer = plan.buffer(slot.buffer);
        let mut bytes = vec![0; buffer.bytes];
        read(slot, &mut bytes)?;
        store.insert(&buffer.name, buffer.shape.clone(), layout::decode(buffer, &bytes)?);
    }
    Ok(store)
}
