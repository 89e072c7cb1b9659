//! Descriptors of a graph's tensors and operations.

use std::sync::Arc;

use cudarc::cudnn::sys;
use resnetc_compiler::ir::op::ConvAttrs;

use super::descriptor::{Attribute as A, Descriptor, Kind, Type, Value};
use super::fault::{Fault, Result};
use super::graph::{Graph, Mode, Node, Tensor, Way};
use super::norm_build;
use super::tensor::Element;

/// cuDNN's number of a type.
pub(super) fn data_type(element: Element) -> sys::cudnnDataType_t {
    match element {
        Element::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        Element::Bf16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
        Element::F16 => sys::cudnnDataType_t::CUDNN_DATA_HALF,
    }
}

fn element(element: Element) -> Value<'static> {
    Value::Code(Kind::CUDNN_TYPE_DATA_TYPE, data_type(element) as i32)
}

/// What all operations compute in.
const COMPUTE: Element = Element::F32;

/// The operation graph; `handle` where it is for the device behind one.
pub(super) fn operation_graph(graph: &Graph, handle: Option<sys::cudnnHandle_t>) -> Result<Arc<Descriptor>> {
    let tensors: Vec<_> = graph.tensors.iter().map(tensor).collect::<Result<_>>()?;
    let window = graph.attrs.as_ref().map(window).transpose()?;
    let nodes = graph.nodes.iter().map(|node| operation(node, &tensors, window.as_ref()));
    let nodes: Vec<_> = nodes.collect::<Result<_>>()?;
    let mut made = Descriptor::new(Type::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
    made.set(A::CUDNN_ATTR_OPERATIONGRAPH_OPS, Value::Parts(&nodes))?;
    if let Some(handle) = handle {
        made.set(A::CUDNN_ATTR_OPERATIONGRAPH_HANDLE, Value::Handle(handle))?;
    }
    made.finalize()
}

fn tensor(tensor: &Tensor) -> Result<Arc<Descriptor>> {
    let mut attributes = vec![
        (A::CUDNN_ATTR_TENSOR_DATA_TYPE, element(tensor.element)),
        (A::CUDNN_ATTR_TENSOR_DIMENSIONS, Value::Ints(&tensor.dims)),
        (A::CUDNN_ATTR_TENSOR_STRIDES, Value::Ints(&tensor.strides)),
        (A::CUDNN_ATTR_TENSOR_UNIQUE_ID, Value::Ints(std::slice::from_ref(&tensor.id))),
        (A::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, Value::Ints(std::slice::from_ref(&tensor.align))),
    ];
    if tensor.is_virtual() {
        attributes.push((A::CUDNN_ATTR_TENSOR_IS_VIRTUAL, Value::Flag(true)));
    }
    if tensor.is_number() {
        attributes.push((A::CUDNN_ATTR_TENSOR_IS_BY_VALUE, Value::Flag(true)));
    }
    Descriptor::with(Type::CUDNN_BACKEND_TENSOR_DESCRIPTOR, &attributes)
}

fn window(attrs: &ConvAttrs) -> Result<Arc<Descriptor>> {
    // Groups follow from the channels of map and weight.
    let ConvAttrs { kernel: _, stride, padding, dilation, groups: _ } = attrs;
    let [stride, padding, dilation] = [stride, padding, dilation].map(|pair| pair.map(|size| size as i64));
    let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION as i32;
    Descriptor::with(
        Type::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR,
        &[
            (A::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, Value::Ints(&[2])),
            (A::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, element(COMPUTE)),
            (A::CUDNN_ATTR_CONVOLUTION_CONV_MODE, Value::Code(Kind::CUDNN_TYPE_CONVOLUTION_MODE, mode)),
            (A::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Value::Ints(&padding)),
            (A::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Value::Ints(&padding)),
            (A::CUDNN_ATTR_CONVOLUTION_DILATIONS, Value::Ints(&dilation)),
            (A::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Value::Ints(&stride)),
        ],
    )
}

fn operation(
    node: &Node,
    tensors: &[Arc<Descriptor>],
    window: Option<&Arc<Descriptor>>,
) -> Result<Arc<Descriptor>> {
    let part = |index: usize| Value::Parts(std::slice::from_ref(&tensors[index]));
    match *node {
        Node::Convolution { way, x, weight, y } => {
            let (kind, [conv, xs, weights, ys, alpha, beta]) = convolution(way);
            let window = window.ok_or_else(|| Fault::refused("a convolution has no window".to_owned()))?;
            let window = Value::Parts(std::slice::from_ref(window));
            let scales = [(alpha, Value::Float(1.0)), (beta, Value::Float(0.0))];
            let operands = [(conv, window), (xs, part(x)), (weights, part(weight)), (ys, part(y))];
            Descriptor::with(kind, &[&operands[..], &scales].concat())
        }
        Node::Pointwise { mode, x, b, y } => {
            let rule = rule(&mode_attributes(mode))?;
            let mut operands = vec![
                (A::CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, Value::Parts(std::slice::from_ref(&rule))),
                (A::CUDNN_ATTR_OPERATION_POINTWISE_XDESC, part(x)),
                (A::CUDNN_ATTR_OPERATION_POINTWISE_YDESC, part(y)),
            ];
            operands.extend(b.map(|b| (A::CUDNN_ATTR_OPERATION_POINTWISE_BDESC, part(b))));
            Descriptor::with(Type::CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &operands)
        }
        Node::ReluGradient { x, dy, dx } => {
            let rule = rule(&[pointwise_mode(sys::cudnnPointwiseMode_t::CUDNN_POINTWISE_RELU_BWD)])?;
            let operands = [
                (A::CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, Value::Parts(std::slice::from_ref(&rule))),
                (A::CUDNN_ATTR_OPERATION_POINTWISE_XDESC, part(x)),
                (A::CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, part(dy)),
                (A::CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, part(dx)),
            ];
            Descriptor::with(Type::CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, &operands)
        }
        Node::Stats { x, sum, squares } => {
            let mode = sys::cudnnGenStatsMode_t::CUDNN_GENSTATS_SUM_SQSUM as i32;
            let operands = [
                (A::CUDNN_ATTR_OPERATION_GENSTATS_MODE, Value::Code(Kind::CUDNN_TYPE_GENSTATS_MODE, mode)),
                (A::CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, element(COMPUTE)),
                (A::CUDNN_ATTR_OPERATION_GENSTATS_XDESC, part(x)),
                (A::CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, part(sum)),
                (A::CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, part(squares)),
            ];
            Descriptor::with(Type::CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR, &operands)
        }
        Node::Sum { x, sum } => reduction(part(x), part(sum)),
        Node::Norm { .. } | Node::NormInference { .. } | Node::NormGradient { .. } => {
            norm_build::operation(node, tensors)
        }
    }
}

fn reduction(x: Value<'_>, sum: Value<'_>) -> Result<Arc<Descriptor>> {
    let operator = sys::cudnnReduceTensorOp_t::CUDNN_REDUCE_TENSOR_ADD as i32;
    let operator = Value::Code(Kind::CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, operator);
    let rule = Descriptor::with(
        Type::CUDNN_BACKEND_REDUCTION_DESCRIPTOR,
        &[
            (A::CUDNN_ATTR_REDUCTION_COMP_TYPE, element(COMPUTE)),
            (A::CUDNN_ATTR_REDUCTION_OPERATOR, operator),
        ],
    )?;
    let operands = [
        (A::CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x),
        (A::CUDNN_ATTR_OPERATION_REDUCTION_YDESC, sum),
        (A::CUDNN_ATTR_OPERATION_REDUCTION_DESC, Value::Parts(std::slice::from_ref(&rule))),
    ];
    Descriptor::with(Type::CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, &operands)
}

/// A convolution's descriptor, and its attributes: window, `x`, weight, `y`, alpha, beta.
fn convolution(way: Way) -> (Type, [A; 6]) {
    match way {
        Way::Forward => (
            Type::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
            [
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
            ],
        ),
        Way::BackwardData => (
            Type::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
            [
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
            ],
        ),
        Way::BackwardFilter => (
            Type::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
            [
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                A::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
            ],
        ),
    }
}

/// How elements are computed.
fn rule(attributes: &[(A, Value<'_>)]) -> Result<Arc<Descriptor>> {
    let mut made = Descriptor::new(Type::CUDNN_BACKEND_POINTWISE_DESCRIPTOR)?;
    made.set(A::CUDNN_ATTR_POINTWISE_MATH_PREC, element(COMPUTE))?;
    for &(attribute, value) in attributes {
        made.set(attribute, value)?;
    }
    made.finalize()
}

fn pointwise_mode(mode: sys::cudnnPointwiseMode_t) -> (A, Value<'static>) {
    (A::CUDNN_ATTR_POINTWISE_MODE, Value::Code(Kind::CUDNN_TYPE_POINTWISE_MODE, mode as i32))
}

fn mode_attributes(mode: Mode) -> Vec<(A, Value<'static>)> {
    use sys::cudnnPointwiseMode_t as M;
    match mode {
        Mode::Add => vec![pointwise_mode(M::CUDNN_POINTWISE_ADD)],
        Mode::Mul => vec![pointwise_mode(M::CUDNN_POINTWISE_MUL)],
        Mode::Sigmoid => vec![pointwise_mode(M::CUDNN_POINTWISE_SIGMOID_FWD)],
        Mode::Tanh => vec![pointwise_mode(M::CUDNN_POINTWISE_TANH_FWD)],
        Mode::Swish => vec![
            pointwise_mode(M::CUDNN_POINTWISE_SWISH_FWD),
            (A::CUDNN_ATTR_POINTWISE_SWISH_BETA, Value::Double(1.0)),
        ],
        Mode::Gelu => vec![pointwise_mode(M::CUDNN_POINTWISE_GELU_FWD)],
        Mode::Relu { slope, upper } => {
            let mut attributes = vec![pointwise_mode(M::CUDNN_POINTWISE_RELU_FWD)];
            if slope != 0.0 {
                attributes.push((A::CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, Value::Double(slope)));
            }
            attributes
                .extend(upper.map(|upper| (A::CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, Value::Double(upper))));
            attributes
        }
    }
}
