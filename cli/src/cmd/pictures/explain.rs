//! `--explain-picture`: where in a picture the network saw what it says.
//!
//! Grad-CAM (Selvaraju et al. 2017) weighs a map's channels by the gradient of the class's logit, averaged over the map. The map is
//! what the head's global average is taken of; where a linear layer makes the logits of the average, that gradient is the layer's weight
//! for the class, over the number of pixels: exactly, whatever the picture. So no backward pass is needed; other heads are refused.

use std::path::Path;

use resnetc::{DeviceOptions, Runner, Spec, SpecOptions, Weights, WeightsOptions};
use resnetc_compiler::ir::graph::{Graph, NodeId};
use resnetc_compiler::ir::op::Op;
use resnetc_pictures::heat::{HeatMap, png};
use resnetc_pictures::{Picture, Preparer};
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
    /// What each pixel of the averaged map adds to a class's logit. The map becomes a result of the network beside the logits.
    fn map(&self, input: &[f32], class: usize) -> Result<HeatMap> {
        let spec = spec::open(self.name, self.options)?;
        let Head { map, weight } = Head::of(&spec)?;
        let weights = Weights::load(&spec, self.weights)?.store()?;
        let mut runner = Runner::new(&spec, &weights, self.device, std::slice::from_ref(&map), 1)?;
        let results = runner.run(input)?;
        let maps = results.iter().find(|(name, _)| *name == map).map(|(_, maps)| maps);
        let Some((maps, &[1, channels, rows, columns])) = maps.map(|maps| (maps, maps.shape())) else {
            return Err(Failure::Failed(format!("the network has no feature maps called `{map}`")));
        };
        let factors = of_class(&weights, &weight, channels, class)?;
        Ok(HeatMap::new(rows, columns, weighted(maps.data(), factors, rows * columns)))
    }
}

/// A head whose logits are a linear layer's of a map's means.
#[derive(Debug, PartialEq)]
struct Head {
    /// The node whose map that is.
    map: String,
    /// The linear layer's weight, `[classes, channels]`.
    weight: String,
}

impl Head {
    /// That of a network.
    fn of(spec: &Spec) -> Result<Head> {
        // The graph with a node for each layer: random ones are nothing when a network predicts, and not in it.
        let graph =
            resnetc_compiler::portable(spec.resolved(), 1, false).map_err(|faults| spec.faults(faults))?;
        Head::found(&graph).ok_or_else(|| {
            let layers = spec.resolved().head.layers.iter().flatten();
            let layers: Vec<&str> = layers.map(|call| call.name.text.as_str()).collect();
            Failure::Failed(format!(
                "--explain-picture needs a head that ends in `global_avgpool -> linear`, where the gradient is known exactly; that of `{}` is `{}`",
                spec.resolved().name.value,
                layers.join(" -> ")
            ))
        })
    }

    fn found(graph: &Graph) -> Option<Head> {
        let linear = before(graph, graph.output("logits")?.node);
        let [means, weight, ..] = graph.operands(linear)[..] else { return None };
        let pool = before(graph, means.node);
        let is_head =
            matches!((&graph.node(linear).op, &graph.node(pool).op), (Op::Linear(_), Op::GlobalAvgPool(_)));
        let name = |node| graph.node(node).name.clone();
        let map = before(graph, graph.operands(pool).first()?.node);
        is_head.then(|| Head { map: name(map), weight: name(weight.node) })
    }
}

/// The node that computes what a node hands on: what only has another shape is passed over.
fn before(graph: &Graph, mut node: NodeId) -> NodeId {
    while matches!(graph.node(node).op, Op::Flatten(_)) {
        node = graph.operands(node)[0].node;
    }
    node
}

/// The sum of the channels' maps, `[channels][pixels]`, times their factors.
fn weighted(maps: &[f32], factors: &[f32], pixels: usize) -> Vec<f32> {
    let mut sums = vec![0.0; pixels];
    for (map, factor) in maps.chunks_exact(pixels).zip(factors) {
        sums.iter_mut().zip(map).for_each(|(sum, value)| *sum += factor * value);
    }
    sums
}

/// A linear layer's weights for one class, a number for each channel.
fn of_class<'w>(weights: &'w ParamStore, name: &str, channels: usize, class: usize) -> Result<&'w [f32]> {
    let linear = weights.iter().find(|(known, _)| *known == name).map(|(_, tensor)| tensor);
    let row = linear.and_then(|tensor| tensor.data.chunks_exact(channels).nth(class));
    row.ok_or_else(|| Failure::Failed(format!("`{name}` has no {channels} channels for class {class}")))
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
        let factors = of_class(&weights, "head.linear.weight", 3, 1).expect("there");
        let maps = [1.0, 2.0, /**/ 50.0, 60.0, /**/ 0.5, 0.25];
        assert_eq!(weighted(&maps, factors, 2), [4.0, 0.5]);
        assert!(of_class(&weights, "head.linear.weight", 3, 2).is_err());
        assert!(of_class(&weights, "head.other.weight", 3, 1).is_err());
    }

    fn head(name: &str, set: &[&str]) -> Result<Head> {
        let set = set.iter().map(ToString::to_string).collect();
        let options = SpecOptions { set, ..SpecOptions::default() };
        Head::of(&Spec::builtin(name, &options).expect("compiled in"))
    }

    #[test]
    fn the_map_is_what_the_average_is_taken_of() {
        let of = |map: &str, weight: &str| Head { map: map.into(), weight: weight.into() };
        assert_eq!(head("resnet50", &[]).expect("a head"), of("stage4.unit2.relu3", "head.linear.weight"));
        assert_eq!(head("preact164", &[]).expect("a head"), of("head.relu", "head.linear.weight"));
        let dropped =
            head("resnet20", &["head=global_avgpool -> flatten -> dropout(0.5) -> linear(classes)"]);
        assert_eq!(dropped.expect("a head").map, head("resnet20", &[]).expect("a head").map);
    }

    #[test]
    fn other_heads_are_refused() {
        let two = "head=global_avgpool -> linear(32) -> relu -> linear(classes)";
        for other in [two, "head=global_maxpool -> linear(classes)"] {
            let Err(Failure::Failed(text)) = head("resnet20", &[other]) else { panic!("refused") };
            assert!(text.contains(other.trim_start_matches("head=").split('(').next().unwrap()), "{text}");
        }
    }
}
