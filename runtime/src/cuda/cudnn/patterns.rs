//! The graph of operations that a [`Work`] is. What an operation hands to the next without storing it is a virtual tensor of
//! `f32`.

use resnetc_compiler::ir::activation::Activation;

use super::fault::Fault;
use super::graph::{Graph, Mode, Node, Tensor, VIRTUAL, Way};
use super::job::Job;
use super::norm_graph::normalisation;
use super::tensor::{ALIGN, Element, Place, Role};
use super::work::{Pattern, Sizes, Work};

impl Graph {
    /// The graph of a job.
    ///
    /// # Errors
    /// Where cuDNN has no operation for the activation.
    pub fn of(job: &Job) -> Result<Self, Fault> {
        match job {
            Job::Convolution(work) => Graph::of_convolution(work),
            Job::Normalisation(norm) => normalisation(norm),
        }
    }

    /// The graph of a convolution.
    ///
    /// # Errors
    /// As above.
    pub fn of_convolution(work: &Work) -> Result<Self, Fault> {
        let graph = Graph { tensors: Vec::new(), nodes: Vec::new(), attrs: Some(work.sizes.attrs) };
        let mut builder = Builder { work, graph };
        match work.pattern {
            Pattern::Forward => builder.forward(),
            Pattern::ForwardEpilogue { bias, residual, act } => builder.epilogue(bias, residual, act)?,
            Pattern::ForwardStats => {
                builder.forward();
                builder.stats();
            }
            Pattern::NormedForward { residual, stats } => builder.normed(residual, stats),
            Pattern::BackwardData { residual } => builder.backward_data(residual),
            Pattern::BackwardDataRelu { residual } => builder.masked(residual),
            Pattern::BackwardDataReluSums { residual } => {
                builder.masked(residual);
                builder.sums();
            }
            Pattern::BackwardFilter => builder.backward_filter(),
        }
        Ok(builder.graph)
    }
}

struct Builder<'a> {
    work: &'a Work,
    graph: Graph,
}

/// A map's dimensions and place.
#[derive(Clone, Copy)]
struct Map {
    dims: [usize; 4],
    place: Place,
}

