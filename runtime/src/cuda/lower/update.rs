//! The optimizers' updates, and what a scaled loss asks for.

use resnetc_compiler::ir::clip::Clip;
use resnetc_compiler::ir::update::{LambAttrs, LarsAttrs, UpdateRule};
use resnetc_compiler::plan::kernel::{
    AccumulateGradients, AllFinite, Average, ClipGradients, LossScaleUpdate, Update,
};

use super::site::Site;
use super::update_parts::{norm_parts, operands};
use crate::cuda::launch::{Arg, Place, THREADS};
use crate::error::Result;

pub(super) fn update(site: &mut Site<'_>, k: &Update) -> Result<()> {
    let name = k.rule.kernel_name().to_owned();
    match k.rule {
        UpdateRule::Sgd(sgd) => {
            let mut args = operands(site, k)?;
            args.extend([sgd.momentum, sgd.dampening, sgd.weight_decay].map(Arg::Float));
            args.push(Arg::Int(u32::from(sgd.nesterov)));
            site.launch_flat(name, k.len, args)
        }
        UpdateRule::AdamW(adamw) => {
            let mut args = operands(site, k)?;
            args.extend([adamw.beta1, adamw.beta2, adamw.eps, adamw.weight_decay].map(Arg::Float));
            site.launch_flat(name, k.len, args)
        }
        UpdateRule::Lion(lion) => {
            let mut args = operands(site, k)?;
            args.extend([lion.beta1, lion.beta2, lion.weight_decay].map(Arg::Float));
            site.launch_flat(name, k.len, args)
        }
        UpdateRule::Lars(lars) => self::lars(site, k, &lars),
        UpdateRule::Lamb(lamb) => self::lamb(site, k, &lamb),
        UpdateRule::Muon(muon) => super::muon::update(site, k, &muon),
    }
}

/// Adds the update behind the norms, of which there are no parts where the rule does not ask for them.
fn launch_adapted(
    site: &mut Site<'_>,
    k: &Update,
    norms: Option<(Place, usize)>,
    mut args: Vec<Arg<Place>>,
) -> Result<()> {
    let (place, parts) = norms.map_or((Arg::Null, 0), |(place, parts)| (Arg::At(place), parts));
    args.extend([place, site.count(parts)?]);
    let blocks = k.len.div_ceil(THREADS).clamp(1, MAX_PARTS);
    site.launch_rows(k.rule.kernel_name().to_owned(), [blocks, 1], args)
}

fn lars(site: &mut Site<'_>, k: &Update, lars: &LarsAttrs) -> Result<()> {
    let norms = k.rule.per_tensor().then(|| norm_parts(site, k.len));
    if let Some((place, parts)) = norms {
        let args = vec![site.at("param")?, site.at("grad")?, Arg::At(place), site.count(k.len)?];
        site.launch_rows("two_norms".to_owned(), [parts, 1], args)?;
    }
    let mut args = operands(site, k)?;
    args.extend([lars.momentum, lars.dampening, lars.weight_decay].map(Arg::Float));
    args.extend([lars.nesterov, lars.trust_clip].map(|flag| Arg::Int(u32::from(flag))));
    args.extend([lars.trust_coeff, lars.eps].map(Arg::Float));
    launch_adapted(site, k, norms, args)
}

fn lamb(site: &mut Site<'_>, k: &Update, lamb: &LambAttrs) -> Result<()> {
    let scaled = ["scale", "finite", "skipped"].map(|name| site.maybe(name));
    let means = [site.at("exp_avg")?, site.at("exp_avg_sq")?];
    let mut args = vec![site.at("grad")?];
    args.extend(means.into_iter().chain(scaled));
    args.extend([site.count(k.len)?, Arg::Float(lamb.beta1), Arg::Float(lamb.beta2)]);
    site.launch_flat("lamb_means".to_owned(), k.len, args)?;
    let constants = [lamb.beta1, lamb.beta2, lamb.eps, lamb.weight_decay].map(Arg::Float);
    let norms = k.rule.per_tensor().then(|| norm_parts(site, k.len));
    if let Some((place, parts)) = norms {
        let mut args = vec![site.at("param")?];
        args.extend(means.into_iter().chain([site.at("step")?]).chain(scaled));
        args.extend([Arg::At(place), site.count(k.len)?]);
        args.extend(constants);
        site.launch_rows("lamb_norms".to_owned(), [parts, 1], args)?;
    }
    let mut args = operands(site, k)?;
    args.extend(constants);
    args.push(Arg::Int(u32::from(lamb.trust_clip)));
    launch_adapted(site, k, norms, args)
}

pub(super) fn clip(site: &mut Site<'_>, k: &ClipGradients) -> Result<()> {
    let (grad, scale, len) = (site.at("grad")?, site.maybe("scale"), site.count(k.len)?);
    let max = Arg::Float(k.by.max());
    match k.by {
        Clip::Value(_) => site.launch_flat("clip_value".to_owned(), k.len, vec![grad, scale, len, max]),
        Clip::Norm(_) => {
            let (place, parts) = norm_parts(site, k.len);
            site.launch_rows("two_norms".to_owned(), [parts, 1], vec![grad, grad, Arg::At(place), len])?;
            let args = vec![grad, scale, Arg::At(place), site.count(parts)?, len, max];
            let blocks = k.len.div_ceil(THREADS).clamp(1, MAX_PARTS);
            site.launch_rows("clip_norm".to_owned(), [blocks, 1], args)
        }
    }
}

pub(super) fn accumulate(site: &mut Site<'_>, k: &AccumulateGradients) -> Result<()> {
    let args = vec![site.at("grad")?, site.at("sum")?, site.at("share")?, site.count(k.len)?];
    let name = if k.last { "accumulate_last" } else { "accumulate" };
    site.launch_flat(name.to_owned(), k.len, args)
}

pub(super) fn average(site: &mut Site<'_>, k: &Average) -> Result<()> {
    let args = vec![site.at("average")?, site.at("value")?, site.at("decay")?, site.count(k.len)?];
    site.launch_flat("average".to_owned(), k.len, args)
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
