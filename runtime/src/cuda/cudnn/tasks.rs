//! The works of a lowered plan's convolutions and normalisations: what a GPU's driver asks of cuDNN, and what is compiled ahead of time for it.

use resnetc_compiler::ir::types::DType;

use super::norm::Norm;
use super::tensor::Element;
use super::work::{Math, Pattern, Sizes, Work};
use crate::cuda::launch::{Direction, Task};
use crate::cuda::normalise::NormTask;
use crate::error::{Error, Result};

/// What cuDNN may be asked for, best first, with the type that the result then has. The gradient of a weight is rounded to the
/// factors' type where they are narrow, as PyTorch's autocast has it: engines that keep it `f32` are few and slow.
///
/// # Errors
/// Where cuDNN does not multiply in the task's type.
pub fn works(task: &Task) -> Result<Vec<(Work, DType)>> {
    let of = |dtype| Element::of(dtype).ok_or_else(|| Error::Device(format!("cuDNN multiplies no {dtype}")));
    let element = of(task.element)?;
    let math = if task.tf32 { Math::Tf32 } else { Math::Full };
    let pattern = match task.direction {
        Direction::Forward if task.stats => Pattern::ForwardStats,
        Direction::Forward if task.has_epilogue() => {
            Pattern::ForwardEpilogue { bias: task.bias, residual: task.residual, act: task.act }
        }
        Direction::Forward => Pattern::Forward,
        Direction::BackwardData if task.mask => Pattern::BackwardDataRelu { residual: task.residual },
        Direction::BackwardData => Pattern::BackwardData { residual: task.residual },
        Direction::BackwardFilter => Pattern::BackwardFilter,
    };
    let work = Work::new(pattern, Sizes::from(&task.geometry), element, math);
    let mut works = vec![(work, task.element)];
    if task.direction == Direction::BackwardFilter && element != Element::F32 {
        works.push((Work { output: Element::F32, ..work }, DType::F32));
    }
    Ok(works)
}

/// What cuDNN is asked for a normalisation.
///
/// # Errors
/// Where its maps are of no type that cuDNN normalises.
pub fn normalisation(task: &NormTask) -> Result<Norm> {
    let &NormTask { pattern, rows, channels, element, deterministic: _ } = task;
    let none = || Error::Device(format!("cuDNN normalises no {element}"));
    let element = Element::of(element).ok_or_else(none)?;
    Ok(Norm { norm: pattern, rows, channels, element })
}

#[cfg(test)]
mod tests {
    use resnetc_compiler::ir::op::ConvAttrs;
    use resnetc_compiler::plan::ConvGeometry;

    use super::*;

    fn task(direction: Direction, element: DType) -> Task {
        let attrs =
            ConvAttrs { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };
        let geometry =
            ConvGeometry { n: 2, h: 4, w: 4, cin: 8, cout: 8, out: [4, 4], attrs, precision: element };
        Task::plain(direction, geometry, element)
    }

    #[test]
    fn a_narrow_gradient_of_weights_may_stay_single() {
        let asked = |element| {
            let works = works(&task(Direction::BackwardFilter, element)).expect("floats");
            works.iter().map(|(work, result)| (work.types(), *result)).collect::<Vec<_>>()
        };
        assert_eq!(asked(DType::F32), [("f32".to_owned(), DType::F32)]);
        let narrow = [("f16".to_owned(), DType::F16), ("f16 -> f32".to_owned(), DType::F32)];
        assert_eq!(asked(DType::F16), narrow);
    }

    #[test]
    fn what_comes_behind_is_a_part_of_the_pattern() {
        let plain = task(Direction::Forward, DType::Bf16);
        let pattern = |task: &Task| works(task).expect("floats")[0].0.pattern.text();
        assert_eq!(pattern(&plain), "forward");
        assert_eq!(pattern(&Task { bias: true, residual: true, ..plain }), "forward + bias + residual");
        assert_eq!(pattern(&Task { stats: true, ..plain }), "forward + stats");
        let data = Task { residual: true, ..task(Direction::BackwardData, DType::Bf16) };
        assert_eq!(pattern(&data), "backward data + residual");
        assert_eq!(pattern(&Task { mask: true, ..data }), "backward data + residual + drelu");
    }
}
