//! The optimizers' updates, and what a scaled loss asks for.

use resnetc_compiler::ir::update::UpdateRule;
use resnetc_compiler::plan::kernel::{AllFinite, LossScaleUpdate, Update};

use super::site::Site;
use crate::cuda::launch::{Arg, THREADS};
use crate::error::Result;

pub(super) fn update(site: &mut Site<'_>, k: &Update) -> Result<()> {
    let mut args = vec![site.at("param")?, site.at("grad")?];
    for name in k.rule.state() {
        args.push(site.at(name)?);
    }
    args.extend([site.at("rate")?, site.at("step")?]);
    args.extend(["scale", "finite", "skipped"].map(|name| site.maybe(name)));
    args.push(site.count(k.len)?);
    match k.rule {
        UpdateRule::Sgd(sgd) => {
            let nesterov = Arg::Int(u32::from(sgd.nesterov));
            args.extend([Arg::Float(sgd.momentum), Arg::Float(sgd.dampening), nesterov]);
            args.push(Arg::Float(sgd.weight_decay));
        }
        UpdateRule::AdamW(adamw) => {
            let constants = [adamw.beta1, adamw.beta2, adamw.eps, adamw.weight_decay];
            args.extend(constants.map(Arg::Float));
        }
    }
    site.launch_flat(k.rule.kernel_name().to_owned(), k.len, args)
}

/// Blocks that share the gradients, at most.
const MAX_PARTS: usize = 1024;

pub(super) fn all_finite(site: &mut Site<'_>, k: &AllFinite) -> Result<()> {
    let parts = k.len.div_ceil(THREADS).clamp(1, MAX_PARTS);
    let found = site.scratch(parts * size_of::<f32>());
    let args = vec![site.at("grad")?, Arg::At(found), site.count(k.len)?];
    site.launch_rows("all_finite".to_owned(), [parts, 1], args)?;
    let args = vec![Arg::At(found), site.at("finite")?, site.count(parts)?];
    site.launch_rows("all_finite_finish".to_owned(), [1, 1], args)
}

pub(super) fn loss_scale(site: &mut Site<'_>, k: &LossScaleUpdate) -> Result<()> {
    let operands = [site.at("finite")?, site.at("skipped")?, site.maybe("scale"), site.maybe("good_steps")];
    // Without a dynamic scale nothing reads the constants.
    let constants = k.dynamic.map_or([1.0, 1.0, 1.0], |d| [d.growth, d.backoff, d.interval as f32]);
    let args = operands.into_iter().chain(constants.map(Arg::Float)).collect();
    site.launch_flat("loss_scale_update".to_owned(), 1, args)
}
