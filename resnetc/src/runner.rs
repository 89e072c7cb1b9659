//! Runs a network on any number of images, and hands out results of nodes inside it beside the network's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use resnetc_compiler::explain;
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::keep::NotKept;
use resnetc_compiler::plan::Plan;
use resnetc_compiler::report::Target;
use resnetc_runtime::error::Error as RuntimeError;
use resnetc_runtime::exec::{Executor, RunArgs};
use resnetc_runtime::weights::ParamStore;

use crate::device::DeviceOptions;
use crate::error::{Error, Result};
use crate::spec::Spec;
use crate::tensors::Array;

/// A network with weights that answers with all that was asked for.
pub struct Runner {
    spec: Spec,
    device: DeviceOptions,
    emit: Vec<String>,
    executor: Executor,
    /// The executor's plans, by batch size.
    indices: BTreeMap<usize, usize>,
    /// Images per run.
    batch: usize,
}

impl Runner {
    /// With weights, for `batch` images at a time; `emit` names nodes of the network, as `resnetc explain` does, whose
    /// results are wanted too.
    ///
    /// # Errors
    /// Where the spec cannot be compiled, a node has no result of its own, the weights are another network's, or the device
    /// fails.
    pub fn new(
        spec: &Spec,
        weights: &ParamStore,
        device: &DeviceOptions,
        emit: &[String],
        batch: usize,
    ) -> Result<Self> {
        let batch = batch.max(1);
        let plan = plan(spec, device, emit, batch)?;
        let executor = device.executor(plan, weights)?;
        let (spec, device, emit) = (spec.clone(), device.clone(), emit.to_vec());
        Ok(Runner { spec, device, emit, executor, indices: BTreeMap::from([(batch, 0)]), batch })
    }

    /// Runs on images `[n][channels][height][width]`: every result of the network, `logits` first where it has a head, then
    /// those that were asked for, each with a first size of `n`.
    ///
    /// # Errors
    /// Where these are no whole images, or none; the device's.
    pub fn run(&mut self, images: &[f32]) -> Result<Vec<(String, Array)>> {
        let shape = self.spec.resolved().input.value;
        let pixels: usize = shape.iter().product();
        if images.is_empty() || !images.len().is_multiple_of(pixels.max(1)) {
            let text = format!("{} numbers are no images of {shape:?}", images.len());
            return Err(Error::Runtime(RuntimeError::Incompatible(text)));
        }
        let mut results: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        for part in images.chunks(self.batch * pixels) {
            self.run_part(part, part.len() / pixels, &mut results)?;
        }
        let array = |(name, shape, data): (String, Vec<usize>, Vec<f32>)| {
            let array = Array::new(shape, data).expect("each run adds its images to both");
            (name, array)
        };
        Ok(results.into_iter().map(array).collect())
    }

    /// Runs on one batch, and adds its results to those of the batches before.
    fn run_part(
        &mut self,
        images: &[f32],
        count: usize,
        results: &mut Vec<(String, Vec<usize>, Vec<f32>)>,
    ) -> Result<()> {
        let index = self.open(count)?;
        self.executor.set_input_nchw(index, images)?;
        self.executor.run(index, &RunArgs::default(), None)?;
        let plan = self.executor.plan(index);
        for (at, (name, buffer)) in plan.outputs.iter().enumerate() {
            let values = self.executor.output(index, name)?;
            match results.get_mut(at) {
                Some((_, shape, data)) => {
                    shape[0] += count;
                    data.extend(values);
                }
                None => results.push((name.clone(), plan.buffer(*buffer).shape.0.clone(), values)),
            }
        }
        Ok(())
    }

    /// The executor's index of the plan for a batch size: the last batch may be a smaller one.
    fn open(&mut self, count: usize) -> Result<usize> {
        if let Some(&index) = self.indices.get(&count) {
            return Ok(index);
        }
        let index = self.executor.add(plan(&self.spec, &self.device, &self.emit, count)?)?;
        self.indices.insert(count, index);
        Ok(index)
    }
}

fn plan(spec: &Spec, device: &DeviceOptions, emit: &[String], batch: usize) -> Result<Arc<Plan>> {
    let target = Target { backend: device.backend(), ..Target::new(Mode::Infer, batch) };
    let compiled = resnetc_compiler::compile_keeping(spec.resolved(), &target, emit);
    let (compiled, missing) = compiled.map_err(|faults| spec.faults(faults))?;
    if missing.is_empty() {
        return Ok(Arc::new(compiled.plan));
    }
    let trace = explain::trace(spec.resolved(), &target).map_err(|faults| spec.faults(faults))?;
    let line = |why: &NotKept| match why {
        NotKept::Unknown { name } => match trace.suggestions(name) {
            near if near.is_empty() => format!("{why}; `resnetc build --emit ir` lists all"),
            near => format!("{why}; near to it: {}", near.join(", ")),
        },
        NotKept::Parameter { .. } | NotKept::Fused { .. } => why.to_string(),
    };
    Err(Error::NotKept(missing.iter().map(line).collect()))
}
