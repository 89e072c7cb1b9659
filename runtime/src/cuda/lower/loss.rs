//! Softmax, the loss, its gradient.

use resnetc_compiler::plan::kernel::{CrossEntropy, CrossEntropyBackward, Softmax};

use super::site::Site;
use crate::cuda::launch::Arg;
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
