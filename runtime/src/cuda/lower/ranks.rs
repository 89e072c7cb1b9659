//! What ranks tell each other within a step. A rank that is alone has all images, and says nothing.

use resnetc_compiler::plan::kernel::{AllReduce, AllReduceWait, BnCombine, BnCombineSums};

use super::site::Site;
use crate::cuda::collectives::{self, AllGather, Collective};
use crate::cuda::launch::{Arg, Call, Place};
use crate::error::{Error, Result};

/// Multiplies with the share, rounds to what is sent, and begins the sum.
pub(super) fn all_reduce(site: &mut Site<'_>, k: &AllReduce) -> Result<()> {
    let grad = site.get("grad")?.place;
    let (wire, received) = site.bucket(k.bucket);
    let mut args = vec![Arg::At(grad), site.maybe("share")];
    args.extend(wire.map(Arg::At));
    args.push(site.count(k.len)?);
    match wire {
        Some(_) => site.launch_flat(format!("weigh_{}", k.wire), k.len, args)?,
        None if k.weighted => site.launch_flat("weigh_f32".to_owned(), k.len, args)?,
        None => {}
    }
    if site.ranks() > 1 {
        let at = wire.unwrap_or(grad);
        let sum = collectives::AllReduce { bucket: k.bucket, at, len: k.len, element: k.wire, received };
        site.call(Call::Collective(Collective::AllReduce(sum)));
    }
    Ok(())
}

/// Waits for the sum, and makes it `f32`.
pub(super) fn all_reduce_wait(site: &mut Site<'_>, k: &AllReduceWait) -> Result<()> {
    if site.ranks() == 1 {
        return Ok(());
    }
    site.call(Call::Collective(Collective::AllReduceWait(k.bucket)));
    let (Some(wire), _) = site.bucket(k.bucket) else { return Ok(()) };
    let mut args = vec![Arg::At(wire), site.at("grad")?, site.count(k.len)?];
    args.extend([Arg::Int(1); 3]);
    site.launch_flat(format!("convert_{}_f32x1", k.wire), k.len, args)
}

/// Refuses parts of the optimizer's state: which of a tensor is a rank's own, no kernel here knows. One that is alone has all of it.
pub(super) fn all_gather(site: &Site<'_>) -> Result<()> {
    match site.ranks() {
        1 => Ok(()),
        _ => Err(Error::Device(
            "an optimizer's state in parts (`train.parallel.shard_optimizer`) is for ranks on CPUs: take it out"
                .to_owned(),
        )),
    }
}

/// Tells the rank's own moments, hears those of all, and combines them.
pub(super) fn bn_combine(site: &mut Site<'_>, k: &BnCombine) -> Result<()> {
    let share = if site.ranks() > 1 { site.at("share")? } else { Arg::Null };
    let moments = [site.at("batch_mean")?, site.at("batch_var")?];
    let told = site.scratch((2 + 2 * k.channels) * size_of::<f32>());
    let mut args = Vec::from(moments);
    args.extend([share, Arg::At(told), site.count(k.channels)?, site.count(k.rows)?]);
    site.launch_flat("bn_tell".to_owned(), k.channels, args)?;
    let all = gathered(site, told, 2 + 2 * k.channels);
    let mut args = vec![Arg::At(all), site.at("running_mean")?, site.at("running_var")?];
    args.extend([site.at("mean")?, site.at("rstd")?, site.count(site.ranks())?, site.count(k.channels)?]);
    args.extend([k.eps, k.momentum].map(Arg::Float));
    site.launch_flat("bn_combine".to_owned(), k.channels, args)
}

/// The same with the sums of a normalisation's gradient.
pub(super) fn bn_combine_sums(site: &mut Site<'_>, k: &BnCombineSums) -> Result<()> {
    let told = site.scratch((1 + 2 * k.channels) * size_of::<f32>());
    let mut args = vec![site.at("dscale")?, site.at("dshift")?, site.at("share")?];
    args.extend([Arg::At(told), site.count(k.channels)?]);
    site.launch_flat("bn_tell_sums".to_owned(), k.channels, args)?;
    let all = gathered(site, told, 1 + 2 * k.channels);
    let mut args = vec![Arg::At(all), site.at("all_dscale")?, site.at("all_dshift")?];
    args.extend([site.count(site.ranks())?, site.count(k.channels)?]);
    site.launch_flat("bn_combine_sums".to_owned(), k.channels, args)
}

/// Where all ranks' vectors of so many floats lie: of one that is alone its own.
fn gathered(site: &mut Site<'_>, own: Place, floats: usize) -> Place {
    if site.ranks() == 1 {
        return own;
    }
    let bytes = floats * size_of::<f32>();
    let all = site.scratch(bytes * site.ranks());
    site.call(Call::Collective(Collective::AllGather(AllGather { own, all, bytes })));
    all
}
