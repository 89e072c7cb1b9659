//! What convolutions, linear layers and poolings share.

use super::operator::InferError;
use crate::ir::persistent::Role;

/// The image, border included, is smaller than one window.
pub(super) fn too_large(window: [usize; 2], input: [usize; 2], padding: [usize; 2]) -> InferError {
    let [h, w] = input;
    let message = format!(
        "a window of {}x{} does not fit the {h}x{w} image with a border of {}x{}",
        window[0], window[1], padding[0], padding[1]
    );
    InferError::new(message).at(0).help("use fewer strides before it, a smaller window, or a larger input")
}

/// Roles of a weight and a bias behind the first operand.
pub(super) fn with_bias(weight: Role, bias: bool) -> Vec<(usize, Role)> {
    let mut roles = vec![(1, weight)];
    roles.extend(bias.then_some((2, Role::Bias)));
    roles
}
