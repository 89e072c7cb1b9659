//! `--explain-picture`: where in a picture the network saw what it says.
//!
//! Grad-CAM (Selvaraju et al. 2017) weighs the last stage's channels by the gradient of the class's logit, averaged over the map.
//! Behind a global average and a linear layer that gradient is the layer's weight for the class, over the number of pixels: exactly,
//! whatever the picture. So no backward pass is needed; other heads are refused.

use std::path::Path;

use resnetc::{DeviceOptions, SpecOptions, Weights, WeightsOptions};
use resnetc_compiler::ir::graph::Mode;
use resnetc_compiler::spec::ResolvedSpec;
use resnetc_pictures::heat::{HeatMap, png};
use resnetc_pictures::{Picture, Preparer};
use resnetc_runtime::exec::RunArgs as StepArgs;
use resnetc_runtime::weights::ParamStore;

use crate::cmd::spec;
use crate::failure::{Failure, Result};
use crate::files;

/// Which network.
pub struct Subject<'a> {
    /// The spec, as the command line names it.
    pub name: &'a str,
    /// How it is read.
    pub options: &'a SpecOptions,
    /// Where its weights come from.
    pub weights: &'a WeightsOptions,
    /// What it runs on.
    pub device: &'a DeviceOptions,
}

/// Writes what speaks for a class as colours over the part of the picture that the network sees.
pub fn explain(
    subject: &Subject<'_>,
    mut preparer: Preparer,
    picture: &Picture,
    class: usize,
    path: &Path,
) -> Result {
    let mut input = vec![0.0; preparer.numbers()];
    let seen = preparer.fit(picture).map_err(Failure::failed)?;
    preparer.normalize(&seen, &mut input);
    let map = subject.map(&input, class)?;
    let over = map.over(&preparer.seen(picture));
    files::write(path, &png(&over).map_err(Failure::failed)?)
}

impl Subject<'_> {
    /// The weights of the last stage's pixels for a class. The stage's map becomes a result of the network beside the logits.
    fn map(&self, input: &[f32], class: usize) -> Result<HeatMap> {
        let mut options = self.options.clone();
        let stages = spec::open(self.name, &options)?.resolved().stages.len();
        options.set.push(format!("outputs=[stage{stages}]"));
        let spec = spec::open(self.name, &options)?;
        is_average_and_linear(spec.resolved())?;
        let weights = Weights::load(&spec, self.weights)?.store()?;
        let plan = spec.plan(Mode::Infer, 1, self.device.backend())?;
        let mut executor = self.device.executor(plan.clone(), &weights)?;
        executor.set_input_nchw(0, input)?;
        executor.run(0, &StepArgs::default(), None)?;
        let name = format!("stage{stages}");
        let maps = executor.output(0, &name)?;
        let shape =
            plan.outputs.iter().find(|(output, _)| *output == name).map(|(_, id)| &plan.buffer(*id).shape.0);
        let Some(&[1, channels, rows, columns]) = shape.map(Vec::as_slice) else {
            return Err(Failure::Failed(format!("the network has no feature maps called `{name}`")));
        };
        let factors = of_class(&weights, spec.resolved().classes.value, channels, class)?;
        Ok(HeatMap::new(rows, columns, weighted(&maps, factors, rows * columns)))
    }
}

/// The sum of the channels' maps, `[channels][pixels]`, times their factors.
fn weighted(maps: &[f32], factors: &[f32], pixels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; pixels];
    for (map, factor) in maps.chunks_exact(pixels).zip(factors) {
        sums.iter_mut().zip(map).for_each(|(sum, value)| *sum += factor * value);
    }
    sums
}

/// The last linear layer's weights for one class, a number for each channel.
fn of_class(weights: &ParamStore, classes: usize, channels: usize, class: usize) -> Result<&[f32]> {
    let linear = weights.iter().find(|(name, tensor)| {
        name.starts_with("head.") && name.ends_with(".weight") && tensor.shape.0 == [classes, channels]
    });
    linear.and_then(|(_, tensor)| tensor.data.chunks_exact(channels).nth(class)).ok_or_else(|| {
        Failure::Failed(format!(
            "the weights have no linear layer of {classes} classes and {channels} channels"
        ))
    })
}

/// Whether the logits are a linear layer's of the last stage's means. Dropout is nothing here.
fn is_average_and_linear(spec: &ResolvedSpec) -> Result {
    let layers = spec.head.layers.iter().flatten();
    let names: Vec<&str> = layers
        .map(|call| call.name.text.as_str())
        .filter(|name| !matches!(*name, "dropout" | "flatten"))
        .collect();
    match names[..] {
        ["global_avgpool", "linear"] => Ok(()),
        _ => Err(Failure::Failed(format!(
            "--explain-picture needs a head of `global_avgpool -> linear`, where the gradient is known exactly; that of `{}` is `{}`",
            spec.name.value,
            names.join(" -> ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use resnetc::Spec;
    use resnetc_compiler::ir::types::Shape;

    use super::*;

    #[test]
    fn channels_count_as_their_class_weighs_them() {
        let mut weights = ParamStore::new();
        weights.insert("head.linear.weight", Shape(vec![2, 3]), vec![1.0, 2.0, 3.0, -1.0, 0.0, 10.0]);
        let factors = of_class(&weights, 2, 3, 1).expect("there");
        let maps = [1.0, 2.0, /**/ 50.0, 60.0, /**/ 0.5, 0.25];
        assert_eq!(weighted(&maps, factors, 2), [4.0, 0.5]);
        assert!(of_class(&weights, 2, 4, 1).is_err());
    }

    #[test]
    fn other_heads_are_refused() {
        let check = |name: &str| {
            let spec = Spec::builtin(name, &Default::default()).expect("compiled in");
            is_average_and_linear(spec.resolved())
        };
        assert!(check("resnet50").is_ok());
        let Err(Failure::Failed(text)) = check("preact164") else { panic!("refused") };
        assert!(text.contains("bn -> relu -> global_avgpool -> linear"), "{text}");
    }
}
