//! Whether pictures and a network fit.

use resnetc_compiler::plan::Plan;

use crate::data::Source;
use crate::error::{Error, Result};

/// Checks that a network takes pictures of the first one's size, unless they are framed, and knows all classes. The others' sizes are
/// checked when they are read ([`Transform::apply`](crate::data::transform::Transform::apply)).
///
/// # Errors
/// [`Error::Data`] with what to change in the spec; the source's, where it cannot read its first picture.
pub(super) fn check_fit(plan: &Plan, source: &dyn Source, framed: bool) -> Result<()> {
    if !source.is_empty() && !framed {
        check_size(plan, source.picture(0)?.size())?;
    }
    let classes = plan.output("logits").and_then(|id| plan.buffer(id).shape.0.last().copied()).unwrap_or(0);
    match (0..source.len()).map(|index| source.label(index)).max() {
        Some(top) if top as usize >= classes => Err(Error::Data(format!(
            "the images have {} classes, network `{}` has {classes}: set `classes` in its spec",
            top + 1,
            plan.name
        ))),
        _ => Ok(()),
    }
}

/// `[height, width, channels]` of the images that a network takes.
///
/// # Errors
/// [`Error::Incompatible`] where it takes no images.
pub(super) fn input_size(plan: &Plan) -> Result<[usize; 3]> {
    match plan.buffer(plan.input).shape.0[..] {
        [_, c, h, w] => Ok([h, w, c]),
        _ => Err(Error::Incompatible(format!("network `{}` takes no images", plan.name))),
    }
}

fn check_size(plan: &Plan, size: [usize; 3]) -> Result<()> {
    let takes = input_size(plan)?;
    // Grey is repeated, and colours become grey, where the network takes the other.
    let colours = |channels: usize| matches!(channels, 1 | 3);
    if takes == size || (takes[..2] == size[..2] && colours(takes[2]) && colours(size[2])) {
        return Ok(());
    }
    let text = |[h, w, c]: [usize; 3]| format!("{c}x{h}x{w}");
    let [height, width, channels] = size;
    Err(Error::Data(format!(
        "the images are {}, network `{}` takes {}: write `input: [{channels}, {height}, {width}]` in its spec, or `--set \
         'input=[{channels}, {height}, {width}]'`",
        text(size),
        plan.name,
        text(takes)
    )))
}
