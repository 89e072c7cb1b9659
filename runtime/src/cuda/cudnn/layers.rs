//! The works of a plan's convolutions: each alone, and with what stands before or behind it where cuDNN has a pattern for both.

use resnetc_compiler::ir::activation::Activation;
use resnetc_compiler::ir::attrs::Epilogue;
use resnetc_compiler::ir::types::DType;
use resnetc_compiler::plan::kernel::{Conv, ConvBackwardData, ConvBackwardFilter};
use resnetc_compiler::plan::{BufferId, Kernel, Plan, Step};

use super::norm::Norm;
use super::tensor::{Element, Place};
use super::work::{Math, Pattern, Sizes, Work};
use crate::cuda::normalise::NormPattern;

/// A convolution of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Number of its step.
    pub step: usize,
    /// Its works: alone first, then with what can be fused with it. Which of them serve is whose to say that runs the plan.
    pub works: Vec<Work>,
}

/// How numbers are stored and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types {
    /// What stands for the plan's narrow type.
    pub narrow: Element,
    /// Arithmetic of what is multiplied as `f32`.
    pub math: Math,
}

/// All convolutions and linear layers of a plan, in its order.
pub fn layers(plan: &Plan, types: Types) -> Vec<Layer> {
    let finder = Finder { plan, types };
    let steps = plan.steps.iter().enumerate();
    steps.filter_map(|(step, found)| finder.works(found).map(|works| Layer { step, works })).collect()
}

/// The works of layers, each once, in the order in which they are first met.
pub fn distinct<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Vec<Work> {
    let mut found: Vec<Work> = Vec::new();
    for work in layers.into_iter().flat_map(|layer| &layer.works) {
        if !found.contains(work) {
            found.push(*work);
        }
    }
    found
}

/// The normalisations of a plan with their statistics, and their gradients, each once; those of slices of wider maps cuDNN does not take.
/// A gradient that is masked by a map, a ReLU's result, counts as one that is masked already.
pub fn normalisations(plan: &Plan, types: Types) -> Vec<Norm> {
    let finder = Finder { plan, types };
    let mut found: Vec<Norm> = Vec::new();
    for norm in plan.steps.iter().filter_map(|step| finder.normalisation(step)) {
        if !found.contains(&norm) {
            found.push(norm);
        }
    }
    found
}

struct Finder<'a> {
    plan: &'a Plan,
    types: Types,
}

