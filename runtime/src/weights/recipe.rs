//! Recipes: a plan's persistent tensor out of a checkpoint's tensors. Evaluated in `f64`, rounded once.

use resnetc_compiler::ir::op::{BnTensors, Recipe};
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::plan::{BufferId, Plan, Slot};

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::store::ParamStore;
use crate::error::Result;

/// Where recipes find a network's tensors: a store, or a device that holds them. Threads ask at
/// once.
pub trait Tensors: Sync {
    /// The elements of the tensor of a name, which must have that shape, row-major in the order of the shape.
    ///
    /// # Errors
    /// Where there is none, or one of another shape.
    fn tensor(&self, name: &str, shape: &Shape) -> Result<Cow<'_, [f32]>>;
}

impl Tensors for ParamStore {
    fn tensor(&self, name: &str, shape: &Shape) -> Result<Cow<'_, [f32]>> {
        self.expect(name, shape).map(Cow::Borrowed)
    }
}

/// A persistent tensor's values: another tensor's, which is not copied, times a factor for each of its first index.
#[derive(Debug)]
pub struct Values<'s> {
    /// In logical row-major order.
    pub data: Cow<'s, [f32]>,
    /// One for each index of the first axis; products are rounded once.
    pub factors: Option<Vec<f64>>,
}

impl<'s> Values<'s> {
    fn plain(data: impl Into<Cow<'s, [f32]>>) -> Self {
        Values { data: data.into(), factors: None }
    }

    fn into_vec(self) -> Vec<f32> {
        let Some(factors) = self.factors else { return self.data.into_owned() };
        let filters = self.data.chunks_exact((self.data.len() / factors.len().max(1)).max(1));
        let scaled = filters.zip(&factors);
        scaled.flat_map(|(filter, &factor)| filter.iter().map(move |&w| scaled_by(w, factor))).collect()
    }
}

/// A value times a factor, rounded once.
pub(super) fn scaled_by(value: f32, factor: f64) -> f32 {
    (f64::from(value) * factor) as f32
}

/// The values of a slot.
///
/// # Errors
/// Where a tensor that the slot is made of is missing, or has another shape.
pub fn evaluate<'s>(plan: &Plan, slot: &Slot, store: &'s dyn Tensors) -> Result<Values<'s>> {
    let buffer = plan.buffer(slot.buffer);
    values(&buffer.name, &buffer.shape, &slot.recipe, store)
}

/// The values of a persistent tensor of that name and shape, in logical row-major order.
///
/// # Errors
/// See [`evaluate`].
pub fn tensor(name: &str, shape: &Shape, recipe: &Recipe, store: &dyn Tensors) -> Result<Vec<f32>> {
    Ok(values(name, shape, recipe, store)?.into_vec())
}

fn values<'s>(name: &str, shape: &Shape, recipe: &Recipe, store: &'s dyn Tensors) -> Result<Values<'s>> {
    let channels = || shape.numel().unwrap_or(0);
    match recipe {
        Recipe::Own => Ok(Values::plain(store.tensor(name, shape)?)),
        Recipe::FoldedWeight { weight, bn } => {
            let channels = shape.0.first().copied().unwrap_or(1);
            let data = store.tensor(weight, shape)?;
            let norm = Norm::of(bn, channels, store)?;
            Ok(Values { data, factors: Some((0..channels).map(|c| norm.factor(c)).collect()) })
        }
        Recipe::FoldedShift { bias, bn } => {
            let norm = Norm::of(bn, channels(), store)?;
            let bias = match bias {
                Some(name) => Some(store.tensor(name, shape)?),
                None => None,
            };
            let bias = |channel: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias[channel]));
            let shifts = (0..channels()).map(|c| norm.shift(c, bias(c)) as f32);
            Ok(Values::plain(shifts.collect::<Vec<_>>()))
        }
        Recipe::FoldedScale { bn } => {
            let norm = Norm::of(bn, channels(), store)?;
            let factors = (0..channels()).map(|c| norm.factor(c) as f32);
            Ok(Values::plain(factors.collect::<Vec<_>>()))
        }
    }
}

/// A plan's tensors that are not made of others, by name.
pub(crate) fn own(plan: &Plan) -> BTreeMap<&str, BufferId> {
    let own = plan.slots.iter().filter(|slot| slot.recipe == Recipe::Own);
    own.map(|slot| (&*plan.buffer(slot.buffer).name, slot.buffer)).collect()
}

/// Names of the tensors that a slot's recipe reads.
pub fn sources<'p>(plan: &'p Plan, slot: &'p Slot) -> Vec<&'p str> {
    let norm = |bn: &'p BnTensors| [&bn.scale, &bn.shift, &bn.mean, &bn.var].map(String::as_str);
    match &slot.recipe {
        Recipe::Own => vec![&plan.buffer(slot.buffer).name],
        Recipe::FoldedWeight { weight, bn } => [&[weight.as_str()][..], &norm(bn)].concat(),
        Recipe::FoldedShift { bias, bn } => bias.iter().map(String::as_str).chain(norm(bn)).collect(),
        Recipe::FoldedScale { bn } => norm(bn).to_vec(),
    }
}

/// The tensors of one batch normalisation.
struct Norm<'s> {
    scale: Cow<'s, [f32]>,
    shift: Cow<'s, [f32]>,
    mean: Cow<'s, [f32]>,
    var: Cow<'s, [f32]>,
    eps: f64,
}

