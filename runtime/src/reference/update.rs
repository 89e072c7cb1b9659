//! The optimizer's update.

use candle_core::{Result, Tensor};
use resnetc_compiler::ir::op::SgdAttrs;

use super::Effects;
use crate::device::RunArgs;

/// `param, grad, velocity ->`, PyTorch's SGD: see [`SgdAttrs`].
pub(super) fn sgd(sgd: &SgdAttrs, args: &RunArgs, inputs: &[Tensor]) -> Result<Effects> {
    let (param, velocity) = (&inputs[0], &inputs[2]);
    let grad = (&inputs[1] + (param * f64::from(sgd.weight_decay))?)?;
    let momentum = f64::from(sgd.momentum);
    let mut updates = Vec::with_capacity(2);
    let step = if momentum == 0.0 {
        grad
    } else {
        let velocity = if args.first_update {
            grad.clone()
        } else {
            ((velocity * momentum)? + (&grad * (1.0 - f64::from(sgd.dampening)))?)?
        };
        updates.push((2, velocity.clone()));
        if sgd.nesterov { (grad + (velocity * momentum)?)? } else { velocity }
    };
    updates.push((0, (param - (step * f64::from(args.lr))?)?));
    Ok(Effects { outputs: Vec::new(), updates })
}