impl Builder<'_> {
    /// The forward convolution's input map.
    fn x(&self) -> Map {
        let Sizes { n, h, w, cin, x, .. } = self.work.sizes;
        Map { dims: [n, cin, h, w], place: x }
    }

    /// Its output map.
    fn y(&self) -> Map {
        let Sizes { n, cout, out, y, .. } = self.work.sizes;
        Map { dims: [n, cout, out[0], out[1]], place: y }
    }

    fn push(&mut self, id: i64, map: Map, element: Element) -> usize {
        let [_, _, h, w] = map.dims;
        let strides = [h * w * map.place.pitch, 1, w * map.place.pitch, map.place.pitch];
        let [dims, strides] = [map.dims, strides].map(|sizes| sizes.map(|size| size as i64));
        self.graph.tensors.push(Tensor { id, dims, strides, element, align: map.place.align as i64 });
        self.graph.tensors.len() - 1
    }

    fn map(&mut self, role: Role, map: Map, element: Element) -> usize {
        self.push(role as i64, map, element)
    }

    /// A map that is not stored.
    fn inner(&mut self, map: Map, element: Element) -> usize {
        let id = VIRTUAL + self.graph.tensors.len() as i64;
        self.push(id, Map { place: Place::whole(map.dims[1]), ..map }, element)
    }

    /// A vector by channel.
    fn vector(&mut self, role: Role, channels: usize, element: Element) -> usize {
        let map = Map { dims: [1, channels, 1, 1], place: Place::whole(channels) };
        self.map(role, map, element)
    }

    /// Two sums by channel.
    fn sums_of(&mut self, channels: usize) -> [usize; 2] {
        [Role::Sum, Role::SumProducts].map(|role| self.vector(role, channels, Element::F32))
    }

    fn weight(&mut self, role: Role, element: Element) -> usize {
        let Sizes { cin, cout, attrs, .. } = self.work.sizes;
        let [rows, columns] = attrs.kernel;
        let channels = cin / attrs.groups;
        let place = Place { pitch: channels, align: ALIGN };
        self.map(role, Map { dims: [cout, channels, rows, columns], place }, element)
    }

    fn convolution(&mut self, way: Way, x: usize, weight: usize, y: usize) {
        self.graph.nodes.push(Node::Convolution { way, x, weight, y });
    }

    fn pointwise(&mut self, mode: Mode, x: usize, b: Option<usize>, y: usize) {
        self.graph.nodes.push(Node::Pointwise { mode, x, b, y });
    }

    fn forward(&mut self) {
        let (x, y) = (self.x(), self.y());
        let x = self.map(Role::X, x, self.work.input);
        let weight = self.weight(Role::Weight, self.work.input);
        let y = self.map(Role::Y, y, self.work.output);
        self.convolution(Way::Forward, x, weight, y);
    }

    fn epilogue(&mut self, bias: bool, residual: bool, act: Option<Activation>) -> Result<(), Fault> {
        let mode = act.map(|act| {
            let none = || Fault::refused(format!("cuDNN has no operation for {}", act.info().name));
            Mode::of(act).ok_or_else(none)
        });
        let mut steps = Vec::new();
        if bias {
            steps.push((Mode::Add, Some(self.vector(Role::Bias, self.work.sizes.cout, Element::F32))));
        }
        if residual {
            steps.push((Mode::Add, Some(self.map(Role::Residual, self.y(), self.work.output))));
        }
        steps.extend(mode.transpose()?.map(|mode| (mode, None)));
        if steps.is_empty() {
            self.forward();
            return Ok(());
        }
        let (x, y) = (self.x(), self.y());
        let x = self.map(Role::X, x, self.work.input);
        let weight = self.weight(Role::Weight, self.work.input);
        let mut value = self.inner(y, Element::F32);
        self.convolution(Way::Forward, x, weight, value);
        self.chain(&mut value, &steps, Role::Y, y);
        Ok(())
    }

    /// Steps one after the other, of which the last one stores.
    fn chain(&mut self, value: &mut usize, steps: &[(Mode, Option<usize>)], role: Role, map: Map) {
        for (index, &(mode, b)) in steps.iter().enumerate() {
            let last = index + 1 == steps.len();
            let next =
                if last { self.map(role, map, self.work.output) } else { self.inner(map, Element::F32) };
            self.pointwise(mode, *value, b, next);
            *value = next;
        }
    }

    /// Of the tensor that was made last, the convolution's result.
    fn stats(&mut self) {
        let y = self.graph.tensors.len() - 1;
        let channels = self.work.sizes.cout;
        let [sum, squares] = self.sums_of(channels);
        self.graph.nodes.push(Node::Stats { x: y, sum, squares });
    }

    fn normed(&mut self, residual: bool, stats: bool) {
        let (x, y) = (self.x(), self.y());
        let channels = self.work.sizes.cin;
        let mut value = self.map(Role::X, x, self.work.input);
        let affine = self.work.affine();
        let mut steps = vec![
            (Mode::Mul, Some(self.vector(Role::Scale, channels, affine))),
            (Mode::Add, Some(self.vector(Role::Shift, channels, affine))),
        ];
        if residual {
            steps.push((Mode::Add, Some(self.map(Role::Residual, x, self.work.input))));
        }
        for (mode, b) in steps {
            let next = self.inner(x, Element::F32);
            self.pointwise(mode, value, b, next);
            value = next;
        }
        // What is multiplied has the factors' type, stored or not.
        let factor = self.inner(x, self.work.input);
        self.pointwise(Mode::Relu { slope: 0.0, upper: None }, value, None, factor);
        let weight = self.weight(Role::Weight, self.work.input);
        let y = self.map(Role::Y, y, self.work.output);
        self.convolution(Way::Forward, factor, weight, y);
        if stats {
            self.stats();
        }
    }

    /// Factors of the gradient of the input.
    fn gradient_factors(&mut self) -> [usize; 2] {
        let dy = self.map(Role::Dy, self.y(), self.work.input);
        [dy, self.weight(Role::Weight, self.work.input)]
    }

    fn backward_data(&mut self, residual: bool) {
        let [dy, weight] = self.gradient_factors();
        let x = self.x();
        if !residual {
            let dx = self.map(Role::Dx, x, self.work.output);
            return self.convolution(Way::BackwardData, dx, weight, dy);
        }
        let mut value = self.inner(x, Element::F32);
        self.convolution(Way::BackwardData, value, weight, dy);
        let residual = self.map(Role::Residual, x, self.work.output);
        self.chain(&mut value, &[(Mode::Add, Some(residual))], Role::Dx, x);
    }

    /// The gradient of the ReLU before it, too: its result is the tensor made last.
    fn masked(&mut self, residual: bool) {
        let [dy, weight] = self.gradient_factors();
        let x = self.x();
        let mut value = self.inner(x, Element::F32);
        self.convolution(Way::BackwardData, value, weight, dy);
        if residual {
            let residual = self.map(Role::Residual, x, self.work.output);
            let sum = self.inner(x, Element::F32);
            self.pointwise(Mode::Add, value, Some(residual), sum);
            value = sum;
        }
        let mask = self.map(Role::Mask, x, self.work.output);
        let dx = self.map(Role::Dx, x, self.work.output);
        self.graph.nodes.push(Node::ReluGradient { x: mask, dy: value, dx });
    }

    fn sums(&mut self) {
        let dx = self.graph.tensors.len() - 1;
        let x = self.x();
        let channels = self.work.sizes.cin;
        let [sum, products] = self.sums_of(channels);
        self.graph.nodes.push(Node::Sum { x: dx, sum });
        let normed = self.map(Role::Normed, x, self.work.output);
        let product = self.inner(x, Element::F32);
        self.pointwise(Mode::Mul, dx, Some(normed), product);
        self.graph.nodes.push(Node::Sum { x: product, sum: products });
    }

    fn backward_filter(&mut self) {
        let (x, y) = (self.x(), self.y());
        let x = self.map(Role::X, x, self.work.input);
        let dy = self.map(Role::Dy, y, self.work.input);
        let dweight = self.weight(Role::Dweight, self.work.output);
        self.convolution(Way::BackwardFilter, x, dweight, dy);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use resnetc_compiler::ir::op::ConvAttrs;

    use super::*;
    use crate::cuda::cudnn::work::Math;

    fn sizes() -> Sizes {
        let attrs =
            ConvAttrs { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups: 2 };
        let (x, y) = (Place::whole(16), Place::slice(96, 32, Element::Bf16));
        Sizes { n: 4, h: 8, w: 6, cin: 16, cout: 32, out: [4, 3], attrs, x, y }
    }

    fn patterns() -> Vec<Pattern> {
        let act = [None, Some(Activation::Relu), Some(Activation::Silu)];
        let mut all = vec![Pattern::Forward, Pattern::ForwardStats, Pattern::BackwardFilter];
        for residual in [false, true] {
            all.extend(act.iter().map(|&act| Pattern::ForwardEpilogue { bias: !residual, residual, act }));
            all.extend([false, true].map(|stats| Pattern::NormedForward { residual, stats }));
            all.push(Pattern::BackwardData { residual });
            all.push(Pattern::BackwardDataRelu { residual });
            all.push(Pattern::BackwardDataReluSums { residual });
        }
        all
    }

    fn written(node: &Node) -> Vec<usize> {
        match *node {
            Node::Convolution { way: Way::Forward, y, .. } => vec![y],
            Node::Convolution { way: Way::BackwardData, x, .. } => vec![x],
            Node::Convolution { way: Way::BackwardFilter, weight, .. } => vec![weight],
            Node::Pointwise { y, .. } => vec![y],
            Node::ReluGradient { dx, .. } => vec![dx],
            Node::Stats { sum, squares, .. } => vec![sum, squares],
            // No convolution's.
            Node::Norm { .. } | Node::NormInference { .. } | Node::NormGradient { .. } => Vec::new(),
            Node::Sum { sum, .. } => vec![sum],
        }
    }

    fn read(node: &Node) -> Vec<usize> {
        match *node {
            Node::Convolution { way: Way::Forward, x, weight, .. } => vec![x, weight],
            Node::Convolution { way: Way::BackwardData, weight, y, .. } => vec![y, weight],
            Node::Convolution { way: Way::BackwardFilter, x, y, .. } => vec![x, y],
            Node::Pointwise { x, b, .. } => std::iter::once(x).chain(b).collect(),
            Node::ReluGradient { x, dy, .. } => vec![x, dy],
            Node::Stats { x, .. } | Node::Sum { x, .. } => vec![x],
            // No convolution's.
            Node::Norm { .. } | Node::NormInference { .. } | Node::NormGradient { .. } => Vec::new(),
        }
    }

    #[test]
    fn every_graph_writes_before_it_reads_and_names_each_tensor_once() {
        for pattern in patterns() {
            let graph = Graph::of_convolution(&Work::new(pattern, sizes(), Element::Bf16, Math::Full))
                .expect("an operation each");
            let ids: HashSet<i64> = graph.tensors.iter().map(|tensor| tensor.id).collect();
            assert_eq!(ids.len(), graph.tensors.len(), "{pattern:?}");
            let mut known = HashSet::new();
            let mut used = HashSet::new();
            for node in &graph.nodes {
                for index in read(node) {
                    let early = graph.tensors[index].is_virtual() && !known.contains(&index);
                    assert!(!early, "{pattern:?}: {node:?} reads {index}, which nobody has written");
                    used.insert(index);
                }
                for index in written(node) {
                    assert!(known.insert(index), "{pattern:?}: {index} is written twice");
                }
            }
            for (index, tensor) in graph.tensors.iter().enumerate() {
                assert!(known.contains(&index) || used.contains(&index), "{pattern:?}: {tensor:?} is idle");
                let lost = tensor.is_virtual() && !used.contains(&index);
                assert!(!lost, "{pattern:?}: {tensor:?} is computed for nobody");
            }
        }
    }

    #[test]
    fn maps_and_weights_have_their_channels_innermost() {
        let graph = Graph::of_convolution(&Work::new(Pattern::Forward, sizes(), Element::Bf16, Math::Full));
        let [x, weight, y] = graph.expect("plain").tensors.try_into().expect("three");
        assert_eq!((x.dims, x.strides, x.align), ([4, 16, 8, 6], [768, 1, 96, 16], 16));
        assert_eq!((weight.dims, weight.strides), ([32, 8, 3, 3], [72, 1, 24, 8]));
        // A slice of a map of 96 channels.
        assert_eq!((y.dims, y.strides, y.align), ([4, 32, 4, 3], [1152, 1, 288, 96], 16));
    }

    #[test]
    fn what_has_no_operation_is_refused() {
        for act in Activation::ALL {
            let pattern = Pattern::ForwardEpilogue { bias: false, residual: false, act: Some(*act) };
            let graph = Graph::of_convolution(&Work::new(pattern, sizes(), Element::F32, Math::Full));
            assert_eq!(graph.is_ok(), Mode::of(*act).is_some(), "{act:?}");
        }
        let pattern = Pattern::ForwardEpilogue { bias: true, residual: false, act: Some(Activation::Mish) };
        let error = Graph::of_convolution(&Work::new(pattern, sizes(), Element::F32, Math::Full))
            .expect_err("no mish");
        assert_eq!(error.to_string(), "cuDNN has no operation for mish");
    }
}
