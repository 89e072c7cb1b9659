//! Small training graphs built by hand: an operator or a few between an input and the loss.

use resnetc_compiler::ir::graph::{Graph, Mode, Value};
use resnetc_compiler::ir::op::{
    Activate, Activation, Add, BatchNorm, ChannelConv, Conv, ConvAttrs, ConvInit, CrossEntropy, Epilogue,
    Fan, GlobalAvgPool, Init, Input, Labels, Linear, LossAttrs, MaxPool, Norm, Op, Param, Partners,
    PoolAttrs, Recipe, Role, Shortcut, ShortcutRule, TargetLoss, Teacher,
};
use resnetc_compiler::ir::types::Shape;
use resnetc_compiler::source::Span;

/// A graph in the making. Nodes are named by the caller, parameters after their users.
#[derive(Debug)]
pub struct Net {
    /// What there is so far.
    pub graph: Graph,
    batch: usize,
}

/// A window of one size in both directions, undilated.
pub fn square(kernel: usize, stride: usize, padding: usize) -> ConvAttrs {
    ConvAttrs { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], dilation: [1; 2], groups: 1 }
}

impl Net {
    /// A net of an input alone, `[n, c, h, w]`.
    pub fn new(mode: Mode, shape: [usize; 4]) -> (Self, Value) {
        let mut net = Net { graph: Graph::new("by-hand", mode), batch: shape[0] };
        let x = net.add("input", Op::Input(Input { shape: shape.into() }), &[]);
        (net, x)
    }

    /// Any operator.
    pub fn add(&mut self, name: &str, op: Op, operands: &[Value]) -> Value {
        self.graph.add(name, op, Span::NONE, operands).into()
    }

    fn param(&mut self, name: &str, shape: impl Into<Shape>, role: Role, init: Init) -> Value {
        self.add(name, Op::Param(Param { shape: shape.into(), role, init, recipe: Recipe::Own }), &[])
    }

    /// A convolution of `io` channels, with a bias where wanted.
    pub fn conv(&mut self, name: &str, x: Value, io: [usize; 2], attrs: ConvAttrs, bias: bool) -> Value {
        let shape = [io[1], io[0] / attrs.groups, attrs.kernel[0], attrs.kernel[1]];
        let mut operands = vec![x];
        operands.push(self.param(&format!("{name}.weight"), shape, Role::ConvWeight, Init::Constant(0.0)));
        if bias {
            operands.push(self.param(&format!("{name}.bias"), [io[1]], Role::Bias, Init::Constant(0.0)));
        }
        self.add(name, Op::Conv(Conv { attrs, bias, epilogue: Epilogue::default() }), &operands)
    }

    /// A convolution along channels.
    pub fn channel_conv(&mut self, name: &str, x: Value, kernel: usize) -> Value {
        let init = Init::Constant(0.0);
        let weight = self.param(&format!("{name}.weight"), [1, 1, kernel], Role::ConvWeight, init);
        self.add(name, Op::ChannelConv(ChannelConv), &[x, weight])
    }

    /// A batch normalisation.
    pub fn bn(&mut self, name: &str, x: Value, channels: usize) -> Value {
        let tensors = [
            ("weight", Role::NormScale, 1.0),
            ("bias", Role::NormShift, 0.0),
            ("running_mean", Role::RunningMean, 0.0),
            ("running_var", Role::RunningVar, 1.0),
        ];
        let mut operands = vec![x];
        for (suffix, role, value) in tensors {
            operands.push(self.param(&format!("{name}.{suffix}"), [channels], role, Init::Constant(value)));
        }
        self.add(
            name,
            Op::BatchNorm(BatchNorm {
                eps: 1e-5,
                momentum: 0.1,
                still: false,
                epilogue: Epilogue::default(),
            }),
            &operands,
        )
    }

    /// A group normalisation.
    pub fn gn(&mut self, name: &str, x: Value, channels: usize, groups: usize) -> Value {
        let norm = Norm::Group { groups, eps: 1e-5 };
        let mut operands = vec![x];
        for (suffix, role, value) in norm.tensors() {
            operands.push(self.param(&format!("{name}.{suffix}"), [channels], *role, Init::Constant(*value)));
        }
        self.add(name, norm.op(), &operands)
    }

