//! Softmax, the loss, its gradient.

use resnetc_compiler::ir::op::Objective;
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
    site.launch_rows("target_loss_finish".to_owned(), [1, 1], args)
}

pub(super) fn target_loss_backward(site: &mut Site<'_>, k: &TargetLossBackward) -> Result<()> {
    let g = &k.geometry;
    let mut args = batch(site)?;
    args.extend([site.maybe("scale"), site.at("dlogits")?, site.count(g.rows)?, divisor(g)]);
    args.extend(constants(site, g)?);
    site.launch_rows("target_loss_backward".to_owned(), [g.rows, 1], args)
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
    };
    let floats = [g.smoothing, threshold, gamma, alpha].map(Arg::Float);
    let [smoothing, threshold, gamma, alpha] = floats;
    Ok([site.count(g.classes)?, Arg::Int(kind), smoothing, threshold, gamma, alpha])
}
