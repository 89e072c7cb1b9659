//! What cuDNN is asked for: a convolution, or a normalisation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::norm::Norm;
use super::tensor::{Element, Role};
use super::work::Work;

/// A convolution or a normalisation, each with what is fused with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Job {
    /// A convolution.
    Convolution(Work),
    /// A normalisation.
    Normalisation(Norm),
}

impl From<Work> for Job {
    fn from(work: Work) -> Self {
        Job::Convolution(work)
    }
}

impl From<Norm> for Job {
    fn from(norm: Norm) -> Self {
        Job::Normalisation(norm)
    }
}

impl Job {
    /// The operations: `forward + stats`.
    pub fn text(&self) -> String {
        match self {
            Job::Convolution(work) => work.pattern.text(),
            Job::Normalisation(norm) => norm.norm.text(),
        }
    }

    /// The types of elements: `bf16 -> f32`.
    pub fn types(&self) -> String {
        match self {
            Job::Convolution(work) => work.types(),
            Job::Normalisation(norm) => norm.element.name().to_owned(),
        }
    }

    /// The sizes: `3x3 64x56x56 -> 64x56x56, n 256`, `802816x64`.
    pub fn sizes(&self) -> String {
        match self {
            Job::Convolution(work) => work.sizes.to_string(),
            Job::Normalisation(norm) => norm.sizes(),
        }
    }

    /// Bytes from a tensor's first element to the end of its last.
    pub fn bytes(&self, role: Role) -> usize {
        match self {
            Job::Convolution(work) => work.bytes(role),
            Job::Normalisation(norm) => norm.bytes(role),
        }
    }

    /// Whether `f32` has to be computed as such.
    pub fn is_single(&self) -> bool {
        match self {
            Job::Convolution(work) => work.is_single(),
            Job::Normalisation(norm) => norm.element == Element::F32,
        }
    }

    /// Whether sums by channel are among its results that blocks may add up as they come. A normalisation's blocks write theirs to the workspace,
    /// wait for each other, and each adds all of them up in the same order: of its atomic operations one counts blocks, and none adds
    /// numbers (9.28).
    pub fn adds_sums(&self) -> bool {
        match self {
            Job::Convolution(work) => work.pattern.has_sums(),
            Job::Normalisation(_) => false,
        }
    }
}

/// `forward + stats bf16 3x3 64x56x56 -> 64x56x56, n 256`, `norm + relu bf16 802816x64`
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Convolution(work) => work.fmt(f),
            Job::Normalisation(norm) => norm.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::ir::activation::Activation;
    use resnetc_compiler::ir::op::ConvAttrs;

    use super::*;
    use crate::cuda::cudnn::tensor::Place;
    use crate::cuda::cudnn::work::{Math, Pattern, Sizes};
    use crate::cuda::normalise::NormPattern;

    /// A convolution's text is as it was before there were others: plans that are kept under it stay.
    #[test]
    fn jobs_are_written_as_what_they_are() {
        let attrs =
            ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
        let (x, y) = (Place::whole(8), Place::whole(8));
        let sizes = Sizes { n: 1, h: 4, w: 4, cin: 8, cout: 8, out: [4, 4], attrs, x, y };
        let work = Work::new(Pattern::ForwardStats, sizes, Element::Bf16, Math::Full);
        let norm = NormPattern::NormForward { residual: true, act: Some(Activation::Relu) };
        let norm = Norm { norm, rows: 32, channels: 8, element: Element::F16 };
        let json = |value: &dyn Fn() -> serde_json::Result<String>| value().expect("plain data");
        assert_eq!(json(&|| serde_json::to_string(&Job::from(work))), json(&|| serde_json::to_string(&work)));
        for job in [Job::from(work), Job::from(norm)] {
            let text = json(&|| serde_json::to_string(&job));
            assert_eq!(serde_json::from_str::<Job>(&text).expect("its own"), job, "{text}");
        }
        assert!(Job::from(work).adds_sums() && !Job::from(norm).adds_sums());
    }
}
