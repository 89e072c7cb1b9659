//! `resnetc import`: the networks that come of ONNX models give the logits that ONNX Runtime gave (`import/tests/models/make.py` wrote both).

mod common;

use std::fs;
use std::path::Path;

use common::{run, stderr, stdout};

/// Channels, rows, columns of an image, and classes.
const IMAGE: [usize; 3] = [3, 8, 8];
const CLASSES: usize = 5;

/// A NumPy file of floats.
fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&u16::try_from(header.len()).expect("short").to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    bytes
}

/// The floats of a NumPy file in version 1.
fn floats(bytes: &[u8]) -> Vec<f32> {
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let data = bytes[10 + header..].chunks_exact(4);
    data.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// Imports a model with its weights and runs it on the image; the largest difference from ONNX Runtime over the largest logit.
fn difference(name: &str) -> f32 {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../import/tests/models");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |file: &str| text(&folder.path().join(file));
    let (spec, weights) = (at("net.yaml"), at("net.safetensors"));
    let model = text(&models.join(format!("{name}.onnx")));
    stdout(&["import", &model, "-o", &spec, "--weights", &weights]);
    let numbers = fs::read_to_string(models.join(format!("{name}.txt"))).expect("numbers");
    let numbers: Vec<f32> = numbers.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    let (image, expected) = numbers.split_at(IMAGE.iter().product());
    assert_eq!(expected.len(), CLASSES);
    let (x, y) = (at("x.npy"), at("y.npy"));
    let [c, h, w] = IMAGE;
    fs::write(&x, npy(&format!("1, {c}, {h}, {w}"), image)).expect("written");
    stdout(&["run", &spec, "--weights", &weights, "--input", &x, "--output", &y]);
    let found = floats(&fs::read(&y).expect("written"));
    assert_eq!(found.len(), CLASSES);
    let largest = expected.iter().fold(0f32, |most, value| most.max(value.abs()));
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    off / largest
}

#[test]
fn imported_networks_answer_as_the_models() {
    for name in ["basic", "folded", "preact", "gated", "padded"] {
        let off = difference(name);
        assert!(off <= 1e-4, "{name}: {off}");
    }
}

#[test]
fn a_file_of_another_kind_is_told() {
    let output = run(&["import", "tests/specs/tiny.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(".onnx, .cfg or .prototxt"), "{}", stderr(&output));
}