impl Finder<'_> {
    fn works(&self, step: &Step) -> Option<Vec<Work>> {
        match &step.kernel {
            Kernel::Conv(conv) => Some(self.forward(step, conv)),
            Kernel::ConvBackwardData(conv) => Some(self.backward_data(step, conv)),
            Kernel::ConvBackwardFilter(conv) => Some(self.backward_filter(step, conv)),
            _ => None,
        }
    }

    fn normalisation(&self, step: &Step) -> Option<Norm> {
        let (map, norm, rows, channels) = match &step.kernel {
            Kernel::BnApply(k) => {
                let &Epilogue { residual, act } = &k.epilogue;
                (step.inputs[0], NormPattern::NormForward { residual, act }, k.rows, k.channels)
            }
            Kernel::BnBackwardReduce(k) => {
                let relu = k.epilogue.recomputes_sign() && k.epilogue.act == Some(Activation::Relu);
                (step.inputs[1], NormPattern::NormBackward { relu }, k.rows, k.channels)
            }
            _ => return None,
        };
        let element = self.element(self.plan.buffer(map).dtype);
        (self.plan.gap(map) == 0).then_some(Norm { norm, rows, channels, element })
    }

    fn forward(&self, step: &Step, conv: &Conv) -> Vec<Work> {
        let &Conv { geometry, bias, epilogue } = conv;
        let (x, y) = (step.inputs[0], step.outputs[0]);
        let sizes = self.sizes(Sizes::from(&geometry), x, y);
        let work = |pattern| self.work(pattern, sizes, geometry.precision, y);
        let residual = epilogue.residual;
        if bias || residual || epilogue.act.is_some() {
            let pattern = |act| work(Pattern::ForwardEpilogue { bias, residual, act });
            return vec![pattern(epilogue.act)];
        }
        let mut works = vec![work(Pattern::Forward)];
        let stats = self.readers(y).any(|reader| matches!(reader.kernel, Kernel::BnStats(_)));
        if stats {
            works.push(work(Pattern::ForwardStats));
        }
        if let Some(Kernel::BnApply(norm)) = self.maker(x).map(|maker| &maker.kernel)
            && norm.epilogue.act == Some(Activation::Relu)
        {
            works.push(work(Pattern::NormedForward { residual: norm.epilogue.residual, stats }));
        }
        works
    }

    fn backward_data(&self, step: &Step, conv: &ConvBackwardData) -> Vec<Work> {
        let &ConvBackwardData { geometry, residual } = conv;
        let (dy, dx) = (step.inputs[0], step.outputs[0]);
        let sizes = self.sizes(Sizes::from(&geometry), dx, dy);
        let work = |pattern| self.work(pattern, sizes, geometry.precision, dx);
        let mut works = vec![work(Pattern::BackwardData { residual })];
        let normed = self.readers(dx).any(|reader| match &reader.kernel {
            Kernel::BnBackwardReduce(norm) => {
                norm.epilogue.act == Some(Activation::Relu) && reader.inputs[0] == dx
            }
            _ => false,
        });
        if normed {
            works.push(work(Pattern::BackwardDataRelu { residual }));
            works.push(work(Pattern::BackwardDataReluSums { residual }));
        }
        works
    }

    fn backward_filter(&self, step: &Step, conv: &ConvBackwardFilter) -> Vec<Work> {
        let geometry = conv.geometry;
        let sizes = self.sizes(Sizes::from(&geometry), step.inputs[0], step.inputs[1]);
        let exact = self.work(Pattern::BackwardFilter, sizes, geometry.precision, step.outputs[0]);
        let mut works = vec![exact];
        if exact.output != exact.input {
            // Few engines write the gradient wider than its factors.
            works.push(Work { output: exact.input, ..exact });
        }
        works
    }

    /// With the type that its result is stored in.
    fn work(&self, pattern: Pattern, sizes: Sizes, precision: DType, result: BufferId) -> Work {
        let output = self.element(self.plan.buffer(result).dtype);
        Work { pattern, sizes, input: self.element(precision), output, math: self.types.math }
    }

    fn element(&self, dtype: DType) -> Element {
        match Element::of(dtype) {
            Some(Element::Bf16 | Element::F16) => self.types.narrow,
            // Convolutions have no whole numbers.
            Some(Element::F32) | None => Element::F32,
        }
    }

    /// With the places of the maps `x` and `y`.
    fn sizes(&self, sizes: Sizes, x: BufferId, y: BufferId) -> Sizes {
        Sizes { x: self.place(x, sizes.cin), y: self.place(y, sizes.cout), ..sizes }
    }

    fn place(&self, id: BufferId, channels: usize) -> Place {
        let buffer = self.plan.buffer(id);
        match buffer.slice {
            Some(slice) => {
                let pitch = channels + self.plan.gap(id);
                Place::slice(pitch, slice.start, self.element(buffer.dtype))
            }
            None => Place::whole(channels),
        }
    }

    fn maker(&self, id: BufferId) -> Option<&Step> {
        self.plan.steps.iter().find(|step| step.outputs.contains(&id))
    }

    fn readers(&self, id: BufferId) -> impl Iterator<Item = &Step> {
        self.plan.steps.iter().filter(move |step| step.inputs.contains(&id))
    }
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::backend::Backend;
    use resnetc_compiler::ir::graph::Mode;
    use resnetc_compiler::report::Target;
    use resnetc_compiler::source::SourceMap;
    use resnetc_compiler::spec::limits::Limits;
    use resnetc_compiler::spec::load_builtin;

    use super::*;

    fn plan(name: &str, mode: Mode, precision: &str) -> Plan {
        let set = [format!("train.precision={precision}")];
        let spec = load_builtin(name, &set, Limits::default(), &mut SourceMap::default());
        let spec = spec.expect("compiled in").expect("a right spec");
        let target = Target { backend: Backend::CUDA, ..Target::new(mode, 8) };
        resnetc_compiler::compile(&spec, &target).expect("a right network").plan
    }

    fn of(plan: &Plan, layers: &[Layer], name: &str) -> Vec<(Pattern, Element, Element)> {
        let layer = layers.iter().find(|layer| plan.steps[layer.step].name == name);
        let works = &layer.unwrap_or_else(|| panic!("no layer {name}")).works;
        works.iter().map(|work| (work.pattern, work.input, work.output)).collect()
    }

    const HALVES: Types = Types { narrow: Element::F16, math: Math::Full };

    #[test]
    fn a_training_step_has_its_statistics_and_gradients_fused() {
        let plan = plan("resnet20", Mode::Train, "bf16");
        let layers = layers(&plan, HALVES);
        let half = |pattern| (pattern, Element::F16, Element::F16);
        let conv = of(&plan, &layers, "stage1.unit0.conv2");
        let forward = [Pattern::Forward, Pattern::ForwardStats];
        assert_eq!(conv[..2], forward.map(half));
        assert_eq!(conv[2..], [half(Pattern::NormedForward { residual: false, stats: true })]);
        let filter = of(&plan, &layers, "grad.stage1.unit0.conv2.weight");
        assert_eq!(filter[0], (Pattern::BackwardFilter, Element::F16, Element::F32));
        assert_eq!(filter[1], half(Pattern::BackwardFilter));
        let gradients = layers
            .iter()
            .flat_map(|layer| &layer.works)
            .filter(|work| matches!(work.pattern, Pattern::BackwardDataReluSums { .. }));
        assert!(gradients.count() > 5, "each unit's second convolution, at least");
    }

    #[test]
    fn inference_has_epilogues() {
        let plan = plan("resnet20", Mode::Infer, "f32");
        let layers = layers(&plan, HALVES);
        assert_eq!(layers.len(), 20, "convolutions and the linear layer");
        let act = Some(Activation::Relu);
        let conv = of(&plan, &layers, "stage1.unit0.conv2");
        let pattern = Pattern::ForwardEpilogue { bias: true, residual: true, act };
        assert_eq!(conv, [(pattern, Element::F32, Element::F32)]);
        assert!(distinct(&layers).len() < 15, "units repeat");
    }

    #[test]
    fn slices_have_the_pitch_of_the_map_that_they_are_part_of() {
        let plan = plan("densenet121", Mode::Train, "f32");
        let works = distinct(&layers(&plan, HALVES));
        let sliced = |work: &&Work| work.sizes.y.pitch > work.sizes.cout;
        let work = works.iter().find(sliced).expect("a unit's results are slices of the stage's last");
        assert_eq!((work.sizes.cout, work.sizes.y.pitch, work.sizes.y.align), (32, 256, 16));
    }
}
