//! Descriptors of normalisations.

use std::sync::Arc;

use cudarc::cudnn::sys;

use super::descriptor::{Attribute as A, Descriptor, Kind, Type, Value};
use super::fault::{Fault, Result};
use super::graph::Node;

/// The operation of a normalisation's node.
///
/// # Errors
/// Where cuDNN does not take it, or it is no normalisation's.
pub(super) fn operation(node: &Node, tensors: &[Arc<Descriptor>]) -> Result<Arc<Descriptor>> {
    let part = |index: usize| Value::Parts(std::slice::from_ref(&tensors[index]));
    let batch = mode(sys::cudnnBackendNormMode_t::CUDNN_BATCH_NORM);
    let (kind, operands) = match *node {
        Node::Norm { x, affine, statistics, running, next, epsilon, momentum, y } => {
            let [running_mean, running_var] = running;
            let operands = vec![
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_MODE, batch),
                phase(sys::cudnnBackendNormFwdPhase_t::CUDNN_NORM_FWD_TRAINING),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, part(x)),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, part(statistics[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, part(statistics[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, part(affine[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, part(affine[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, part(epsilon)),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC, part(momentum)),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC, part(running_mean)),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC, part(running_var)),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC, part(next[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC, part(next[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, part(y)),
            ];
            (Type::CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR, operands)
        }
        Node::NormInference { x, affine, statistics, y } => {
            let operands = vec![
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_MODE, batch),
                phase(sys::cudnnBackendNormFwdPhase_t::CUDNN_NORM_FWD_INFERENCE),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, part(x)),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, part(statistics[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, part(statistics[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, part(affine[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, part(affine[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, part(y)),
            ];
            (Type::CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR, operands)
        }
        Node::NormGradient { x, dy, statistics, scale, gradients, dx } => {
            let operands = vec![
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_MODE, batch),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, part(x)),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, part(statistics[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, part(statistics[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, part(dy)),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, part(scale)),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, part(gradients[0])),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, part(gradients[1])),
                (A::CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, part(dx)),
            ];
            (Type::CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR, operands)
        }
        Node::Convolution { .. }
        | Node::Pointwise { .. }
        | Node::ReluGradient { .. }
        | Node::Stats { .. }
        | Node::Sum { .. } => return Err(Fault::refused(format!("{node:?} is no normalisation"))),
    };
    Descriptor::with(kind, &operands)
}

fn mode(mode: sys::cudnnBackendNormMode_t) -> Value<'static> {
    Value::Code(Kind::CUDNN_TYPE_NORM_MODE, mode as i32)
}

fn phase(phase: sys::cudnnBackendNormFwdPhase_t) -> (A, Value<'static>) {
    (A::CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, Value::Code(Kind::CUDNN_TYPE_NORM_FWD_PHASE, phase as i32))
}