    /// An activation.
    pub fn act(&mut self, name: &str, x: Value, act: Activation) -> Value {
        self.add(name, Op::Activate(Activate { act }), &[x])
    }

    /// A sum.
    pub fn sum(&mut self, name: &str, a: Value, b: Value) -> Value {
        self.add(name, Op::Add(Add { act: None }), &[a, b])
    }

    /// A unit's shortcut.
    pub fn shortcut(&mut self, name: &str, rule: ShortcutRule, x: Value, main: Value) -> Value {
        let init = ConvInit::HeNormal { fan: Fan::FanOut };
        self.add(name, Op::Shortcut(Shortcut { rule, norm: Norm::DEFAULT, init }), &[x, main])
    }

    /// A maximum over windows.
    pub fn max_pool(&mut self, name: &str, x: Value, attrs: PoolAttrs) -> Value {
        self.add(name, Op::MaxPool(MaxPool { attrs }), &[x])
    }

    /// `conv3x3-bn-relu-conv3x3-bn + shortcut, relu`
    pub fn basic(
        &mut self,
        unit: &str,
        x: Value,
        io: [usize; 2],
        stride: usize,
        rule: ShortcutRule,
    ) -> Value {
        let name = |part: &str| format!("{unit}.{part}");
        let main = self.conv(&name("conv1"), x, io, square(3, stride, 1), false);
        let main = self.bn(&name("bn1"), main, io[1]);
        let main = self.act(&name("relu1"), main, Activation::Relu);
        let main = self.conv(&name("conv2"), main, [io[1]; 2], square(3, 1, 1), false);
        let main = self.bn(&name("bn2"), main, io[1]);
        let shortcut = self.shortcut(&name("shortcut"), rule, x, main);
        let sum = self.sum(&name("add"), main, shortcut);
        self.act(&name("relu2"), sum, Activation::Relu)
    }

    /// Pooling, a linear layer and, in training, the loss: the whole graph.
    pub fn finish(self, x: Value, features: usize, classes: usize, smoothing: f32) -> Graph {
        self.finish_by(x, features, classes, |net, [logits, labels]| {
            net.add("loss", CrossEntropy { smoothing }.into(), &[logits, labels])
        })
    }

    /// The same with another loss.
    pub fn finish_with(self, x: Value, features: usize, classes: usize, attrs: &LossAttrs) -> Graph {
        self.finish_by(x, features, classes, |net, operands| {
            let mut operands = operands.to_vec();
            if attrs.mixed {
                let partners = net.add("partners", Partners { batch: net.batch }.into(), &[]);
                operands.extend([partners, Value { port: 1, ..partners }]);
            }
            if attrs.distillation.is_some() {
                operands.push(net.add("teacher", Teacher { batch: net.batch, classes }.into(), &[]));
            }
            net.add("loss", TargetLoss { attrs: attrs.clone() }.into(), &operands)
        })
    }

    fn finish_by(
        mut self,
        x: Value,
        features: usize,
        classes: usize,
        loss: impl FnOnce(&mut Self, [Value; 2]) -> Value,
    ) -> Graph {
        let pooled = self.add("head.pool", Op::GlobalAvgPool(GlobalAvgPool), &[x]);
        let weight =
            self.param("head.fc.weight", [classes, features], Role::LinearWeight, Init::Constant(0.0));
        let bias = self.param("head.fc.bias", [classes], Role::Bias, Init::Constant(0.0));
        let logits = self.add("head.fc", Op::Linear(Linear { bias: true }), &[pooled, weight, bias]);
        self.graph.outputs.push(("logits".into(), logits));
        if self.graph.mode == Mode::Train {
            let labels = self.add("labels", Op::Labels(Labels { batch: self.batch }), &[]);
            let loss = loss(&mut self, [logits, labels]);
            self.graph.outputs.push(("loss".into(), loss));
            self.graph.outputs.push(("correct".into(), Value { port: 1, ..loss }));
        }
        self.graph
    }
}
