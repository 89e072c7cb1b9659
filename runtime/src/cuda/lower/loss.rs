//! Softmax, the loss, its gradient.

use resnetc_compiler::ir::op::{Distillation, Objective};
use resnetc_compiler::plan::LossGeometry;
use resnetc_compiler::plan::kernel::{
    CrossEntropy, CrossEntropyBackward, Softmax, TargetLoss, TargetLossBackward,
};

use super::site::Site;
use crate::cuda::launch::{Arg, Place};
use crate::error::Result;

pub(super) fn softmax(site: &mut Site<'_>, k: &Softmax) -> Result<()> {
    let args = vec![site.at("logits")?, site.at("probabilities")?, site.count(k.classes)?];
    site.launch_rows("softmax".to_owned(), [k.rows, 1], args)
}

pub(super) fn cross_entropy(site: &mut Site<'_>, k: &CrossEntropy) -> Result<()> {
    let rows = site.scratch(2 * k.rows * size_of::<f32>());
    let args = vec![site.at("logits")?, site.at("labels")?, Arg::At(rows), site.count(k.classes)?];
    let args = args.into_iter().chain([Arg::Float(k.smoothing)]).collect();
    site.launch_rows("cross_entropy".to_owned(), [k.rows, 1], args)?;
    let args = vec![Arg::At(rows), site.at("loss")?, site.at("correct")?, site.count(k.rows)?];
    site.launch_rows("cross_entropy_finish".to_owned(), [1, 1], args)
}

pub(super) fn cross_entropy_backward(site: &mut Site<'_>, k: &CrossEntropyBackward) -> Result<()> {
    let operands = [site.at("logits")?, site.at("labels")?, site.maybe("scale"), site.at("dlogits")?];
    let sizes = [site.count(k.rows)?, site.count(k.classes)?, Arg::Float(k.smoothing)];
    let args = operands.into_iter().chain(sizes).collect();
    site.launch_rows("cross_entropy_backward".to_owned(), [k.rows, 1], args)
}

pub(super) fn target_loss(site: &mut Site<'_>, k: &TargetLoss) -> Result<()> {
    let g = &k.geometry;
    let rows = site.scratch(3 * g.rows * size_of::<f32>());
    let mut args = batch(site)?;
    args.push(Arg::At(rows));
    args.extend(constants(site, g)?);
    site.launch_rows("target_loss".to_owned(), [g.rows, 1], args)?;
    let args = vec![Arg::At(rows), site.at("loss")?, site.at("correct")?, site.count(g.rows)?, divisor(g)];
    site.launch_rows("target_loss_finish".to_owned(), [1, 1], args)?;
    let Some(how) = g.distillation else { return Ok(()) };
    let rows = site.scratch(g.rows * size_of::<f32>());
    let mut args = vec![site.at("logits")?, site.at("teacher")?, Arg::At(rows), site.count(g.classes)?];
    args.extend(temperature(how));
    site.launch_rows("distilled_loss".to_owned(), [g.rows, 1], args)?;
    let args = vec![Arg::At(rows), site.at("loss")?, site.count(g.rows)?, Arg::Float(how.alpha)];
    site.launch_rows("distilled_finish".to_owned(), [1, 1], args)
}

pub(super) fn target_loss_backward(site: &mut Site<'_>, k: &TargetLossBackward) -> Result<()> {
    let g = &k.geometry;
    let mut args = batch(site)?;
    args.extend([site.maybe("scale"), site.at("dlogits")?, site.count(g.rows)?, divisor(g)]);
    args.extend(constants(site, g)?);
    site.launch_rows("target_loss_backward".to_owned(), [g.rows, 1], args)?;
    let Some(how) = g.distillation else { return Ok(()) };
    let mut args = vec![site.at("logits")?, site.at("teacher")?, site.maybe("scale"), site.at("dlogits")?];
    args.extend([site.count(g.rows)?, site.count(g.classes)?, Arg::Float(how.alpha)]);
    args.extend(temperature(how));
    site.launch_rows("distilled_backward".to_owned(), [g.rows, 1], args)
}

/// The temperature, and whether the teacher's likeliest class is all that counts.
fn temperature(how: Distillation) -> [Arg<Place>; 2] {
    [Arg::Float(if how.hard { 1.0 } else { how.temperature }), Arg::Int(u32::from(how.hard))]
}

/// What both kernels read.
fn batch(site: &Site<'_>) -> Result<Vec<Arg<Place>>> {
    let partners = ["others", "shares", "class_weights"].map(|name| site.maybe(name));
    Ok([site.at("logits")?, site.at("labels")?].into_iter().chain(partners).collect())
}

/// 0 for the sum of the labels' weights.
fn divisor(g: &LossGeometry) -> Arg<Place> {
    Arg::Float(g.divisor().unwrap_or(0.0) as f32)
}

/// Classes, smoothing, and the loss by its number in `loss.cu` with its constants.
fn constants(site: &Site<'_>, g: &LossGeometry) -> Result<[Arg<Place>; 6]> {
    // No target is above 1.
    const NEVER: f32 = -1.0;
    let (kind, threshold, gamma, alpha) = match g.objective {
        Objective::CrossEntropy => (0, NEVER, 0.0, 0.0),
        Objective::BinaryCrossEntropy { target_threshold, .. } => {
            (1, target_threshold.unwrap_or(NEVER), 0.0, 0.0)
        }
        Objective::Focal { gamma, alpha, .. } => (2, NEVER, gamma, alpha),
        Objective::SoftmaxFocal { gamma } => (3, NEVER, gamma, 0.0),
    };
    let floats = [g.smoothing, threshold, gamma, alpha].map(Arg::Float);
    let [smoothing, threshold, gamma, alpha] = floats;
    Ok([site.count(g.classes)?, Arg::Int(kind), smoothing, threshold, gamma, alpha])
}
