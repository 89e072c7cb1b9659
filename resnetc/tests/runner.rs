//! Results of nodes inside a network: the same on every device, whatever the batch.

use resnetc::{DeviceKind, DeviceOptions, Runner, Spec, SpecOptions};

const SPEC: &str = "
name: kept
input: [3, 12, 12]
classes: 5
stem: conv3x3(8) -> bn -> relu
unit: mine
shortcut: projection
stages:
  - {depth: 2, filters: 8}
  - {depth: 1, filters: 16, stride: 2}
units:
  mine(f, stride): |
    main = x -> conv3x3(f, stride) -> bn -> relu -> conv3x3(f) -> bn -> eca
    wide = concat(main, main) -> conv1x1(f)
    out = wide + shortcut -> relu
";

/// Some that a kernel leaves; among them slices of a concatenation and what is written where something else was.
const NAMES: [&str; 6] = [
    "stem.relu1",
    "stage1.unit0.relu1",
    "stage1.unit0.mul",
    "stage1.unit0.concat",
    "stage1.unit1.concat",
    "stage2.unit0.relu1",
];

fn images(count: usize) -> Vec<f32> {
    (0..count * 3 * 144).map(|i| (i * 7919 % 1009) as f32 / 500.0 - 1.0).collect()
}

fn results(device: &DeviceOptions, batch: usize) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let spec = Spec::from_text("kept.yaml", SPEC, &SpecOptions::default()).expect("a right spec");
    let weights = spec.initial_weights(1).expect("weights");
    let names = NAMES.map(str::to_owned);
    let mut runner = Runner::new(&spec, &weights, device, &names, batch).expect("made");
    let results = runner.run(&images(5)).expect("run");
    let parts =
        |(name, array): (String, resnetc::tensors::Array)| (name, array.shape().to_vec(), array.into_data());
    results.into_iter().map(parts).collect()
}

#[test]
fn devices_and_batches_agree_on_what_is_inside() {
    let reference = DeviceOptions { kind: DeviceKind::Reference, ..DeviceOptions::default() };
    let wanted = results(&reference, 5);
    let names: Vec<&str> = wanted.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, [&["logits"], &NAMES[..]].concat());
    for found in [results(&DeviceOptions::cpu(2), 5), results(&DeviceOptions::cpu(2), 2)] {
        for ((name, shape, values), (_, wanted_shape, wanted)) in found.iter().zip(&wanted) {
            assert_eq!(shape, wanted_shape, "{name}");
            let largest = wanted.iter().fold(0f32, |most, value| most.max(value.abs()));
            let apart = values.iter().zip(wanted).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(largest > 0.0 && apart <= 1e-4 * largest, "{name}: {apart} of {largest}");
        }
    }
}

/// A network without a head has the first values that it would have with one.
#[test]
fn a_network_without_a_head_has_first_weights_too() {
    let with =
        |text: &str| Spec::from_text("kept.yaml", text, &SpecOptions::default()).expect("a right spec");
    let (whole, cut) = (with(SPEC), with(&SPEC.replace("classes: 5", "classes: 5\nhead: none")));
    let (whole, cut) = (whole.initial_weights(4).expect("weights"), cut.initial_weights(4).expect("weights"));
    assert_eq!(whole.len(), cut.len() + 2, "a weight and a bias");
    assert!(cut.iter().all(|(name, tensor)| whole.get(name) == Some(tensor)));
}

#[test]
fn what_is_no_batch_of_images_is_refused() {
    let spec = Spec::from_text("kept.yaml", SPEC, &SpecOptions::default()).expect("a right spec");
    let weights = spec.initial_weights(1).expect("weights");
    let mut runner = Runner::new(&spec, &weights, &DeviceOptions::cpu(1), &[], 2).expect("made");
    for numbers in [0, 1, 3 * 144 + 1] {
        assert!(runner.run(&vec![0.0; numbers]).is_err(), "{numbers}");
    }
    let names = ["stem.conv1".to_owned(), "stem.relv1".to_owned()];
    let error = Runner::new(&spec, &weights, &DeviceOptions::cpu(1), &names, 2).err().expect("refused");
    let text = error.to_string();
    assert!(text.contains("goes on to `stem.relu1`") && text.contains("near to it: stem.relu1"), "{text}");
}
