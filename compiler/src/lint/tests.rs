//! What is said before a training, by its number of images.

use super::{Subject, before_training};
use crate::ir::graph::Mode;
use crate::report::Target;
use crate::source::SourceMap;
use crate::spec::limits::Limits;
use crate::spec::{Request, load};

const SPEC: &str = "\
name: gated
input: [3, 8, 8]
classes: 10
stem: conv3x3(8) -> bn -> relu
unit: gated
stages:
  - {depth: 2, filters: 8}
units:
  gated(f): |
    gate = x -> global_avgpool -> conv1x1(f) -> bn -> sigmoid
    out  = x * gate + shortcut
";

/// Messages for a training on so many images.
fn told(train: &str, images: usize) -> Vec<String> {
    let text = format!("{SPEC}train: {{{train}}}\n");
    let none = |path: &str| Err(std::io::Error::other(path.to_owned()));
    let request =
        Request { name: "gated.yaml", text: &text, overrides: &[], read: &none, limits: Limits::default() };
    let spec = load(&request, &mut SourceMap::default()).expect("a right spec");
    let network = crate::expand(&spec, &Target::new(Mode::Infer, 1)).expect("a right spec");
    let warnings = before_training(&Subject { spec: &spec, graph: &network.graph }, images);
    warnings.into_iter().map(|warning| warning.message).collect()
}

#[test]
fn a_batch_of_one_image_is_told_where_a_map_has_one_pixel() {
    let told = |size: usize, images| told(&format!("batch_size: {size}"), images);
    let one = ["batch normalisation over one value per channel"];
    assert_eq!(told(1, 100), one);
    assert_eq!(told(9, 100), one, "11 batches, and one image");
    assert_eq!(told(128, 1), one);
    for (size, images) in [(2, 100), (128, 100), (10, 100), (98, 100)] {
        assert_eq!(told(size, images), [""; 0], "{images} images in batches of {size}");
    }
}

#[test]
fn lengths_in_steps_are_compared_with_the_training() {
    let told = |train: &str| told(&format!("batch_size: 10, epochs: 3, {train}"), 100);
    assert_eq!(told("warmup: {length: 29, by: step}"), [""; 0]);
    assert!(told("warmup: {length: 30, by: step}")[0].contains("as long as the training"));
    assert_eq!(told("schedule: {multistep: {milestones: [3, 29], by: step}}"), [""; 0]);
    assert!(
        told("schedule: {multistep: {milestones: [3, 30], by: step}}")[0].contains("a milestone lies behind")
    );
    assert!(told("schedule: {step: {every: 30, by: step}}")[0].contains("never changes"));
    // Epochs are counted when the spec is read.
    assert_eq!(told("warmup: {length: 3}"), [""; 0]);
}

#[test]
fn updates_of_more_batches_than_an_epoch_has_are_told() {
    let told = |train: &str| told(&format!("batch_size: 10, {train}"), 95);
    assert_eq!(told("accumulate: 10"), [""; 0]);
    assert_eq!(told("accumulate: 11"), ["an epoch makes one update"]);
    // Lengths in steps are lengths in updates: five an epoch, of two batches each.
    let warmup =
        |length: usize| told(&format!("epochs: 3, accumulate: 2, warmup: {{length: {length}, by: step}}"));
    assert_eq!(warmup(14), [""; 0]);
    assert!(warmup(15)[0].contains("as long as the training"));
}
