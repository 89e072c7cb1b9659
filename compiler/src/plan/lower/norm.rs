//! Normalisations and their gradients: two kernels each.

use super::{Lowering, image_sizes, matrix};
use crate::ir::graph::{Mode, NodeId, Value};
use crate::ir::op::Epilogue;
use crate::ir::types::Shape;
use crate::plan::{BufferId, GroupGeometry, Kernel, Region};

impl Lowering<'_> {
    pub(super) fn lower_batch_norm(
        &mut self,
        id: NodeId,
        operands: &[Value],
        stats: (f32, f32),
        epilogue: Epilogue,
    ) {
        assert_eq!(self.graph.mode, Mode::Train, "inference folds every batch normalisation");
        let node = self.graph.node(id);
        let (rows, channels) = matrix(self.shape(operands[0]));
        let buffers: Vec<BufferId> = operands.iter().map(|value| self.values[value]).collect();
        let (x, affine, running, residual) = (buffers[0], &buffers[1..3], &buffers[3..5], &buffers[5..]);
        let mean = self.define(Value { node: id, port: 1 });
        let rstd = self.define(Value { node: id, port: 2 });
        let y = self.define(Value { node: id, port: 0 });
        let (eps, momentum) = stats;
        let kernel = Kernel::BnStats { rows, channels, eps, momentum };
        self.push(node, kernel, [&[x], running].concat(), vec![mean, rstd]);
        let kernel = Kernel::BnApply { rows, channels, epilogue };
        self.push(node, kernel, [&[x, mean, rstd], affine, residual].concat(), vec![y]);
    }

    pub(super) fn lower_batch_norm_backward(&mut self, id: NodeId, operands: &[Value], epilogue: Epilogue) {
        let node = self.graph.node(id);
        let (rows, channels) = matrix(self.shape(operands[0]));
        let buffers: Vec<BufferId> = operands.iter().map(|value| self.values[value]).collect();
        // What an activation is undone by: the result, or the shift.
        let (map, scale, masks) = (&buffers[..4], buffers[4], &buffers[5..]);
        let sums = [1, 2].map(|port| self.define(Value { node: id, port }));
        let kernel = Kernel::BnBackwardReduce { rows, channels, epilogue };
        let affine: &[BufferId] = if epilogue.recomputes_sign() { &[scale] } else { &[] };
        self.push(node, kernel, [map, affine, masks].concat(), sums.to_vec());
        let ports: &[u8] = if epilogue.residual { &[0, 3] } else { &[0] };
        if ports.iter().any(|&port| self.is_used(Value { node: id, port })) {
            let outputs = ports.iter().map(|&port| self.define(Value { node: id, port })).collect();
            let kernel = Kernel::BnBackwardApply { rows, channels, epilogue };
            self.push(node, kernel, [map, &[scale], &sums, masks].concat(), outputs);
        }
    }

    pub(super) fn lower_group_norm(
        &mut self,
        id: NodeId,
        operands: &[Value],
        groups: usize,
        eps: f32,
        epilogue: Epilogue,
    ) {
        let node = self.graph.node(id);
        let geometry = group_geometry(self.shape(operands[0]), groups);
        let buffers: Vec<BufferId> = operands.iter().map(|value| self.values[value]).collect();
        let [mean, rstd, y] = [1, 2, 0].map(|port| self.define(Value { node: id, port }));
        self.push(node, Kernel::GroupStats { geometry, eps }, vec![buffers[0]], vec![mean, rstd]);
        let inputs = [&[buffers[0], mean, rstd], &buffers[1..]].concat();
        self.push(node, Kernel::GroupApply { geometry, epilogue }, inputs, vec![y]);
    }

    /// Between the two passes lie two sums of every group, which are no results.
    pub(super) fn lower_group_norm_backward(
        &mut self,
        id: NodeId,
        operands: &[Value],
        groups: usize,
        epilogue: Epilogue,
    ) {
        let node = self.graph.node(id);
        let geometry = group_geometry(self.shape(operands[0]), groups);
        let buffers: Vec<BufferId> = operands.iter().map(|value| self.values[value]).collect();
        let (own, y) = (&buffers[..5], &buffers[5..]);
        let sums = ["slope", "offset"].map(|sum| {
            let name = format!("{}:{sum}", node.name);
            self.plan.add_buffer(name, self.ty(operands[2]), Region::Arena, 0)
        });
        let gradients = [1, 2].map(|port| self.define(Value { node: id, port }));
        let kernel = Kernel::GroupBackwardReduce { geometry, act: epilogue.act };
        self.push(node, kernel, [own, y].concat(), [gradients, sums].concat());
        let ports: &[u8] = if epilogue.residual { &[0, 3] } else { &[0] };
        if ports.iter().any(|&port| self.is_used(Value { node: id, port })) {
            let outputs = ports.iter().map(|&port| self.define(Value { node: id, port })).collect();
            let kernel = Kernel::GroupBackwardApply { geometry, epilogue };
            self.push(node, kernel, [own, &sums, y].concat(), outputs);
        }
    }
}

fn group_geometry(shape: &Shape, groups: usize) -> GroupGeometry {
    let [images, pixels, channels] = image_sizes(shape);
    GroupGeometry { images, pixels, channels, groups }
}
