//! What a box says and how it is coloured: by the kind of the operator.

use resnetc_compiler::ir::graph::Node;
use resnetc_compiler::ir::op::Op;
use resnetc_compiler::ops::{Class, operator};

/// Colour group of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Images, labels.
    Input,
    /// Convolution.
    Conv,
    /// What a shortcut became: projection, padding.
    Shortcut,
    /// Normalisation, affine.
    Norm,
    /// Elementwise.
    Elementwise,
    /// Pooling.
    Pool,
    /// Linear layer, softmax.
    Head,
    /// Loss.
    Loss,
    /// Anything of the backward pass.
    Backward,
}

impl Kind {
    /// In the order of the legend.
    pub const ALL: [Kind; 9] = [
        Kind::Input,
        Kind::Conv,
        Kind::Shortcut,
        Kind::Norm,
        Kind::Elementwise,
        Kind::Pool,
        Kind::Head,
        Kind::Loss,
        Kind::Backward,
    ];

    /// `(fill, border)` on a light or a dark page.
    pub fn colors(self, dark: bool) -> (&'static str, &'static str) {
        let (light, other, border) = match self {
            Kind::Input => ("#f1f3f5", "#30363d", "#868e96"),
            Kind::Conv => ("#dbe9ff", "#1c3a66", "#4a7dc9"),
            Kind::Shortcut => ("#ffe3c2", "#5c3a12", "#d9822b"),
            Kind::Norm => ("#d7f2ec", "#14463b", "#2a9d84"),
            Kind::Elementwise => ("#f3ecff", "#3b2a5c", "#8a63c9"),
            Kind::Pool => ("#dff3d3", "#2b4a1b", "#5f9e3a"),
            Kind::Head => ("#ffe0ee", "#5a2340", "#c2568a"),
            Kind::Loss => ("#ffdad6", "#5c231d", "#c9473a"),
            Kind::Backward => ("#f5ecd7", "#4a3b1a", "#a5854a"),
        };
        (if dark { other } else { light }, border)
    }

    /// Name of the class in CSS.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Conv => "conv",
            Kind::Shortcut => "shortcut",
            Kind::Norm => "norm",
            Kind::Elementwise => "elementwise",
            Kind::Pool => "pool",
            Kind::Head => "classify",
            Kind::Loss => "loss",
            Kind::Backward => "backward",
        }
    }

    /// What the legend says.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Conv => "convolution",
            Kind::Shortcut => "projection",
            Kind::Norm => "bias, normalisation",
            Kind::Elementwise => "sum, product, activation",
            Kind::Pool => "pooling",
            Kind::Head => "classifier",
            Kind::Loss => "loss",
            Kind::Backward => "gradient",
        }
    }

    /// Of what was fused into an operator: `bias`, `add`, `relu`.
    pub fn of_part(part: &str) -> Kind {
        if part == "bias" { Kind::Norm } else { Kind::Elementwise }
    }
}

impl From<Class> for Kind {
    fn from(class: Class) -> Self {
        match class {
            Class::Input => Kind::Input,
            Class::Conv => Kind::Conv,
            Class::Shortcut => Kind::Shortcut,
            Class::Norm => Kind::Norm,
            Class::Elementwise => Kind::Elementwise,
            Class::Pool => Kind::Pool,
            Class::Head => Kind::Head,
            Class::Loss => Kind::Loss,
            Class::Backward => Kind::Backward,
        }
    }
}

/// Colour group of a node. Convolutions and normalisations that stand in a shortcut, by the segment `shortcut` of their
/// names, are marked.
pub fn kind(node: &Node) -> Kind {
    let in_shortcut = node.name.split('.').any(|segment| segment.starts_with("shortcut"));
    match operator(&node.op).class() {
        Class::Conv | Class::Norm if in_shortcut => Kind::Shortcut,
        class => class.into(),
    }
}

/// `conv 3x3 /2 + bias + add + relu`
pub fn title(op: &Op) -> String {
    operator(op).title()
}
