//! Plans: a work's engine, ready to run; as text, they outlive the process.

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::cudnn::sys;
use serde::{Deserialize, Serialize};

use super::descriptor::{Attribute as A, Descriptor, Type, Value};
use super::engine::{Engine, Source};
use super::fault::{Fault, Result, check};
use super::graph::Graph;
use super::handle::Handle;
use super::job::Job;
use super::legacy;
use super::target::Target;
use super::tensor::Role;

/// An engine, ready to run.
#[derive(Debug)]
pub struct Plan {
    engine: Engine,
    workspace: u64,
    how: How,
    roles: Vec<i64>,
}

#[derive(Debug, Clone)]
enum How {
    Graph(Arc<Descriptor>),
    Legacy(Arc<legacy::Call>),
}

/// A plan as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Which engine.
    #[serde(flatten)]
    pub engine: Engine,
    /// Bytes that it needs besides the tensors.
    pub workspace: u64,
    /// Measured seconds of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// cuDNN's text of it, with its kernel where one was compiled; legacy algorithms have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
}

impl Plan {
    pub(super) fn of_config(
        target: &Target<'_>,
        config: &Arc<Descriptor>,
        engine: &Engine,
        roles: &[i64],
    ) -> Result<Self> {
        let config = (A::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, Value::Parts(std::slice::from_ref(config)));
        let made = Descriptor::with(Type::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &[target.plan(), config])?;
        Plan::of_descriptor(made, engine, roles)
    }

    pub(super) fn of_legacy(algorithm: legacy::Algorithm, job: &Job, roles: &[i64]) -> Result<Self> {
        let call = match job {
            Job::Convolution(work) => legacy::Call::new(algorithm, work)?,
            Job::Normalisation(norm) => {
                return Err(Fault::refused(format!("{} does not do {norm}", algorithm.engine())));
            }
        };
        let how = How::Legacy(Arc::new(call));
        Ok(Plan { engine: algorithm.engine(), workspace: algorithm.workspace, how, roles: roles.to_vec() })
    }

    fn of_descriptor(made: Arc<Descriptor>, engine: &Engine, roles: &[i64]) -> Result<Self> {
        let workspace = made.int(A::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)?;
        let workspace = u64::try_from(workspace)
            .map_err(|_| Fault::refused(format!("{engine} wants {workspace} bytes of workspace")))?;
        Ok(Plan { engine: engine.clone(), workspace, how: How::Graph(made), roles: roles.to_vec() })
    }

    /// Which engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Bytes that it needs besides the tensors, at an address that is a multiple of 256.
    pub fn workspace(&self) -> u64 {
        self.workspace
    }

    /// The tensors and numbers that have to be bound.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|&role| self.roles.contains(&(role as i64)))
    }

    /// As it is kept, with the measured seconds.
    ///
    /// # Errors
    /// Where cuDNN does not write it.
    pub fn store(&self, seconds: Option<f64>) -> Result<Stored> {
        let json = match &self.how {
            How::Graph(made) => Some(made.text(A::CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION)?),
            How::Legacy(_) => None,
        };
        Ok(Stored { engine: self.engine.clone(), workspace: self.workspace, seconds, json })
    }

    /// From what was kept; nothing is compiled.
    ///
    /// # Errors
    /// Where it is of another GPU, driver or version than cuDNN takes, or no such text.
    pub fn restore(target: &Target<'_>, job: &Job, stored: &Stored) -> Result<Self> {
        let roles = Graph::of(job)?.roles();
        match (stored.engine.source, &stored.json) {
            (Source::Legacy(number), _) => Plan::of_legacy(
                legacy::Algorithm::restored(number, &stored.engine, stored.workspace),
                job,
                &roles,
            ),
            (Source::Graph(_), Some(json)) => {
                let json = (A::CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, Value::Text(json));
                let made =
                    Descriptor::with(Type::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &[target.plan(), json])?;
                Plan::of_descriptor(made, &stored.engine, &roles)
            }
            (Source::Graph(_), None) => {
                Err(Fault::refused(format!("{} was kept without its text", stored.engine)))
            }
        }
    }

    /// Binds device memory to the plan's tensors, and its numbers, once for any number of runs.
    ///
    /// # Errors
    /// Where a tensor has no address, or an address no tensor; and so with numbers.
    pub fn bind(&self, tensors: &[(Role, u64)], numbers: &[(Role, f32)], workspace: u64) -> Result<Bound> {
        let named = numbers.iter().map(|&(role, _)| role);
        let mut found: Vec<i64> =
            tensors.iter().map(|&(role, _)| role).chain(named).map(|role| role as i64).collect();
        let mut wanted = self.roles.clone();
        found.sort_unstable();
        wanted.sort_unstable();
        if found != wanted {
            return Err(Fault::refused(format!(
                "memory is bound to the tensors {found:?}, the plan has {wanted:?}"
            )));
        }
        let how = match &self.how {
            How::Graph(plan) => {
                let numbers: Box<[(Role, f32)]> = numbers.into();
                let pack = pack(tensors, &numbers, workspace)?;
                Binding::Graph { plan: Arc::clone(plan), pack, _numbers: numbers }
            }
            How::Legacy(call) => {
                Binding::Legacy { call: Arc::clone(call), tensors: tensors.to_vec(), workspace }
            }
        };
        Ok(Bound { how, engine: self.engine.clone() })
    }
}

