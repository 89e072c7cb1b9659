//! The graph of operations that a [`Norm`] is. cuDNN takes maps whose pixels are packed, as rows of channels: how rows are cut into
//! images is nothing to it.

use resnetc_compiler::ir::activation::Activation;

use super::fault::Fault;
use super::graph::{Graph, Mode, Node, Tensor, VIRTUAL};
use super::norm::Norm;
use super::tensor::{ALIGN, Element, Role};
use crate::cuda::normalise::NormPattern;

/// The graph of a normalisation.
///
/// # Errors
/// Where cuDNN has no operation for the activation.
pub(super) fn normalisation(norm: &Norm) -> Result<Graph, Fault> {
    let graph = Graph { tensors: Vec::new(), nodes: Vec::new(), attrs: None };
    let mut builder = Builder { norm, graph };
    match norm.norm {
        NormPattern::NormForward { residual, act } => builder.forward(residual, act)?,
        NormPattern::NormBackward { relu } => builder.backward(relu),
    }
    Ok(builder.graph)
}

struct Builder<'a> {
    norm: &'a Norm,
    graph: Graph,
}

impl Builder<'_> {
    fn push(&mut self, id: i64, [rows, channels]: [usize; 2], element: Element, align: usize) -> usize {
        let [rows, channels] = [rows, channels].map(|size| size as i64);
        let (dims, strides) = ([rows, channels, 1, 1], [channels, 1, channels, channels]);
        self.graph.tensors.push(Tensor { id, dims, strides, element, align: align as i64 });
        self.graph.tensors.len() - 1
    }

    fn map(&mut self, role: Role) -> usize {
        self.push(role as i64, [self.norm.rows, self.norm.channels], self.norm.element, ALIGN)
    }

    /// A map that is not stored.
    fn inner(&mut self, element: Element) -> usize {
        let id = VIRTUAL + self.graph.tensors.len() as i64;
        self.push(id, [self.norm.rows, self.norm.channels], element, ALIGN)
    }

    fn vector(&mut self, role: Role) -> usize {
        self.push(role as i64, [1, self.norm.channels], Element::F32, ALIGN)
    }

    fn vectors<const N: usize>(&mut self, roles: [Role; N]) -> [usize; N] {
        roles.map(|role| self.vector(role))
    }

    fn number(&mut self, role: Role) -> usize {
        self.push(role as i64, [1, 1], Element::F32, Element::F32.size())
    }

    fn pointwise(&mut self, mode: Mode, x: usize, b: Option<usize>, y: usize) {
        self.graph.nodes.push(Node::Pointwise { mode, x, b, y });
    }

    fn forward(&mut self, residual: bool, act: Option<Activation>) -> Result<(), Fault> {
        let none =
            |act: Activation| Fault::refused(format!("cuDNN has no operation for {}", act.info().name));
        let act = act.map(|act| Mode::of(act).ok_or_else(|| none(act))).transpose()?;
        let x = self.map(Role::X);
        let affine = self.vectors([Role::Scale, Role::Shift]);
        let statistics = self.vectors([Role::Mean, Role::Rstd]);
        let running = self.vectors([Role::RunningMean, Role::RunningVar]);
        let next = self.vectors([Role::NextRunningMean, Role::NextRunningVar]);
        let [epsilon, momentum] = [Role::Epsilon, Role::Momentum].map(|role| self.number(role));
        let mut steps: Vec<(Mode, Option<usize>)> = Vec::new();
        if residual {
            steps.push((Mode::Add, Some(self.map(Role::Residual))));
        }
        steps.extend(act.map(|act| (act, None)));
        let mut value = if steps.is_empty() { self.map(Role::Y) } else { self.inner(Element::F32) };
        let y = value;
        self.graph.nodes.push(Node::Norm { x, affine, statistics, running, next, epsilon, momentum, y });
        for (index, &(mode, b)) in steps.iter().enumerate() {
            let last = index + 1 == steps.len();
            let next = if last { self.map(Role::Y) } else { self.inner(Element::F32) };
            self.pointwise(mode, value, b, next);
            value = next;
        }
        Ok(())
    }

    fn backward(&mut self, relu: bool) {
        let [x, mut dy] = [Role::X, Role::Dy].map(|role| self.map(role));
        let statistics = self.vectors([Role::Mean, Role::Rstd]);
        let scale = self.vector(Role::Scale);
        if relu {
            let shift = self.vector(Role::Shift);
            let before = self.inner(Element::F32);
            self.graph.nodes.push(Node::NormInference { x, affine: [scale, shift], statistics, y: before });
            // As the gradient that it takes the place of is.
            let masked = self.inner(self.norm.element);
            self.graph.nodes.push(Node::ReluGradient { x: before, dy, dx: masked });
            dy = masked;
        }
        let gradients = self.vectors([Role::Dscale, Role::Dshift]);
        let dx = self.map(Role::Dx);
        self.graph.nodes.push(Node::NormGradient { x, dy, statistics, scale, gradients, dx });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(norm: NormPattern) -> Graph {
        let norm = Norm { norm, rows: 32, channels: 8, element: Element::Bf16 };
        normalisation(&norm).expect("cuDNN has its operations")
    }

    #[test]
    fn what_stands_behind_reads_values_that_are_not_stored() {
        let act = Some(Activation::Relu);
        let whole = graph(NormPattern::NormForward { residual: true, act });
        assert_eq!(whole.nodes.len(), 3);
        let inner: Vec<Element> =
            whole.tensors.iter().filter(|tensor| tensor.is_virtual()).map(|tensor| tensor.element).collect();
        assert_eq!(inner, [Element::F32; 2]);
        let Some(&Node::Pointwise { y, .. }) = whole.nodes.last() else { panic!("{:?}", whole.nodes) };
        let stored = whole.tensors[y];
        assert_eq!((stored.id, stored.element), (Role::Y as i64, Element::Bf16));
        assert_eq!((stored.dims, stored.strides), ([32, 8, 1, 1], [8, 1, 8, 8]));
        let plain = graph(NormPattern::NormForward { residual: false, act: None });
        assert!(plain.nodes.len() == 1 && !plain.tensors.iter().any(Tensor::is_virtual));
    }

    #[test]
    fn the_sign_that_is_computed_anew_masks_the_gradient() {
        let roles = |relu| graph(NormPattern::NormBackward { relu }).roles();
        assert!(roles(true).contains(&(Role::Shift as i64)) && !roles(false).contains(&(Role::Shift as i64)));
        let [_, gradient, last] = graph(NormPattern::NormBackward { relu: true }).nodes[..] else {
            panic!("three operations")
        };
        let (Node::ReluGradient { dx, .. }, Node::NormGradient { dy, .. }) = (gradient, last) else {
            panic!("{gradient:?}, {last:?}")
        };
        assert_eq!(dx, dy);
    }

    #[test]
    fn activations_without_an_operation_are_told() {
        let norm = NormPattern::NormForward { residual: false, act: Some(Activation::Mish) };
        let norm = Norm { norm, rows: 32, channels: 8, element: Element::F32 };
        let error = normalisation(&norm).expect_err("cuDNN has no mish").to_string();
        assert_eq!(error, "cuDNN has no operation for mish");
    }
}
