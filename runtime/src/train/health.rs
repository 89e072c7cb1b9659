//! Whether a training's numbers are still finite. Running variances overflow first, while the loss is still finite: a
//! checkpoint of them would be of no use to anyone.

use resnetc_compiler::plan::Plan;

use crate::checkpoint::Checkpoint;
use crate::error::NotFinite;
use crate::weights::Tensor;

/// What is not finite of a training's state, if anything.
pub(super) fn examine(checkpoint: &Checkpoint, plan: &Plan) -> Option<NotFinite> {
    let Checkpoint { params, optimizer, .. } = checkpoint;
    let in_order = plan.slots.iter().map(|slot| plan.buffer(slot.buffer).name.as_str());
    let params = in_order.filter_map(|name| Some((name.to_owned(), params.get(name)?)));
    let state = optimizer.iter().map(|(name, tensor)| (format!("optimizer.{name}"), tensor));
    let (mut first, mut tensors, mut of) = (None, 0, 0);
    for (name, tensor) in params.chain(state) {
        of += 1;
        if let Some(value) = wrong(tensor) {
            tensors += 1;
            first.get_or_insert((name, value));
        }
    }
    first.map(|(name, value)| NotFinite::Tensor { name, value, tensors, of })
}

fn wrong(tensor: &Tensor) -> Option<f32> {
    tensor.data.iter().copied().find(|value| !value.is_finite())
}
