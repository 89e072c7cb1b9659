//! The optimizers' updates.

use resnetc_compiler::ir::update::UpdateRule;
use resnetc_compiler::plan::kernel::Update;

use super::site::Site;
use crate::cuda::launch::Arg;
use crate::error::Result;

pub(super) fn update(site: &mut Site<'_>, k: &Update) -> Result<()> {
    let mut args = vec![site.at("param")?, site.at("grad")?];
    for name in k.rule.state() {
        args.push(site.at(name)?);
    }
    args.extend([site.at("rate")?, site.at("step")?, site.count(k.len)?]);
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