impl<'s> Norm<'s> {
    fn of(bn: &BnTensors, channels: usize, store: &'s dyn Tensors) -> Result<Self> {
        let shape = Shape::from([channels]);
        Ok(Norm {
            scale: store.tensor(&bn.scale, &shape)?,
            shift: store.tensor(&bn.shift, &shape)?,
            mean: store.tensor(&bn.mean, &shape)?,
            var: store.tensor(&bn.var, &shape)?,
            eps: f64::from(bn.eps),
        })
    }

    /// `scale / sqrt(var + eps)`
    fn factor(&self, channel: usize) -> f64 {
        f64::from(self.scale[channel]) / (f64::from(self.var[channel]) + self.eps).sqrt()
    }

    /// `shift + (bias - mean) * scale / sqrt(var + eps)`
    fn shift(&self, channel: usize, bias: f64) -> f64 {
        f64::from(self.shift[channel]) + (bias - f64::from(self.mean[channel])) * self.factor(channel)
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::backend::Backend;
    use resnetc_compiler::ir::graph::Mode;
    use resnetc_compiler::ir::op::{Init, Role};
    use resnetc_compiler::ir::types::{DType, Layout};
    use resnetc_compiler::plan::{Buffer, BufferId, Region, RegionSizes};

    use super::*;
    use crate::error::Error;

    /// Two channels. With `eps = 1` the deviations are 2 and 3, so the factors are 4 / 2 and -3 / 3.
    fn store() -> ParamStore {
        let mut store = ParamStore::new();
        store.insert("w", Shape::from([2, 1, 1, 2]), vec![1.0, 2.0, 3.0, 4.0]);
        let vectors = [
            ("bias", [0.25, 5.0]),
            ("scale", [4.0, -3.0]),
            ("shift", [0.5, 1.0]),
            ("mean", [1.0, 2.0]),
            ("var", [3.0, 8.0]),
        ];
        for (name, values) in vectors {
            store.insert(name, Shape::from([2]), values.to_vec());
        }
        store
    }

    fn bn() -> BnTensors {
        let [scale, shift, mean, var] = ["scale", "shift", "mean", "var"].map(String::from);
        BnTensors { scale, shift, mean, var, eps: 1.0 }
    }

    /// A plan of one persistent tensor.
    fn plan(shape: Shape, recipe: Recipe) -> Plan {
        let bytes = shape.numel().expect("small") * 4;
        let (dtype, layout, region) = (DType::F32, Layout::Plain, Region::Params);
        let buffer = Buffer {
            name: "w".into(),
            shape,
            dtype,
            layout,
            region,
            offset: 0,
            bytes,
            live: None,
            slice: None,
            span: None,
        };
        let slot = Slot {
            buffer: BufferId(0),
            role: Role::ConvWeight,
            init: Init::Constant(0.0),
            recipe,
            state: None,
        };
        Plan {
            name: "by hand".into(),
            mode: Mode::Infer,
            align: Backend::CPU.align,
            layouts: Backend::CPU.layouts,
            tf32: false,
            deterministic: true,
            ranks: None,
            batch: 1,
            sizes: RegionSizes { params: bytes, ..RegionSizes::default() },
            buffers: vec![buffer],
            steps: Vec::new(),
            slots: vec![slot],
            input: BufferId(0),
            labels: None,
            partners: None,
            teacher: None,
            class_weights: Vec::new(),
            controls: Default::default(),
            optimizer: Vec::new(),
            shards: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn values(shape: Shape, recipe: Recipe) -> Vec<f32> {
        let plan = plan(shape, recipe);
        evaluate(&plan, &plan.slots[0], &store()).expect("all tensors are there").into_vec()
    }

    #[test]
    fn weights_are_scaled_per_output_channel() {
        let recipe = Recipe::FoldedWeight { weight: "w".into(), bn: bn() };
        assert_eq!(values(Shape::from([2, 1, 1, 2]), recipe), [2.0, 4.0, -3.0, -4.0]);
        assert_eq!(values(Shape::from([2, 1, 1, 2]), Recipe::Own), [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn shifts_take_the_mean_and_the_bias_in() {
        // 0.5 - 1 * 2; 1 - 2 * -1
        let recipe = Recipe::FoldedShift { bias: None, bn: bn() };
        assert_eq!(values(Shape::from([2]), recipe), [-1.5, 3.0]);
        // 0.5 + (0.25 - 1) * 2; 1 + (5 - 2) * -1
        let recipe = Recipe::FoldedShift { bias: Some("bias".into()), bn: bn() };
        assert_eq!(values(Shape::from([2]), recipe), [-1.0, -2.0]);
    }

    #[test]
    fn scales_are_the_factors() {
        assert_eq!(values(Shape::from([2]), Recipe::FoldedScale { bn: bn() }), [2.0, -1.0]);
    }

    #[test]
    fn every_tensor_that_is_read_is_named_and_needed() {
        let plan = plan(Shape::from([2]), Recipe::FoldedShift { bias: Some("bias".into()), bn: bn() });
        let names = sources(&plan, &plan.slots[0]);
        assert_eq!(names, ["bias", "scale", "shift", "mean", "var"]);
        for missing in names {
            let mut store = ParamStore::new();
            for (name, tensor) in self::store().iter().filter(|(name, _)| *name != missing) {
                store.insert(name, tensor.shape.clone(), tensor.data.clone());
            }
            let error = evaluate(&plan, &plan.slots[0], &store).expect_err(missing);
            assert!(matches!(&error, Error::MissingTensor { name } if name == missing), "{error}");
        }
    }
}
