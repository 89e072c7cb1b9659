//! The `output_stride:` key: strides become dilations.

use super::group::Group;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::spec::language::layer::{self, Layer};
use crate::spec::language::number;
use crate::spec::language::tree::Call;
use crate::spec::yaml::node::Node;
use crate::spec::yaml::read::Reader;
use crate::spec::yaml::shape::{Key, Shape};

/// Its key.
pub const OUTPUT_STRIDE: Key = Key::new(
    "output_stride",
    Shape::Count(1, 1 << 10),
    "The most that the network divides an image's sides by: further strides become dilations.",
)
.default_is("no bound");

/// `output_stride: 8`: strides beyond it become dilations, as torchvision and timm do it: the first unit of such a
/// stage keeps the dilation of the stage before it.
pub(super) fn apply(reader: &mut Reader<'_>, spec: &Node, stages: &mut [Vec<Group>], stem: Option<&[Call]>) {
    let Some(node) = spec.get("output_stride") else { return };
    let Some(wanted) = reader.count(node, "`output_stride`", OUTPUT_STRIDE.count()) else {
        return;
    };
    if let Some(transition) = spec.get("transition") {
        let fault = Diagnostic::error("`output_stride` cannot change a transition", node.span, "beside it");
        reader.fault(fault.label(transition.span, "has strides of its own"));
    }
    let mut stride = stem.map_or(1, reduction);
    if stride > wanted {
        let text = format!("the stem alone has stride {stride}");
        let fault = Diagnostic::error("`output_stride` cannot be reached", node.span, text);
        reader.fault(fault.help(format!("write {stride} or more, or take strides out of the stem")));
        return;
    }
    let mut dilation = 1;
    for stage in stages {
        let mut previous = dilation;
        for group in stage {
            if group.dilation != [1, 1] {
                let fault = Diagnostic::error("a stage has its own `dilation`", group.span, "this one");
                reader.fault(fault.label(node.span, "gives dilations too").help("keep one of the two"));
                return;
            }
            if stride * group.stride > wanted {
                dilation *= group.stride;
                group.stride = 1;
            } else {
                stride *= group.stride;
            }
            group.dilation = [previous, dilation];
            previous = dilation;
            check_dilation(reader, group, node.span);
        }
    }
    if dilation == 1 {
        let text = format!("the network has stride {stride}");
        let warning = Diagnostic::warning("`output_stride` has no effect", node.span, text);
        reader.warnings.push(warning);
    }
}

fn check_dilation(reader: &mut Reader<'_>, group: &Group, cause: Span) {
    if group.dilation == [1, 1] || group.call.takes("dilation") {
        return;
    }
    let fault = format!("the unit `{}` takes no `dilation`", group.call.unit.name.text);
    let fault = Diagnostic::error(fault, group.span, "needs one here").label(cause, "because of this");
    let fault = fault.label(group.call.unit.name.span, "its parameters");
    reader.fault(
        fault.help("give the unit the parameter `dilation`, and its 3x3 convolutions `dilation=dilation`"),
    );
}

/// The product of the strides of layers after one another. A layer with a fault, which is reported elsewhere, counts as 1.
fn reduction(calls: &[Call]) -> usize {
    let stride = |call: &Call| {
        let layer = layer::bind(call).ok()?.resolve(&mut |expr| number::eval(expr, &|_| None)).ok()?;
        match layer {
            Layer::Conv { attrs, .. } => Some(attrs.stride[0]),
            Layer::MaxPool(attrs) | Layer::AvgPool(attrs) => Some(attrs.stride[0]),
            Layer::BlurPool { stride } => Some(stride[0]),
            Layer::Norm(_)
            | Layer::Activate(_)
            | Layer::Drop { .. }
            | Layer::GlobalAvgPool
            | Layer::GlobalMaxPool
            | Layer::ChannelConv { .. }
            | Layer::Eca { .. }
            | Layer::Flatten
            | Layer::PadChannels { .. }
            | Layer::Linear { .. }
            | Layer::Scale(_) => None,
        }
    };
    calls.iter().filter_map(stride).fold(1, usize::saturating_mul)
}