/// The numbers have to stay where they are as long as this lives: cuDNN reads them when it runs.
fn pack(tensors: &[(Role, u64)], numbers: &[(Role, f32)], workspace: u64) -> Result<Arc<Descriptor>> {
    let tensors = tensors.iter().map(|&(role, address)| (role as i64, address as *mut c_void));
    let numbers = numbers.iter().map(|(role, number)| (*role as i64, (&raw const *number).cast_mut().cast()));
    let (ids, pointers): (Vec<i64>, Vec<*mut c_void>) = tensors.chain(numbers).unzip();
    Descriptor::with(
        Type::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
        &[
            (A::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, Value::Ints(&ids)),
            (A::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, Value::Pointers(&pointers)),
            (A::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, Value::Pointers(&[workspace as *mut c_void])),
        ],
    )
}

/// A plan with its memory.
#[derive(Debug)]
pub struct Bound {
    how: Binding,
    engine: Engine,
}

#[derive(Debug)]
enum Binding {
    Graph { plan: Arc<Descriptor>, pack: Arc<Descriptor>, _numbers: Box<[(Role, f32)]> },
    Legacy { call: Arc<legacy::Call>, tensors: Vec<(Role, u64)>, workspace: u64 },
}

impl Bound {
    /// Puts it onto the handle's stream; it has not run when this returns. A stream that is captured takes it up.
    ///
    /// # Errors
    /// What cuDNN answers. That a kernel failed shows when the stream is next waited for.
    ///
    /// # Safety
    /// The plan was made, or restored, for the handle's GPU. The addresses are of its memory; each tensor's is aligned as its
    /// place in the work says and has room for all of it, the workspace is a multiple of 256 and as large as
    /// [`Plan::workspace`]. All of it stays allocated until the stream is past the work, and nobody else uses it meanwhile in a way
    /// that would be a race.
    pub unsafe fn run(&self, handle: &Handle) -> Result<()> {
        match &self.how {
            Binding::Graph { plan, pack, _numbers } => {
                // SAFETY: handle and descriptors live and are final; the memory is as the caller promises.
                let status = unsafe { sys::cudnnBackendExecute(handle.raw(), plan.raw(), pack.raw()) };
                check(status, || format!("cannot run {}", self.engine))
            }
            Binding::Legacy { call, tensors, workspace } => {
                // SAFETY: the memory is as the caller promises.
                unsafe { call.run(handle, tensors, *workspace) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions run on threads of their own.
    #[test]
    fn plans_are_shared_and_handles_move() {
        fn shared<T: Send + Sync>() {}
        fn moved<T: Send>() {}
        shared::<Plan>();
        shared::<Bound>();
        moved::<Handle>();
    }
}
