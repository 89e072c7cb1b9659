//! Recipes: a plan's persistent tensor out of a checkpoint's tensors. Evaluated in `f64`, rounded once.

use resnetc_compiler::ir::op::{BnTensors, Recipe};
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::plan::{Plan, Slot};

use super::ParamStore;
use crate::error::Result;

/// The values of a slot, in logical row-major order.
pub fn evaluate(plan: &Plan, slot: &Slot, store: &ParamStore) -> Result<Vec<f32>> {
    let buffer = plan.buffer(slot.buffer);
    match &slot.recipe {
        Recipe::Own => Ok(store.expect(&buffer.name, &buffer.shape)?.to_vec()),
        Recipe::FoldedWeight { weight, bn } => {
            let channels = buffer.shape.0.first().copied().unwrap_or(1);
            let data = store.expect(weight, &buffer.shape)?;
            let norm = Norm::of(bn, channels, store)?;
            let per_channel = (data.len() / channels.max(1)).max(1);
            let filters = data.chunks_exact(per_channel).enumerate();
            let folded = filters.flat_map(|(channel, filter)| {
                let factor = norm.factor(channel);
                filter.iter().map(move |&w| (f64::from(w) * factor) as f32)
            });
            Ok(folded.collect())
        }
        Recipe::FoldedShift { bias, bn } => {
            let channels = buffer.shape.numel().unwrap_or(0);
            let norm = Norm::of(bn, channels, store)?;
            let bias = match bias {
                Some(name) => Some(store.expect(name, &buffer.shape)?),
                None => None,
            };
            let bias = |channel: usize| bias.map_or(0.0, |bias| f64::from(bias[channel]));
            Ok((0..channels).map(|c| norm.shift(c, bias(c)) as f32).collect())
        }
        Recipe::FoldedScale { bn } => {
            let channels = buffer.shape.numel().unwrap_or(0);
            let norm = Norm::of(bn, channels, store)?;
            Ok((0..channels).map(|c| norm.factor(c) as f32).collect())
        }
    }
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
    scale: &'s [f32],
    shift: &'s [f32],
    mean: &'s [f32],
    var: &'s [f32],
    eps: f64,
}

impl<'s> Norm<'s> {
    fn of(bn: &BnTensors, channels: usize, store: &'s ParamStore) -> Result<Self> {
        let shape = Shape::from([channels]);
        Ok(Norm {
            scale: store.expect(&bn.scale, &shape)?,
            shift: store.expect(&bn.shift, &shape)?,
            mean: store.expect(&bn.mean, &shape)?,
            var: store.expect(&bn.var, &shape)?,
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
